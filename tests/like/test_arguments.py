"""What a line of another library may say, and what is refused."""

import inspect
import math
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import like

PARAMS = {"w": np.array([0.5, -1.0], np.float32), "b": np.float32(0.25)}
GRADS = {"w": np.array([0.3, 0.1], np.float32), "b": np.float32(-2.0)}

NAMES = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Lion")
NAMES_OF_TORCH = (
    *("Adadelta", "Adamax", "NAdam", "RAdam"),
    *("Rprop", "Adafactor", "SparseAdam", "ASGD"),
)
NAMES_OF_KERAS = (
    *("Adadelta", "Adafactor", "Adamax", "Ftrl"),
    *("Lamb", "Nadam", "ScheduleFreeAdamW"),
)
MAKERS = [
    *(getattr(like.torch, n) for n in (*NAMES[:-1], *NAMES_OF_TORCH)),
    *(getattr(like.keras, n) for n in (*NAMES, *NAMES_OF_KERAS)),
    like.keras.Muon,
    like.authors.AdaBelief,
    like.authors.Lion,
    like.authors.MoonlightMuon,
]


def rate_name(make: Any) -> str:
    """Return what the learning rate is called."""
    return next(iter(inspect.signature(make).parameters))


def one_update(tx: Any, params: Any = PARAMS) -> Any:
    """Return the updates of a first step."""
    return tx.update(GRADS, tx.init(params), params)[0]


@pytest.mark.parametrize("make", MAKERS)
def test_is_a_value(make: Any) -> None:
    """It equals what was made alike, survives pickle, and prints as it was written."""
    tx = make(**{rate_name(make): 0.5})
    assert tx == make(0.5)
    assert tx == pickle.loads(pickle.dumps(tx))  # noqa: S301
    assert tx != make(0.25)
    assert repr(tx) == f"{make.__name__}({rate_name(make)}=0.5)"
    assert tx.replace(**{rate_name(make): 0.25}) == make(0.25)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.one_in(16)
def test_numbers_may_be_traced(make: Any) -> None:
    """A learning rate goes through jit and vmap, and the result is that of each."""
    state = make(0.5).init(PARAMS)

    def update(rate: Any) -> Any:
        return make(rate).update(GRADS, state, PARAMS)[0]["w"]

    rates = np.array([0.5, 0.25], np.float32)
    swept = jax.jit(jax.vmap(update))(rates)
    for row, rate in zip(swept, rates, strict=True):
        np.testing.assert_allclose(row, update(float(rate)), rtol=1e-5)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.one_in(16)
def test_passes_through_jit_with_its_state(make: Any) -> None:
    """A setting of 0 is off inside of jit as it is outside: the states agree."""
    tx = make(0.5)
    jitted = jax.jit(lambda tx, state: tx.update(GRADS, state, PARAMS))
    updates, state = jitted(tx, tx.init(PARAMS))
    assert jax.tree.structure(state) == jax.tree.structure(tx.init(PARAMS))
    expected = one_update(tx)
    np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-5)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.one_in(8)
def test_half_precision(make: Any) -> None:
    """Updates keep the parameters' type, states their own, and zeros are no danger."""
    params = jnp.ones(3, jnp.bfloat16)
    tx = make(0.5)
    state = tx.init(params)
    updates, after = tx.update(jnp.zeros_like(params), state, params)
    assert updates.dtype == params.dtype
    assert [x.dtype for x in jax.tree.leaves(after)] == [
        x.dtype for x in jax.tree.leaves(state)
    ]
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((updates, after)))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.one_in(8)
def test_passes_over_missing_gradients(make: Any) -> None:
    """A leaf without a gradient has no update."""
    tx = make(0.5)
    updates, _ = tx.update({"w": GRADS["w"], "b": None}, tx.init(PARAMS), PARAMS)
    assert updates["b"] is None


@pytest.mark.parametrize(
    "make", [m for m in MAKERS if "params" in inspect.signature(m).parameters]
)
def test_parameters_belong_to_init(make: Any) -> None:
    """Whoever passes the parameters, first or by name, is sent to ``tx.init``."""

    class Model(dict):
        def __call__(self) -> None: ...

    jax.tree_util.register_pytree_node(
        Model,
        lambda m: (tuple(m.values()), tuple(m)),
        lambda k, v: Model(zip(k, v, strict=True)),
    )
    for first in (PARAMS, [PARAMS["w"]], iter([1.0]), PARAMS["w"], Model(PARAMS)):
        with pytest.raises(ValueError, match=r"tx\.init\(params\)"):
            make(first)
    with pytest.raises(ValueError, match=r"tx\.init\(params\)"):
        make(params=PARAMS)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (make, name)
        for make in MAKERS
        for name in inspect.signature(make).parameters
        if name in ("foreach", "fused", "capturable", "differentiable", "use_triton")
    ],
)
def test_what_means_nothing_is_refused(make: Any, name: str) -> None:
    """An argument that means nothing here is refused with the way out, unless off."""
    with pytest.raises(ValueError, match=f"{make.__name__}.*{name}.*leave it out"):
        make(**{name: True})
    make(**{name: False})


@pytest.mark.parametrize("name", NAMES)
def test_keras_loss_scale_is_refused(name: str) -> None:
    """Nothing here scales the loss, so its factor is refused with the way out."""
    with pytest.raises(ValueError, match=r"scale\(1 / factor\)"):
        getattr(like.keras, name)(loss_scale_factor=128.0)


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (like.torch.SGD, {"nesterov": True}, "nesterov needs momentum"),
        (
            like.torch.SGD,
            {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
            "no dampening",
        ),
        (like.torch.SGD, {"lr": -1.0}, "lr must be"),
        (like.torch.SGD, {"momentum": -0.5}, "momentum must be"),
        (like.torch.Adam, {"betas": (0.9, 1.0)}, "b2 must be"),
        (like.torch.AdamW, {"weight_decay": -1.0}, "weight_decay must be"),
        (like.torch.RMSprop, {"eps": -1.0}, "eps must be"),
        (like.torch.Adagrad, {"lr_decay": -1.0}, "lr_decay must be"),
        (like.torch.Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator"),
        (like.keras.SGD, {"momentum": 1.5}, "momentum must be"),
        (like.keras.SGD, {"clipnorm": 1.0, "clipvalue": 1.0}, "exclude each other"),
        (like.keras.SGD, {"gradient_accumulation_steps": 1}, "at least 2"),
        (like.keras.SGD, {"use_ema": True, "ema_momentum": 1.5}, "ema_momentum"),
        (
            like.keras.SGD,
            {"use_ema": True, "ema_overwrite_frequency": -1},
            "ema_overwrite_frequency",
        ),
        (like.keras.AdamW, {"weight_decay": None}, "use Adam"),
        (like.keras.Lion, {"beta_1": 0.0}, "beta_1 must be"),
        (like.authors.AdaBelief, {"eps": -1.0}, "eps must be"),
        (like.authors.Lion, {"betas": (0.9, 1.5)}, "b2 must be"),
        (
            like.authors.Lion,
            {
                "lr": lambda step: 0.1 * step,
                "weight_decay": 0.1,
                "decoupled_weight_decay": True,
            },
            "begin the schedule above 0",
        ),
    ],
)
def test_wrong_settings(make: Any, settings: Any, words: str) -> None:
    """A wrong setting is refused with its name and the function's."""
    with pytest.raises(ValueError, match=f"{make.__name__}.*{words}"):
        make(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"la_steps": 0}, "at least 1"),
        ({"la_alpha": 1.5}, "must be"),
        ({"pullback_momentum": "zero"}, "must be one of"),
    ],
)
def test_wrong_lookahead(settings: Any, words: str) -> None:
    """So is one of Lookahead."""
    with pytest.raises(ValueError, match=words):
        like.authors.Lookahead(like.torch.SGD(), **settings)


def test_lookahead_is_a_value_with_slow_weights() -> None:
    """It prints as written, and its slow weights are found inside of a chain."""
    tx = like.authors.Lookahead(like.torch.SGD(0.5, 0.9), pullback_momentum="reset")
    assert repr(tx) == (
        "Lookahead(inner=SGD(lr=0.5, momentum=0.9), pullback_momentum='reset')"
    )
    chained = gradtx.chain(tx)
    state = chained.init(PARAMS)
    updates, state = chained.update(GRADS, state, PARAMS)
    moved = gradtx.apply_updates(PARAMS, updates)
    np.testing.assert_array_equal(gradtx.eval_params(state, moved)["w"], PARAMS["w"])


def test_no_state_for_what_is_off() -> None:
    """A momentum of 0 keeps no buffer, and without decay no parameters are needed."""
    tx = like.torch.SGD(lr=0.5, momentum=0, weight_decay=0.0)
    state = tx.init(PARAMS)
    assert not jax.tree.leaves(state)
    updates, _ = tx.update(GRADS, state)
    np.testing.assert_allclose(updates["w"], -0.5 * GRADS["w"])


def test_momentum_traced_at_zero() -> None:
    """A momentum that is 0 when it is traced gives plain descent, dampened or not."""

    def second(momentum: Any, dampening: Any) -> Any:
        tx = like.torch.SGD(0.5, momentum, dampening)
        state = tx.init(PARAMS)
        _, state = tx.update(GRADS, state, PARAMS)
        return tx.update(GRADS, state, PARAMS)[0]["w"]

    for dampening in (0, 0.4):
        got = jax.jit(second, static_argnums=1)(0.0, dampening)
        np.testing.assert_allclose(got, -0.5 * GRADS["w"], rtol=1e-6)


def test_infinite_global_norm() -> None:
    """As in Keras, a global norm that is not finite makes every update NaN."""
    tx = like.keras.SGD(0.5, global_clipnorm=1.0)
    grads = {"w": GRADS["w"], "b": np.float32(math.inf)}
    updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
    assert np.all(np.isnan(updates["w"]))


def test_clipping_of_zero() -> None:
    """Clipping by a norm leaves zero gradients zero."""
    zero = jax.tree.map(np.zeros_like, GRADS)
    for settings in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        tx = like.keras.SGD(0.5, **settings)
        updates, _ = tx.update(zero, tx.init(PARAMS), PARAMS)
        np.testing.assert_array_equal(updates["w"], zero["w"])


def test_accumulation_refuses_what_does_not_fit() -> None:
    """Gradients of another shape are refused by path before they are added up."""
    tx = like.keras.SGD(0.5, gradient_accumulation_steps=2)
    with pytest.raises(ValueError, match=r"\['w'\].*shape"):
        tx.update({"w": np.ones((3, 2), np.float32), "b": 0.0}, tx.init(PARAMS), PARAMS)


def test_accumulation_in_half_precision() -> None:
    """The sum is kept in float32, where 256 + 1 is not 256."""
    params = jnp.zeros(1, jnp.bfloat16)
    tx = like.keras.SGD(1.0, gradient_accumulation_steps=2)
    state = tx.init(params)
    for g in (256.0, 3.0):
        updates, state = tx.update(jnp.full_like(params, g), state, params)
    np.testing.assert_array_equal(updates, jnp.array([-129.5], jnp.bfloat16))


def test_signatures() -> None:
    """Names, order and defaults are those of the libraries."""
    names = {
        like.torch.SGD: "lr momentum dampening weight_decay nesterov",
        like.torch.Adam: "lr betas eps weight_decay amsgrad",
        like.torch.AdamW: "lr betas eps weight_decay amsgrad",
        like.torch.RMSprop: "lr alpha eps weight_decay momentum centered capturable "
        "foreach maximize differentiable",
        like.torch.Adagrad: "lr lr_decay weight_decay initial_accumulator_value eps "
        "foreach",
        like.authors.AdaBelief: "lr betas eps weight_decay amsgrad weight_decouple "
        "fixed_decay rectify degenerated_to_sgd print_change_log",
        like.authors.Lookahead: "inner la_steps la_alpha pullback_momentum",
    }
    for make, expected in names.items():
        parameters = inspect.signature(make).parameters.values()
        found = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        assert found == expected.split()
    assert inspect.signature(like.torch.SGD).parameters["momentum"].default == 0
    assert inspect.signature(like.keras.AdamW).parameters["weight_decay"].default == (
        0.004
    )


@pytest.mark.parametrize("make", [*MAKERS, like.keras.LossScaleOptimizer])
def test_all_arguments_are_described(make: Any) -> None:
    """A docstring says what each argument means, the shared ones too."""
    arguments = make.__doc__.split("Args:")[1]
    assert all(f"{name}: " in arguments for name in inspect.signature(make).parameters)


@pytest.mark.parametrize("excluded", [["bias"], ["dense/b", "norm"], "bias"])
@pytest.mark.one_in(2)
def test_excluded_from_weight_decay(excluded: Any) -> None:
    """Leaves decay unless a pattern is found in their path."""
    params = {"dense": {"kernel": np.float32([1.0]), "bias": np.float32([1.0])}}
    grads = jax.tree.map(np.zeros_like, params)
    for make in (like.keras.AdamW, like.keras.Lamb, like.keras.Muon):
        decay = {"adam_weight_decay": 0.5} if make is like.keras.Muon else {}
        tx = make(0.1, weight_decay=0.5, exclude_from_weight_decay=excluded, **decay)
        updates, _ = tx.update(grads, tx.init(params), params)
        np.testing.assert_allclose(updates["dense"]["kernel"], [-0.05], rtol=1e-6)
        np.testing.assert_array_equal(updates["dense"]["bias"], [0.0])
