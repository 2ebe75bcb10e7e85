"""Weight decay, and what a mask may be."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import contrib

PARAMS = {"w": jnp.float32([[2, 4]]), "b": jnp.float32([3])}
ZERO = jax.tree.map(jnp.zeros_like, PARAMS)


def decayed(tx: Any, params: Any = None) -> Any:
    """Return which part of each parameter is added to a zero update."""
    params = PARAMS if params is None else params
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zero, tx.init(params), params)
    return jax.tree.map(lambda u, p: float((u / p).ravel()[0]), updates, params)


def matrices(params: Any) -> Any:
    """Make the usual mask: matrices decay, the rest does not."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def test_parameters_are_added() -> None:
    """The update is g + λ p, in the parameter's type."""
    tx = gradtx.add_decayed_weights(0.5)
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    updates, state = tx.update(grads, tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["w"], [[2, 3]])
    np.testing.assert_array_equal(updates["b"], [2.5])
    assert state == gradtx.AddDecayedWeightsState()
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    assert tx.update(half, state, half)[0]["b"].dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "mask",
    [
        {"w": True, "b": False},
        matrices,
        dict(zip("wb", np.array([True, False]), strict=True)),
        jax.tree_util.Partial(matrices),
        lambda p: {"w": True, "b": p["b"].ndim > 1},
    ],
    ids=["tree", "function", "NumPy's booleans", "Partial", "by name"],
)
def test_a_mask_is_a_tree_or_a_function(mask: Any) -> None:
    """Only where the mask is True does a leaf decay."""
    assert decayed(gradtx.add_decayed_weights(0.5, mask)) == {"w": 0.5, "b": 0}
    alone = gradtx.adamw(1.0, weight_decay=0.5, mask=mask)
    assert decayed(alone) == {"w": -0.5, "b": 0}


def test_a_mask_may_be_a_prefix() -> None:
    """A boolean stands for the whole tree below it."""
    params = {"layer": PARAMS, "head": PARAMS}
    tx = gradtx.add_decayed_weights(0.5, {"layer": True, "head": False})
    yes, no = {"w": 0.5, "b": 0.5}, {"w": 0, "b": 0}
    assert decayed(tx, params) == {"layer": yes, "head": no}
    assert decayed(gradtx.add_decayed_weights(0.5, mask=True)) == yes
    assert decayed(gradtx.add_decayed_weights(0.5, mask=False)) == no


def test_a_module_that_can_be_called_is_a_tree() -> None:
    """A mask made of a callable module is taken for the tree that it is."""
    model = eqx.nn.Linear(2, 1, key=jax.random.key(0))
    params = eqx.filter(model, eqx.is_inexact_array)
    mask = jax.tree.map(lambda p: p.ndim > 1, params)
    assert callable(mask)
    got = decayed(gradtx.add_decayed_weights(0.5, mask), params)
    assert (got.weight, got.bias) == (0.5, 0)


def test_a_mask_that_does_not_fit_is_refused() -> None:
    """A mask of another structure is refused by path; a traced one with a reason."""
    tx = gradtx.add_decayed_weights(0.5, {"w": True})
    with pytest.raises(ValueError, match=r"add_decayed_weights.*\['b'\]"):
        tx.init(PARAMS)
    with pytest.raises(ValueError, match=r"\['c'\]"):
        decayed(gradtx.add_decayed_weights(0.5, {"w": True, "b": True, "c": True}))

    @jax.jit
    def traced(flag: Any) -> Any:
        return gradtx.add_decayed_weights(0.5, {"w": flag, "b": flag}).init(PARAMS)

    with pytest.raises(ValueError, match="mask must be known"):
        traced(jnp.array(True))  # noqa: FBT003


def test_the_decay_may_be_a_schedule() -> None:
    """λ follows the number of steps taken, under a mask too."""
    for mask in (None, True):
        tx = gradtx.add_decayed_weights(lambda count: 0.5 / (1 + count), mask)
        state = tx.init(PARAMS)
        for expected in (0.5, 0.25):
            updates, state = tx.update(ZERO, state, PARAMS)
            np.testing.assert_allclose(updates["b"], expected * PARAMS["b"])


def test_it_needs_parameters() -> None:
    """Without parameters it is refused with how to call it; so is a negative λ."""
    tx = gradtx.add_decayed_weights(0.5)
    with pytest.raises(ValueError, match=r"call update\(updates, state, params\)"):
        tx.update(ZERO, tx.init(PARAMS))
    with pytest.raises(ValueError, match="weight_decay must be in"):
        gradtx.add_decayed_weights(-0.1)


def test_cautious_decay_spares_what_grows() -> None:
    """Only where the step brings an entry nearer to zero, or leaves it, does it decay.

    Also where the product of update and parameter would vanish.
    """
    p = jnp.float32([2, -2, 2, 1e-30, 0])
    u = jnp.float32([1, 1, 0, -1e-30, 1])
    tx = gradtx.add_decayed_weights(0.5, kind="cautious")
    got, _ = tx.update(u, tx.init(p), p)
    np.testing.assert_array_equal(got, jnp.float32([2, 1, 1, -1e-30, 1]))
    z, w = jnp.complex64([1 + 1j]), jnp.complex64([1j])
    got, _ = tx.update(w, tx.init(z), z)
    np.testing.assert_allclose(got, w + 0.5 * z)


def test_corrected_and_independent_decay_follow_the_schedule() -> None:
    """The parameters shrink by λ η² / η_peak, and by λ η / η_peak."""
    rates = [0.4, 0.2, 0.1]
    schedule = gradtx.piecewise_constant_schedule(0.4, {1: 0.5, 2: 0.5})
    for kind, powers in (("corrected", 2), ("independent", 1)):
        tx = gradtx.descend(
            gradtx.identity(),
            schedule,
            weight_decay=0.5,
            decay_kind=kind,
            peak_learning_rate=0.4,
        )
        p, state = jnp.ones(1), tx.init(jnp.ones(1))
        for rate in rates:
            u, state = tx.update(jnp.zeros(1), state, p)
            np.testing.assert_allclose(u, -0.5 * rate**powers / 0.4 * p, rtol=1e-6)
            p = gradtx.apply_updates(p, u)


def test_every_method_takes_every_kind() -> None:
    """AdamW, Lion and Muon pass kind and peak on; without them nothing has changed."""
    params = {"w": jnp.eye(2), "b": jnp.ones(2)}
    for make in (gradtx.adamw, gradtx.lion, contrib.muon):
        plain = make(0.1, weight_decay=0.5)
        assert make(0.1, weight_decay=0.5, decay_kind="decoupled") == plain
        shrinks = []
        for kind in ("decoupled", "cautious", "corrected", "independent"):
            tx = make(0.1, weight_decay=0.5, decay_kind=kind, peak_learning_rate=0.2)
            assert repr(tx).count("_kind") == (kind != "decoupled")
            zero = jax.tree.map(jnp.zeros_like, params)
            updates, _ = tx.update(zero, tx.init(params), params)
            shrinks.append(-float(updates["w"][0, 0]))
        np.testing.assert_allclose(shrinks, [0.05, 0.05, 0.025, 0.25], rtol=1e-6)


def test_a_missing_peak_is_said() -> None:
    """A schedule does not tell its largest rate; a kind that is not known is named."""
    for kind in ("corrected", "independent"):
        with pytest.raises(ValueError, match=rf"adamw .*{kind}.*peak_learning_rate"):
            gradtx.adamw(lambda _: 0.1, decay_kind=kind)
        assert gradtx.adamw(0.1, decay_kind=kind)
    with pytest.raises(ValueError, match=r"'corrected' needs learning_rate"):
        gradtx.add_decayed_weights(0.1, kind="corrected", peak_learning_rate=0.1)
    with pytest.raises(ValueError, match=r"kind must be one of .*'coupled'"):
        gradtx.add_decayed_weights(0.1, kind="coupled")
