"""What a state holds is found and changed by name and by path."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

import gradtx
from gradtx import tree, tree_utils
from gradtx.schedules import linear_schedule

PARAMS = {"my/module": {"w": jnp.ones(2)}, "b": jnp.ones(3)}
STATE = gradtx.adam(linear_schedule(1.0, 0.0, 10)).init(PARAMS)


class Holder(NamedTuple):
    """A state that holds another."""

    inner: object
    size: int


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("mu", STATE[0].mu),
        ("ScaleByAdamState", STATE[0]),
        ("ScaleByAdamState.count", STATE[0].count),
        ("0/count", STATE[0].count),
        ("1/count", STATE[1].count),
        ((1, "count"), STATE[1].count),
        ("0/nu/b", STATE[0].nu["b"]),
        ("0/ScaleByAdamState.nu/b", STATE[0].nu["b"]),
        ((0, "nu", "my/module", "w"), STATE[0].nu["my/module"]["w"]),
        ("/1", STATE[1]),
        ("0/nothing", None),
        ("nothing", None),
    ],
)
def test_get(key, expected):
    """All forms of a key find the very object, and None what is not there."""
    assert tree.get(STATE, key) is expected


def test_of_step_counts_the_outermost():
    """With a schedule in the chain there are two of them, which count the same."""
    assert tree.get(STATE, "count") is STATE[0].count
    inner = gradtx.MultiSteps(gradtx.adam(0.1), 2)
    line = gradtx.chain(inner, gradtx.scale_by_schedule(lambda _: 1.0))
    state = line.init(PARAMS)
    for _ in range(3):
        _, state = line.update(PARAMS, state, PARAMS)
    assert tree.get(state, "count") == 3
    assert tree.get(state, "ScaleByAdamState.count") == 1
    assert int(jax.jit(lambda s: tree.get(s, "count"))(state)) == 3
    shapes = jax.eval_shape(lambda: state)
    assert tree.get(shapes, "count") is shapes[1].count


NORM = {"norm": {"scale": jnp.ones(4), "bias": jnp.zeros(4)}}


def test_fields_come_before_parameters_of_their_name():
    """The scale of a plateau is meant, not the moments of Flax's `scale`."""
    tx = gradtx.chain(gradtx.adam(0.1), gradtx.contrib.reduce_on_plateau(patience=1))
    state = tx.init(NORM)
    assert tree.get(state, "scale") is state[1].scale
    new = tree.set(state, scale=0.5)
    assert new[1].scale == 0.5
    assert new[0] is state[0]
    assert len(tree.get_all_with_path(state, "scale")) == 3


def test_parameters_in_several_fields_are_ambiguous():
    """Moments and squares of a parameter are not set together, nor to a number."""
    state = gradtx.adam(0.1).init(NORM)
    with pytest.raises(KeyError, match=r"2 things.*0/mu/norm/scale.*0/nu/norm/scale"):
        tree.set(state, scale=1.0)
    with pytest.raises(ValueError, match=r"0/mu/norm/scale.*\(4,\).*1.0"):
        tree.set(state, **{"0/mu/norm/scale": 1.0})
    with pytest.raises(ValueError, match=r"0/trace/norm/scale.*\(4,\)"):
        tree.set(gradtx.sgd(0.1, 0.9).init(NORM), scale=1.0)
    only_mu = tree.set(state, lambda path, _: path[1].name == "mu", scale=jnp.ones(4))
    assert (only_mu[0].mu["norm"]["scale"] == 1).all()
    assert only_mu[0].nu is state[0].nu


def test_a_slot_of_a_wrong_shape_is_refused_by_update():
    """However it came there: a number would be broadcast, a tree be misread."""
    tx = gradtx.adam(0.1)
    state = tx.init(NORM)
    for wrong in (jnp.float32(1), jnp.ones(1), jnp.ones((4, 1)), (jnp.ones(4),), None):
        mu = {"norm": {**state[0].mu["norm"], "scale": wrong}}
        broken = (state[0]._replace(mu=mu), *state[1:])
        with pytest.raises(ValueError, match=r"\['norm'\]\['scale'\].*state 'mu'"):
            tx.update(NORM, broken, NORM)


def test_get_default():
    """What is not there is the default."""
    assert tree.get(STATE, "learning_rate", 3.0) == 3.0
    assert tree.get(jnp.ones(2), "x", "none") == "none"


def test_several_are_listed():
    """The error names a path for each, and each path finds one."""
    pair = gradtx.chain(gradtx.ema(0.9), gradtx.sgd(0.1, 0.9), gradtx.ema(0.8))
    state = pair.init(PARAMS)
    with pytest.raises(KeyError) as caught:
        tree.get(state, "ema")
    text = str(caught.value)
    for path in ("0/ema", "2/ema"):
        assert repr(path) in text
        assert tree.get(state, path) is not None
    assert "EmaState.ema" in text
    with pytest.raises(KeyError, match=r"\(0, 'mu', 'my/module', 'w'\)"):
        tree.get(STATE, "w")


def test_a_name_with_a_slash_is_a_name_first():
    """A key of a dictionary is found as it is written."""
    found = tree.get(STATE[0].mu, "my/module")
    assert found is STATE[0].mu["my/module"]


def test_filtering():
    """A function of path and value says which is meant."""

    def of_adam(path, _):
        return path[-1] == tree.NamedTupleKey("ScaleByAdamState", "count")

    assert tree.get(STATE, "count", filtering=of_adam) is STATE[0].count
    assert tree.get_all_with_path(STATE, "count", of_adam) == [
        (
            (
                jax.tree_util.SequenceKey(0),
                tree.NamedTupleKey("ScaleByAdamState", "count"),
            ),
            STATE[0].count,
        )
    ]


def test_as_optax_finds_them():
    """The same paths and values as there, in the same order."""
    nested = {
        "a": {"a": 1.0, "b": [Holder({"a": 2}, 3), None]},
        "c": (4, Holder(Holder(5, 6), 7)),
    }
    for key in ("a", "b", "c", "size", "inner", "Holder", "none"):
        ours = tree.get_all_with_path(nested, key)
        theirs = optax.tree.get_all_with_path(nested, key)
        assert {(str_of(p), str(x)) for p, x in ours} == {
            (str_of(p), str(x)) for p, x in theirs
        }
    assert tree.get_all_with_path(nested, "a")[0][1] is nested["a"]


def str_of(path):
    """Write a path of either library."""
    return jax.tree_util.keystr(path)


def test_set():
    """Everything named is replaced, or the one at a path."""
    both = tree.set(STATE, count=jnp.int32(5))
    assert (int(both[0].count), int(both[1].count)) == (5, 5)
    one = tree.set(STATE, **{"0/count": 7})
    assert (one[0].count, int(one[1].count)) == (7, 0)
    assert one[0].mu["b"] is STATE[0].mu["b"]
    named = tree.set(STATE, **{"ScaleByScheduleState.count": 8})
    assert (int(named[0].count), named[1].count) == (0, 8)
    assert tree.set(STATE, ScaleByScheduleState=None)[1] is None


def test_what_is_set_keeps_the_type_of_its_place():
    """Numbers of Python and of other types, alone and in trees; no fractions as counts.

    A jitted step then compiles nothing anew, on many devices neither.
    """
    tx = gradtx.inject_hyperparams(gradtx.adam)(0.1)
    traces = []

    @jax.jit
    def step(s):
        traces.append(s)
        return tx.update(PARAMS, s, PARAMS)[1]

    state = step(tx.init(PARAMS))
    for rate in (1e-5, 1, np.float64(0.5), jnp.bfloat16(0.25), np.array(0.125)):
        state = step(tree.set(state, learning_rate=rate))
        found = tree.get(state, "learning_rate")
        assert found == np.float32(rate)
        assert found.dtype == jnp.float32
    whole = tree.set(state, hyperparams=dict.fromkeys(state.hyperparams, 0.5), count=3)
    step(whole)
    assert whole.count.dtype == jnp.int32
    assert len(traces) == 1
    with pytest.raises(ValueError, match=r"count.*int32, and 0.5 no integer"):
        tree.set(state, count=0.5)
    over = problems.mesh(jax.sharding.AxisType.Auto)
    state = jax.jit(tx.init)(problems.spread({"w": jnp.ones((8, 2))}, over))
    old = tree.get(state, "b1")
    assert tree.get(tree.set(state, b1=0.5), "b1").sharding == old.sharding


def test_set_the_outermost():
    """What lies within a replaced thing is not looked at; a filter goes deeper."""
    nested = {"a": {"a": 1.0}, "b": {"a": 1}}
    assert tree.set(nested, a=2) == {"a": 2, "b": {"a": 2}}
    deeper = tree.set(nested, lambda _, x: isinstance(x, float), a=2.0)
    assert deeper == {"a": {"a": 2.0}, "b": {"a": 1}}


def test_set_what_is_not_there():
    """The error says so, and what may have been meant."""
    with pytest.raises(KeyError, match="did you mean 'count'"):
        tree.set(STATE, cuont=1)
    with pytest.raises(KeyError, match="passes the filtering"):
        tree.set(STATE, lambda _path, _value: False, count=1)


def test_jitted():
    """Looking and setting are for the structure, so they can be traced."""
    changed = jax.jit(lambda s, x: tree.set(s, **{"1/count": x}))(STATE, 4)
    assert int(jax.jit(lambda s: tree.get(s, (1, "count")))(changed)) == 4


@pytest.mark.parametrize("library", [gradtx, optax])
def test_map_params(library):
    """Leaves of parameters are mapped beside a tree like them, others apart."""
    mask = {"my/module": {"w": True}, "b": False}
    tx = library.chain(
        library.adamw(1e-3, mask=mask),
        library.masked(library.trace(0.9), mask),
    )
    names = {"my/module": {"w": "w"}, "b": "b"}
    for initable in (tx, tx.init):
        got = tree.map_params(
            initable,
            lambda _, name: name,
            tx.init(PARAMS),
            names,
            transform_non_params=lambda _: "other",
            is_leaf=lambda x: type(x).__name__ == "MaskedNode",
        )
        assert tree.get(got, "mu") == names
        assert tree.get(got, "count") == "other"
        assert tree.get(got, "trace")["my/module"] == {"w": "w"}


def test_map_params_through_wrappers():
    """Slow weights, parts of a partition and their moments are parameters' too."""
    parts = {"x": gradtx.adam(0.1), "y": gradtx.sgd(0.1, momentum=0.9)}
    labels = {"my/module": "x", "b": "y"}
    tx = gradtx.lookahead(gradtx.partition(parts, labels), 5, 0.5)
    got = tree.map_params(tx, jnp.shape, tx.init(PARAMS), transform_non_params=str)
    assert tree.get(got, "slow_params") == jax.tree.map(jnp.shape, PARAMS)
    assert tree.get(got, "trace")["b"] == (3,)
    assert tree.get(got, "steps_since_sync") == "0"


@pytest.mark.parametrize("pair", [gradtx.LookaheadParams, optax.LookaheadParams])
def test_map_params_of_pairs(pair):
    """Where the caller holds the slow weights, the moments of the fast are mapped."""
    tx = gradtx.lookahead(gradtx.sgd(0.1, momentum=0.9), 5, 0.5)
    state = tx.init(pair.init_synced(PARAMS))
    got = tree.map_params(tx, jnp.shape, state, transform_non_params=str)
    assert tree.get(got, "trace") == jax.tree.map(jnp.shape, PARAMS)
    assert tree.get(got, "steps_since_sync") == "0"
    with pytest.raises(ValueError, match=r"structure|Expected"):
        tree.map_params(tx, jnp.shape, gradtx.sgd(0.1).init(PARAMS))


def test_other_libraries_mapping_ours():
    """Its own mapping finds the parameters in our states, masks as trees included."""
    tx = gradtx.masked(gradtx.trace(0.9), {"a": True, "b": False})
    state = tx.init({"a": jnp.ones(2), "b": jnp.ones(3)})
    got = optax.tree.map_params(tx, jnp.shape, state)
    assert got.inner_state.trace["a"] == (2,)


def test_both_addresses():
    """Every long name forwards to its short one."""
    for name in dir(optax.tree_utils):
        if not name.startswith(("tree_", "NamedTupleKey")):
            continue
        assert hasattr(tree_utils, name), name
    for name in dir(optax.tree):
        if not name.startswith("_"):
            assert getattr(tree_utils, f"tree_{name}") is getattr(tree, name)
