"""Ranking, contrastive, triplet and Fenchel-Young losses, against their sums."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx import losses

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(3, 4)).astype(np.float32)
RELEVANCE = RNG.integers(0, 3, (3, 4)).astype(np.float32)
MASK = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]], bool)
WEIGHTS = RNG.random((3, 4)).astype(np.float32)


def rank_one(s: np.ndarray, y: np.ndarray) -> float:
    """Return -Σ yᵢ log softmax(s)ᵢ."""
    return -np.sum(y * (s - np.log(np.sum(np.exp(s))))) if len(s) else 0.0


def test_ranking_sums() -> None:
    """Masked items do not exist, and lists without items cost 0 and do not count."""
    rows = [
        rank_one(s[m], (y * w)[m])
        for s, y, w, m in zip(SCORES, RELEVANCE, WEIGHTS, MASK, strict=True)
    ]
    hidden = np.where(MASK, SCORES, np.nan)

    def loss(**settings: Any) -> jax.Array:
        return losses.ranking_softmax_loss(
            hidden, RELEVANCE, where=MASK, weights=WEIGHTS, **settings
        )

    np.testing.assert_allclose(loss(reduce_fn=None), rows, rtol=1e-5)
    np.testing.assert_allclose(loss(reduce_fn=jnp.sum), sum(rows), rtol=1e-5)
    np.testing.assert_allclose(loss(), sum(rows) / 2, rtol=1e-5)


def test_ranking_nothing() -> None:
    """No list at all has the mean 0, and finite slopes."""
    value, slope = jax.jit(jax.value_and_grad(losses.ranking_softmax_loss))(
        jnp.asarray(SCORES), RELEVANCE, where=np.zeros((3, 4))
    )
    assert value == 0
    assert jnp.all(slope == 0)
    with pytest.raises(ValueError, match="weights"):
        losses.ranking_softmax_loss(SCORES, RELEVANCE, weights=jnp.ones(3))


def test_ranking_ignores_impossible_items() -> None:
    """An irrelevant item with the score -inf costs nothing."""
    s = jnp.float32([-jnp.inf, 0, 1])
    value, slope = jax.value_and_grad(losses.ranking_softmax_loss)(
        s, jnp.float32([0, 1, 0])
    )
    np.testing.assert_allclose(value, np.log1p(np.e), rtol=1e-6)
    assert jnp.all(jnp.isfinite(slope))


def test_ntxent_is_the_mean_over_pairs() -> None:
    """Each pair of one label is compared with all embeddings of other labels."""
    x = RNG.normal(size=(5, 3))
    labels = [0, 1, 0, 1, 0]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    e = np.exp(unit @ unit.T / 0.5)
    pairs = []
    for i, j in np.ndindex(5, 5):
        if i != j and labels[i] == labels[j]:
            others = sum(e[i, k] for k in range(5) if labels[k] != labels[i])
            pairs.append(-np.log(e[i, j] / (e[i, j] + others)))
    got = jax.jit(losses.ntxent)(jnp.float32(x), jnp.array(labels), 0.5)
    np.testing.assert_allclose(got, np.mean(pairs), rtol=1e-5)


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0]])
@pytest.mark.one_in(2)
def test_ntxent_without_pairs_or_others(labels: list[int]) -> None:
    """No pair, or nothing to tell it from, gives 0 and finite slopes."""
    value, slope = jax.jit(jax.value_and_grad(losses.ntxent))(
        jnp.zeros((3, 2)).at[0].set(1), jnp.array(labels)
    )
    assert value == 0
    assert jnp.all(jnp.isfinite(slope))


def test_ntxent_refuses() -> None:
    """Labels that do not fit, and a temperature of 0, are errors."""
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(2,\)"):
        losses.ntxent(jnp.ones((3, 2)), jnp.array([0, 0]))
    with pytest.raises(ValueError, match="temperature"):
        losses.ntxent(jnp.ones((3, 2)), jnp.array([0, 0, 1]), 0.0)


@pytest.mark.parametrize("degree", [1, 2, 3, 1.5])
def test_triplet_distances(degree: float) -> None:
    """Distances are norms of any degree, of moduli also where the degree is odd."""
    a, p, n = RNG.normal(size=(3, 4, 2))
    near, far = (
        (np.sum(np.abs(a - b) ** degree, 1) + 1e-6) ** (1 / degree) for b in (p, n)
    )
    got = jax.jit(
        lambda *x: losses.triplet_margin_loss(*x, norm_degree=degree, margin=0.5)
    )(*jnp.float32([a, p, n]))
    np.testing.assert_allclose(
        got, np.maximum(near - far + 0.5, 0), rtol=1e-4, atol=1e-5
    )


def test_triplet_of_equals() -> None:
    """Equal embeddings are at the margin, with finite slopes even without eps."""
    x = jnp.ones((2, 3))
    value, slope = jax.value_and_grad(
        lambda a: jnp.sum(losses.triplet_margin_loss(a, x, x, eps=0.0))
    )(x)
    assert value == 2
    assert jnp.all(jnp.isfinite(slope))
    with pytest.raises(ValueError, match="norm_degree"):
        losses.triplet_margin_loss(x, x, x, norm_degree=0)


def test_fenchel_young_of_logsumexp() -> None:
    """With logsumexp it is the cross entropy, for any batch and in any precision."""
    loss = losses.make_fenchel_young_loss(jax.nn.logsumexp)
    y = jax.nn.one_hot(jnp.array([1, 0, 3]), 4)
    expected = losses.softmax_cross_entropy(SCORES, y)
    np.testing.assert_allclose(loss(SCORES, y), expected, rtol=1e-5)
    np.testing.assert_allclose(loss(SCORES, y[0])[0], expected[0], rtol=1e-5)
    half = loss(jnp.bfloat16(SCORES), jnp.bfloat16(y))
    assert half.dtype == jnp.bfloat16
    slope = jax.grad(lambda s: jnp.sum(loss(s, y)))(SCORES)
    np.testing.assert_allclose(slope, jax.nn.softmax(SCORES) - y, atol=1e-6)
    with pytest.raises(ValueError, match=r"\(3, 4\) and targets of shape \(3, 3\)"):
        loss(SCORES, y[:, :3])


def test_fenchel_young_hands_arguments_on() -> None:
    """What follows the targets goes to the maximum."""

    def soft(s: jax.Array, t: float, *, shift: float) -> jax.Array:
        return t * jax.nn.logsumexp(s / t) + shift

    loss = losses.make_fenchel_young_loss(soft)
    got = loss(SCORES, SCORES * 0, 0.5, shift=2.0)
    expected = 0.5 * np.log(np.sum(np.exp(SCORES / 0.5), -1)) + 2
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    impossible = loss(jnp.float32([-jnp.inf, 0]), jnp.float32([0, 1]), 0.5, shift=0.0)
    assert impossible == 0
