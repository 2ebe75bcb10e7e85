"""What `leafwise` settles for every rule."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

import gradtx
from gradtx.core.leafwise import leafwise


class Nothing(NamedTuple):
    """A state without slots."""


class Mean(NamedTuple):
    """A state with one slot."""

    mean: Any


class Counted(NamedTuple):
    """A state with a count and two slots."""

    count: Any
    first: Any
    second: Any


def updated(rule: Any, grads: Any, params: Any = None, **extra: Any) -> Any:
    """Return what a rule without slots makes of the gradients."""
    tx = leafwise(rule, Nothing)
    return tx.update(grads, tx.init(grads), params, **extra)[0]


# --- what a rule gets --------------------------------------------------------


def test_a_rule_is_given_what_it_names() -> None:
    """Slots by position in their order; `t` from 1, `p` and extras by keyword."""

    def rule(
        g: Any, first: Any, second: Any, *, t: Any, p: Any, value: Any
    ) -> tuple[Any, ...]:
        return g * t + p + value, first + g, second - g

    tx = leafwise(rule, Counted, first=jnp.zeros_like, second=jnp.ones_like)
    params = jnp.float32([10, 20])
    state = tx.init(params)
    for t in (1, 2):
        update, state = tx.update(
            jnp.ones(2), state, params, value=0.5, unknown="ignored"
        )
        np.testing.assert_array_equal(update, t + params + 0.5)
    assert state.count == 2
    np.testing.assert_array_equal(state.first, [2, 2])
    np.testing.assert_array_equal(state.second, [-1, -1])


def test_defaults_make_arguments_optional() -> None:
    """With a default, `p` may be missing and an extra argument too."""

    def rule(g: Any, *, p: Any = None, value: Any = 2.0) -> Any:
        return g * value if p is None else p * value

    g, p = jnp.ones(2), jnp.full(2, 5.0)
    assert (updated(rule, g) == 2).all()
    assert (updated(rule, g, p) == 10).all()
    assert (updated(rule, g, p, value=3.0) == 15).all()


def test_what_is_missing_is_named() -> None:
    """Without the parameters or the extra argument that a rule names, it is refused."""
    with pytest.raises(ValueError, match=r"call update\(updates, state, params\)"):
        updated(lambda g, *, p: g + p, jnp.ones(2))
    with pytest.raises(ValueError, match=r"'value': call .*params, value=\.\.\.\)"):
        updated(lambda g, *, value: g * value, jnp.ones(2))


def test_the_arithmetic_is_wide() -> None:
    """Half-precision leaves, slots and parameters come to the rule in float32."""
    seen: list[Any] = []

    def rule(g: Any, mean: Any, *, p: Any) -> tuple[Any, Any]:
        seen.append((g.dtype, mean.dtype, p.dtype))
        return g, mean

    for dtype in ("bfloat16", "float16", "float32"):
        params = jnp.ones(2, dtype)
        tx = leafwise(rule, Mean, mean=jnp.zeros_like)
        update, state = tx.update(params, tx.init(params), params)
        assert update.dtype == state.mean.dtype == dtype
    assert set(seen) == {(jnp.dtype("float32"),) * 3}


@pytest.mark.usefixtures("x64")
def test_types_are_kept() -> None:
    """A slot stays in its type, an update leaves in its parameter's.

    Whatever the rule returns: a strong float64 does not spread.
    """
    tx = leafwise(
        lambda g, mean, *, p=None: (g * np.float64(2), mean + np.float64(1)),  # noqa: ARG005
        Mean,
        mean=lambda p: jnp.zeros_like(p, dtype=jnp.float16),
    )
    params = {k: jnp.ones(2, k) for k in ("float64", "float32", "bfloat16")}
    state = tx.init(params)
    coarse = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    for grads in (params, coarse):
        updates, new = tx.update(grads, state, params)
        assert problems.shapes(new) == problems.shapes(state)
        assert problems.shapes(updates) == problems.shapes(params)
        alone, _ = tx.update(grads, state)
        assert problems.shapes(alone) == problems.shapes(grads)


# --- trees -------------------------------------------------------------------


def test_none_and_masked_leaves_are_passed_over() -> None:
    """A None leaf, ours or a gradient's, and masked nodes of any library stay so."""
    tx = leafwise(lambda g, mean: (-g, mean + g), Mean, mean=jnp.zeros_like)
    params = {
        "none": None,
        "frozen": jnp.ones(2),
        "ours": gradtx.MaskedNode(),
        "theirs": optax.MaskedNode(),
        "live": jnp.ones(2),
    }
    state = tx.init(params)
    grads = {**params, "frozen": None}
    updates, new = tx.update(grads, state, params)
    assert updates["frozen"] is None
    assert updates["none"] is None
    assert isinstance(updates["ours"], gradtx.MaskedNode)
    assert isinstance(updates["theirs"], optax.MaskedNode)
    assert (updates["live"] == -1).all()
    assert (new.mean["frozen"] == 0).all()
    assert jax.tree.structure(new) == jax.tree.structure(state)


def test_slots_may_be_trees() -> None:
    """A slot of a leaf may be a tuple of arrays of any shapes, each in its type."""

    def rule(g: Any, mean: Any) -> tuple[Any, Any]:
        rows, cols = mean
        return g, (rows + g.sum(1), cols + g.sum(0))

    def make(p: Any) -> Any:
        return jnp.zeros(p.shape[:1]), jnp.zeros(p.shape[1:], jnp.bfloat16)

    tx = leafwise(rule, Mean, mean=make)
    params = {"w": jnp.ones((3, 2))}
    _, state = jax.jit(tx.update)(params, tx.init(params))
    rows, cols = state.mean["w"]
    np.testing.assert_array_equal(rows, [2, 2, 2])
    np.testing.assert_array_equal(cols, [3, 3])
    assert cols.dtype == jnp.bfloat16


def test_a_rule_is_traced_once_per_shape() -> None:
    """Leaves of one shape and type share one trace."""
    traces = []

    def rule(g: Any) -> Any:
        traces.append(g.shape)
        return -g

    tx = leafwise(rule, Nothing)
    grads = [jnp.ones(2)] * 5 + [jnp.ones(3)] * 4
    jax.jit(tx.update)(grads, tx.init(grads))
    assert sorted(traces) == [(2,), (3,)]


def test_refusals_name_the_path() -> None:
    """Integers, booleans, complex gradients of real parameters, other trees."""
    tx = leafwise(lambda g, mean: (-g, mean), Mean, mean=jnp.zeros_like)
    params = {"a": [jnp.ones(2)], "b": jnp.ones(())}
    state = tx.init(params)
    for bad, why in (
        (jnp.arange(2), r"\['a'\]\[0\] is of type int32"),
        (jnp.array([True, False]), r"\['a'\]\[0\] is of type bool"),
        (jnp.ones((1, 2)), r"\['a'\]\[0\] has shape \(1, 2\).*\(2,\)"),
        (jnp.ones(2, jnp.complex64), r"\['a'\]\[0\] is complex"),
    ):
        with pytest.raises(ValueError, match=why):
            tx.update({**params, "a": [bad]}, state, params)
    with pytest.raises(ValueError, match=r"nothing at \['a'\]\[1\]|unexpected"):
        tx.update({**params, "a": [jnp.ones(2)] * 2}, state, params)
    with pytest.raises(ValueError, match=r"the state 'mean'"):
        tx.update(params, Mean({"a": params["b"]}), params)
    with pytest.raises(ValueError, match=r"\['a'\]\[0\].*state 'mean'.*\(3,\)"):
        tx.update(params, Mean({**params, "a": [jnp.ones(3)]}))


def test_the_count_saturates() -> None:
    """After the largest int32 the count stays, and `t` stays positive."""
    tx = leafwise(
        lambda g, first, second, *, t: (g * (t > 0), first, second),
        Counted,
        first=jnp.zeros_like,
        second=jnp.zeros_like,
    )
    g = jnp.ones(2)
    state = tx.init(g)._replace(count=jnp.int32(2**31 - 1))
    update, state = tx.update(g, state)
    assert state.count == 2**31 - 1
    assert (update == 1).all()


# --- around it ---------------------------------------------------------------


def test_apply_updates() -> None:
    """Parameters move by the updates, keep their types, and are rounded once."""
    params = {"a": jnp.bfloat16([1]), "b": jnp.ones(2), "none": None, "still": 1.0}
    updates = {
        "a": jnp.float32([2**-8 + 2**-12]),
        "b": jnp.ones(2),
        "none": None,
        "still": None,
    }
    got = gradtx.apply_updates(params, updates)
    assert got["a"].dtype == jnp.bfloat16
    assert float(got["a"][0]) == 1 + 2**-7  # in bfloat16 the sum would be a tie
    assert (got["b"] == 2).all()
    assert (got["none"], got["still"]) == (None, 1.0)


def test_apply_updates_refuses() -> None:
    """Nothing is broadcast or cut off: shapes, trees, integers, complex updates."""
    one = {"a": jnp.ones((3, 1))}
    for params, updates, why in (
        (one, {"a": jnp.ones((1, 3))}, r"\['a'\] has shape \(1, 3\)"),
        (one, {"b": jnp.ones((3, 1))}, r"\['b'\]"),
        ({"a": jnp.arange(2)}, {"a": jnp.ones(2)}, r"\['a'\] is of type int32"),
        ({"a": jnp.ones(2)}, {"a": jnp.ones(2, "complex64")}, r"complex.*\['a'\]"),
    ):
        with pytest.raises(ValueError, match=why):
            gradtx.apply_updates(params, updates)


def test_chains() -> None:
    """Updates go through in order; the state is a tuple, or a dictionary by name."""
    links = gradtx.scale(2.0), gradtx.add_decayed_weights(1.0), gradtx.scale(3.0)
    g, p = jnp.float32([1]), jnp.float32([10])
    tx = gradtx.chain(*links)
    update, state = tx.update(g, tx.init(p), p)
    assert update[0] == (2 * 1 + 10) * 3
    assert isinstance(state, tuple)
    named = gradtx.named_chain(*zip("abc", links, strict=True))
    update, state = named.update(g, named.init(p), p)
    assert update[0] == 36
    assert list(state) == ["a", "b", "c"]
    nothing = gradtx.chain()
    assert nothing.update(g, nothing.init(p), p) == (g, ())


def test_chains_refuse() -> None:
    """No pair, two equal names, a state of another length: refused with what came."""
    with pytest.raises(ValueError, match="chain: every link must be a transformation"):
        gradtx.chain(gradtx.scale(1.0), 0.5)
    with pytest.raises(ValueError, match=r"names must differ.*'a', 'a'"):
        gradtx.named_chain(("a", gradtx.identity()), ("a", gradtx.identity()))
    tx = gradtx.chain(gradtx.scale(1.0))
    with pytest.raises(
        ValueError, match=r"\(an array, an array\).*is a tuple of \(EmptyState\)"
    ):
        tx.update(1.0, (1, 2))


def test_stateless() -> None:
    """A function of trees, or of leaves, becomes a transformation."""
    params, g = {"a": jnp.ones(2)}, {"a": jnp.full(2, 3.0)}
    whole = gradtx.stateless(lambda u, p: jax.tree.map(jnp.add, u, p))
    each = gradtx.stateless_with_tree_map(lambda u, p: u if p is None else u + p)
    for tx in (whole, each):
        state = tx.init(params)
        assert state == gradtx.EmptyState()
        assert (tx.update(g, state, params, unknown=1)[0]["a"] == 4).all()
    assert (each.update(g, gradtx.EmptyState())[0]["a"] == 3).all()
    same = gradtx.identity()
    assert same.update(g, same.init(params))[0] is g


def test_the_whole_path_is_told() -> None:
    """An error inside of parts says which part of which whole refused."""
    tx = gradtx.chain(gradtx.adamw(0.1))
    params = {"w": jnp.ones(2)}
    whole = {"w": jnp.arange(2)}
    with pytest.raises(ValueError, match=r"^chain \(in scale_by_adam\): .*\['w'\]"):
        tx.update(params, tx.init(whole), whole)
    with pytest.raises(ValueError, match=r"^chain \(in add_decayed_weights\)"):
        tx.update(params, tx.init(params))


# --- shapes instead of arrays ------------------------------------------------


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.adam(0.1),
        gradtx.adagrad(0.1),
        gradtx.adafactor(0.1, min_dim_size_to_factor=1),
        gradtx.lamb(0.1),
        gradtx.novograd(0.1),
        gradtx.sm3(0.1),
        gradtx.lbfgs(0.1, linesearch=None),
    ],
    ids=repr,
)
def test_shapes_suffice_for_a_state(tx: Any) -> None:
    """Without entries to start from, a state of shapes is a state of zeros."""
    params = {"w": jnp.zeros((2, 3), jnp.bfloat16)}
    got = tx.init(jax.eval_shape(lambda: params))
    expected = tx.init(params)
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


# --- many devices ------------------------------------------------------------


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.sgd(gradtx.constant_schedule(0.1)),
        gradtx.scale_by_schedule(gradtx.constant_schedule(0.1)),
        gradtx.add_decayed_weights(gradtx.constant_schedule(0.1)),
        gradtx.zero_nans(),
    ],
    ids=repr,
)
def test_small_state_lies_where_the_parameters_lie(tx: Any) -> None:
    """Counts and flags are on all devices of the mesh, made under jit or not."""
    over = problems.mesh(jax.sharding.AxisType.Auto)
    params = problems.spread(problems.small_tree(), over)
    for init in (tx.init, jax.jit(tx.init)):
        for x in jax.tree.leaves(init(params)):
            assert len(x.sharding.device_set) == 8


def test_small_state_of_many_models_is_one_number_for_each() -> None:
    """Under vmap there is a count for every model."""
    tx = gradtx.sgd(gradtx.constant_schedule(0.1))
    for x in jax.tree.leaves(jax.vmap(tx.init)({"w": jnp.ones((3, 2))})):
        assert x.shape == (3,)


# --- rules and states that do not fit ----------------------------------------


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (lambda g, mean: g, r"must return u, new_mean.*1 of 2"),  # noqa: ARG005
        (lambda g, mean: (g, mean, mean), r"must return u, new_mean.*3 of 2"),
        (lambda g, mean: (), r"must return u, new_mean.*0 of 2"),  # noqa: ARG005
        (lambda g, mean: (g, mean.sum()), r"slot 'mean' of shape \(\).*\(2,\)"),
        (lambda g, mean: (g.sum(), mean), r"update of shape \(\).*\(2,\)"),
        (lambda g, mean: (g, (mean, mean)), r"slot 'mean' as a tree"),
        (lambda g, mean: (None, mean), r"update as NoneType"),  # noqa: ARG005
    ],
)
def test_a_rule_returns_what_it_must(rule: Any, why: str) -> None:
    """One thing for two, another shape, no array: refused in our words."""
    tx, g = leafwise(rule, Mean, mean=jnp.zeros_like), jnp.ones(2)
    with pytest.raises(ValueError, match=why):
        tx.update(g, tx.init(g))


def test_a_rule_and_its_slots_fit_the_state() -> None:
    """A slot without a field, a rule that takes other things: refused when made."""
    with pytest.raises(ValueError, match=r"Mean has no field for the slot 'sigma'"):
        leafwise(lambda g, s: (g, s), Mean, sigma=jnp.zeros_like)
    with pytest.raises(ValueError, match=r"must take rule\(g, mean\)"):
        leafwise(lambda g: g, Mean, mean=jnp.zeros_like)
    with pytest.raises(ValueError, match=r"must take rule\(g\)"):
        leafwise(lambda g, mean: (g, mean), Mean)
    with pytest.raises(ValueError, match="class of named tuples"):
        leafwise(lambda g: g, dict)


OTHERS = {
    "adamw8bit": (gradtx.adamw8bit, "a tuple of .ScaleByAdamState.*is QuantizedState"),
    "lion": (gradtx.lion, "is ScaleByAdamState, but .*ScaleByLionState"),
    "adabelief": (
        lambda rate: gradtx.adabelief(rate, weight_decay=0.1),
        "is ScaleByAdamState, but .*ScaleByBeliefState",
    ),
    "lookahead": (
        lambda rate: gradtx.lookahead(gradtx.adamw(rate), 2, 0.5),
        "state is a tuple",
    ),
    "accumulate": (
        lambda rate: gradtx.accumulate(gradtx.adamw(rate), 2),
        "MultiStepsState",
    ),
    "sam": (
        lambda rate: gradtx.sam(gradtx.adamw(rate), gradtx.sgd(rate)),
        "SAMState",
    ),
    "schedule": (
        lambda _: gradtx.scale_by_schedule(lambda count: count),
        "ScaleByScheduleState",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_state_of_another_is_refused(name: str) -> None:
    """What the state is and what was expected are named; optax's own state is taken."""
    make, why = OTHERS[name]
    params = {"w": jnp.ones((2, 3))}
    state = gradtx.adamw(0.1).init(params)
    with pytest.raises(ValueError, match=why):
        make(0.1).update(params, state, params)
    gradtx.adamw(0.1).update(params, optax.adamw(0.1).init(params), params)
    few = gradtx.quantize_state(gradtx.adam(0.1), min_size=0).init(params)
    with pytest.raises(
        ValueError, match=r"QuantizedState.*a tuple of .ScaleByAdamState"
    ):
        gradtx.adam(0.1).update(params, few, params)
    with pytest.raises(ValueError, match=r"'mu' at \['w'\] is quantized"):
        gradtx.adam(0.1).update(params, few.inner_state, params)


class Odd(Exception):
    """What went wrong in a function of the user's."""


def odd(*_: Any) -> Any:
    """Go wrong."""
    raise Odd


WITHIN = {
    "lbfgs": gradtx.lbfgs(),
    "backtracking": gradtx.scale_by_backtracking_linesearch(3),
    "sophia": gradtx.contrib.sophia(0.1),
    "accumulate": gradtx.accumulate(gradtx.stateless(odd), 1),
    "conditionally_mask": gradtx.conditionally_mask(
        gradtx.stateless(odd), jnp.isfinite
    ),
    "schedule": gradtx.chain(gradtx.stateless(odd), gradtx.scale_by_schedule(float)),
    "lookahead": gradtx.lookahead(gradtx.stateless(odd), 2, 0.5),
}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", WITHIN)
def test_an_error_of_the_user_s_comes_through(name: str, *, jit: bool) -> None:
    """No state is blamed for it: what it raised comes as it is."""
    tx, x = WITHIN[name], jnp.ones(2)
    extra = {"value": 1.0, "grad": x, "value_fn": odd, "obj_fn": odd}
    update = partial(tx.update, **extra)
    with pytest.raises(Odd):
        (partial(jax.eval_shape, update) if jit else update)(x, tx.init(x), x)
