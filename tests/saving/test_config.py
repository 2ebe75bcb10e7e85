"""Transformations as plain data, by name, and back."""

import json
import re
import sys
from types import SimpleNamespace
from typing import Any

import catalogue
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx import codecs, like, schedules
from gradtx.saving.addresses import by_address

# One row is made with a function that has no name.
ROWS = [row for row in catalogue.ROWS if row.name != "dpsgd"]


def through_json(tx: Any) -> Any:
    """Write a value, send it through strict JSON, and read it."""
    text = json.dumps(gradtx.to_config(tx), allow_nan=False, sort_keys=True)
    return gradtx.from_config(json.loads(text))


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_every_row_is_read_as_it_was_written(row: catalogue.Row) -> None:
    """What is read equals what was written, and prints the same."""
    tx = row.build()
    read = through_json(tx)
    assert read == tx
    assert repr(read) == repr(tx)


MASK = {"a": True, "b": [False, True]}
VALUES = [
    gradtx.adamw(gradtx.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100)),
    gradtx.sgd(gradtx.piecewise_constant_schedule(1.0, {3: 0.5, 7: 0.1})),
    gradtx.sgd(gradtx.join_schedules([gradtx.constant_schedule(0.1)] * 2, [5])),
    gradtx.adamw(1e-3, mask=MASK),
    gradtx.adamw(1e-3, mask=gradtx.decay_mask),
    gradtx.adamw(
        1e-3, mask=gradtx.mask_by_path("**/w", re.compile("k", re.IGNORECASE))
    ),
    gradtx.adam(1e-3, mu_dtype=jnp.bfloat16),
    gradtx.adam(1e-3, mu_dtype=np.dtype("float16")),
    gradtx.adam(np.float32(0.1), b1=jnp.bfloat16(0.9)),
    gradtx.by_path(
        {"z": gradtx.sgd(0.1), "a*": None, re.compile("b$"): None}, default=None
    ),
    gradtx.layer_decay(gradtx.sgd(0.1), 0.5, depth={"z": 1, "a": 0}),
    gradtx.partition({1: gradtx.sgd(0.1), 3: gradtx.sgd(0.2)}, {"x": 1, "y": 3}),
    gradtx.named_chain(("first", gradtx.sgd(0.1)), ("second", gradtx.identity())),
    gradtx.inject_hyperparams(gradtx.adam, "b1", jnp.float32)(1e-3),
    gradtx.masked(gradtx.sgd(0.1), {"name": True, "arguments": False}),
    gradtx.masked(gradtx.sgd(0.1), {"tuple": True}),
    gradtx.quantize_state(gradtx.adam(0.1), {"mu": codecs.int8(64), "nu": None}),
    gradtx.add_noise(0.1, 0.55, jax.random.key(3)),
    gradtx.muon(
        0.1,
        muon_weight_dimension_numbers=gradtx.matrices({"w": np.ones((2, 2))}).tree,
    ),
    gradtx.adaptive_grad_clip(0.1),
    gradtx.monitor({"size": gradtx.tree.norm}),
    like.torch.AdamW(),
    like.keras.Adam(global_clipnorm=1.0),
    schedules.cosine_decay_schedule(1.0, 10),
]


@pytest.mark.parametrize("value", VALUES, ids=[str(i) for i in range(len(VALUES))])
def test_arguments_of_every_kind(value: Any) -> None:
    """Schedules, masks, types, keys, patterns in their order: equal when read."""
    read = through_json(value)
    assert read == value
    assert repr(read) == repr(value)


@pytest.mark.parametrize(
    "x",
    [
        float("inf"),
        1 + 2j,
        np.array([1.0, np.nan, -np.inf]),
        np.array([[1 + 2j]]),
        jnp.array([0.1, 3], jnp.bfloat16),
        np.int64(2**62),
        (1, [2.5, None], {"a": ()}),
        gradtx.MatrixAxes((0, 1), 2),
    ],
)
def test_numbers_are_exact(x: Any) -> None:
    """Of every type, infinite ones too, in containers and named tuples."""
    read = through_json(keeps_as_it_is(x)).recipe.arguments["x"]
    assert jax.tree.structure(read) == jax.tree.structure(x)
    for one, other in zip(jax.tree.leaves(read), jax.tree.leaves(x), strict=True):
        assert jnp.result_type(one) == jnp.result_type(other)
        np.testing.assert_array_equal(one, other)


@gradtx.transformation
def keeps_as_it_is(x: gradtx.PyTree) -> gradtx.GradientTransformation:
    """Return the identity, of anything."""
    del x
    return gradtx.identity()


keeps_as_it_is.__module__ = "of_a_user"
sys.modules["of_a_user"] = SimpleNamespace(keeps_as_it_is=keeps_as_it_is)  # type: ignore[assignment]


def test_all_arguments_are_written() -> None:
    """Defaults too, so that other defaults of a later version change nothing."""
    assert gradtx.to_config(gradtx.sgd(0.1)) == {
        "name": "sgd",
        "arguments": {
            "learning_rate": 0.1,
            "momentum": None,
            "nesterov": False,
            "accumulator_dtype": None,
        },
    }


def local_factory() -> Any:
    """Return a transformation whose factory has no name."""

    @gradtx.transformation
    def within() -> gradtx.GradientTransformation:
        return gradtx.identity()

    return within()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: gradtx.adam(lambda _: 0.1), r"'learning_rate' of adam is .*schedule"),
        (lambda: gradtx.adamw(0.1, mask=lambda p: p), r"'mask' of adamw.*mask_by_path"),
        (
            lambda: gradtx.layer_decay(gradtx.sgd(0.1), 0.5, depth=lambda _: 0),
            r"'depth' of layer_decay is .*mapping from patterns",
        ),
        (
            lambda: gradtx.muon(
                0.1, muon_weight_dimension_numbers=gradtx.matrices({"w": np.ones(2)})
            ),
            r"of muon is a MatrixRoutes.*gradtx\.matrices\(params\)\.tree",
        ),
        (lambda: gradtx.chain(optax.sgd(0.1)), r"'args' of chain is a pair"),
        (lambda: gradtx.GradientTransformation(*optax.sgd(0.1)), r"a pair.*decorated"),
        (lambda: gradtx.chain(local_factory()), r"within.*top of a module"),
    ],
)
def test_what_has_no_name_is_refused(make: Any, match: str) -> None:
    """The argument is named, and what to do."""
    with pytest.raises(ValueError, match=match):
        gradtx.to_config(make())


def test_a_traced_number_is_refused() -> None:
    """It is not known yet."""
    with pytest.raises(ValueError, match="'learning_rate' of sgd is traced"):
        jax.jit(lambda x: gradtx.to_config(gradtx.sgd(x)) and x)(0.1)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (
            {"name": "adamx", "arguments": {}},
            "'adamx': the closest are 'adamax', 'adam'",
        ),
        ({"name": "os.system", "arguments": {"command": "true"}}, "no transformation"),
        (
            {"name": "sgd", "arguments": {"rate": 1}},
            "no argument 'rate'; it has learning_rate",
        ),
        ({"name": "sgd", "arguments": {}}, "sgd needs the argument 'learning_rate'"),
        ({"name": "sgd", "arguments": [0.1]}, "'arguments' must be a dictionary"),
        ({"learning_rate": 1}, "from_config takes"),
        ("sgd", "from_config takes"),
        (
            {"name": "stateless", "arguments": {"f": {"function": "os.getcwd"}}},
            "no function 'os.getcwd'",
        ),
    ],
)
def test_what_is_not_known_is_refused(config: Any, match: str) -> None:
    """With the closest names; no function is reached but those of this library."""
    with pytest.raises(ValueError, match=match):
        gradtx.from_config(config)


# --- by name ---------------------------------------------------------------------


def test_get() -> None:
    """A name and settings make what the function of that name makes."""
    assert gradtx.get("adamw", learning_rate=1e-3) == gradtx.adamw(1e-3)
    assert gradtx.get("like.torch.AdamW") == like.torch.AdamW()
    with pytest.raises(ValueError, match="'adamww': the closest are 'adamw'"):
        gradtx.get("adamww", learning_rate=1e-3)
    with pytest.raises(ValueError, match="'AdamW': the closest are 'adamw'"):
        gradtx.get("AdamW", learning_rate=1e-3)
    with pytest.raises(ValueError, match=r"adamw has no argument 'beta1': .* 'b1'"):
        gradtx.get("adamw", learning_rate=1e-3, beta1=0.9)
    with pytest.raises(ValueError, match="sgd needs the argument 'learning_rate'"):
        gradtx.get("sgd")


def test_list_optimizers() -> None:
    """Names with a line each, chosen by a pattern; all can be got."""
    found = gradtx.list_optimizers("*muon*")
    assert {"muon", "adamuon", "normuon"} <= set(found)
    assert "adam" not in found
    assert repr(found).splitlines()[0].startswith("adamuon")
    every = gradtx.list_optimizers()
    assert {"adam", "sgd", "schedule_free_adamw"} <= set(every)
    assert not {"chain", "descend", "scale"} & set(every)
    assert all(line and "\n" not in line for line in every.values())
    assert all(by_address()[name] is getattr(gradtx, name) for name in every)
