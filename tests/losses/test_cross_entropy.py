"""Cross entropies, at their edges and against sums written out."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx import losses

INF = jnp.inf
ONE_HOT = [
    losses.softmax_cross_entropy,
    losses.safe_softmax_cross_entropy,
    losses.poly_loss_cross_entropy,
]


def value_and_slopes(loss: Any, *args: Any, **settings: Any) -> Any:
    """Return the sum of a loss, and its gradients in all arguments."""

    def total(*a: Any) -> jax.Array:
        return jnp.sum(loss(*a, **settings))

    return jax.jit(jax.value_and_grad(total, tuple(range(len(args)))))(*args)


@pytest.mark.parametrize("loss", ONE_HOT, ids=lambda loss: loss.__name__)
def test_impossible_class_costs_nothing_unless_it_is_the_label(loss: Any) -> None:
    """A logit of -inf gives a finite loss and slopes where its label is 0, else inf."""
    z = jnp.float32([-INF, 0, 1])
    value, slopes = value_and_slopes(loss, z, jnp.float32([0, 1, 0]))
    rest = loss(z[1:], jnp.float32([1, 0]))
    np.testing.assert_allclose(value, rest, rtol=1e-6)
    assert all(jnp.all(jnp.isfinite(s)) for s in slopes)
    assert slopes[0][0] == 0
    assert loss(z, jnp.float32([0.5, 0.5, 0])) == INF


def test_integer_labels_are_one_hot_labels() -> None:
    """Also with impossible classes, far away from 0, and for every axis."""
    z = jnp.float32([[-INF, 0, 1], [1e5, 1e5 + 1, -1e5], [0, 0, 0]])
    y = jnp.array([1, 0, 2])
    one_hot = losses.softmax_cross_entropy(z, jax.nn.one_hot(y, 3))
    integer = losses.softmax_cross_entropy_with_integer_labels(z, y)
    np.testing.assert_allclose(integer, one_hot, rtol=1e-6)
    np.testing.assert_allclose(integer[1], np.log1p(np.e), rtol=1e-6)
    first = losses.softmax_cross_entropy_with_integer_labels(z.T, y, axis=0)
    np.testing.assert_array_equal(first, integer)


def test_classes_over_several_axes() -> None:
    """A label counts through the axes in the order they are given."""
    z = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    y = np.array([2, 7, 5])
    got = losses.softmax_cross_entropy_with_integer_labels(z, y, axis=(2, 0))
    for i, label in enumerate(y):
        flat = z[:, i].T.ravel()
        expected = np.log(np.sum(np.exp(flat))) - flat[label]
        np.testing.assert_allclose(got[i], expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [ONE_HOT[0], ONE_HOT[2]], ids=lambda f: f.__name__)
@pytest.mark.one_in(2)
def test_excluded_classes_do_not_exist(loss: Any) -> None:
    """With a mask, the loss is that of the classes included, whatever the others hold.

    An example left out has the loss 0, and slopes 0.
    """
    rng = np.random.default_rng(0)
    z = rng.normal(size=(3, 4)).astype(np.float32)
    y = rng.dirichlet(np.ones(4), size=3).astype(np.float32)
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]], bool)
    z = np.where(mask, z, np.nan)
    got = loss(z, y, where=mask)
    for i in (0, 2):
        np.testing.assert_allclose(
            got[i], loss(z[i][mask[i]], y[i][mask[i]]), rtol=1e-5
        )
    assert got[1] == 0
    _, slopes = value_and_slopes(loss, jnp.asarray(z), jnp.asarray(y), where=mask)
    assert all(jnp.all(jnp.isfinite(s)) for s in slopes)
    assert jnp.all(slopes[0][~mask] == 0)


def test_excluded_examples_do_not_count() -> None:
    """A mask of examples zeroes their losses, with any label and any logits."""
    z = jnp.float32([[1, 2, 3], [jnp.nan, 2, 3], [1, 2, 3]])
    y = jnp.array([0, 1, -1])
    mask = jnp.array([True, False, False])
    loss = losses.softmax_cross_entropy_with_integer_labels
    total = jax.value_and_grad(lambda z: jnp.sum(loss(z, y, where=mask)))
    value, slope = jax.jit(total)(z)
    np.testing.assert_allclose(value, loss(z[0], y[0]), rtol=1e-6)
    assert jnp.all(slope[1:] == 0)
    one_hot = losses.softmax_cross_entropy(z, jax.nn.one_hot(y, 3), where=mask)
    np.testing.assert_allclose(jnp.sum(one_hot), value, rtol=1e-6)


def test_excluded_classes_leave_the_sum() -> None:
    """For integer labels a mask of classes narrows the sum of the exponentials."""
    z = jnp.float32([[1.0, 2, 3]])
    mask = jnp.array([[True, True, False]])
    loss = losses.softmax_cross_entropy_with_integer_labels
    got = loss(z, jnp.array([1]), where=mask)
    np.testing.assert_allclose(got, loss(z[:, :2], jnp.array([1])), rtol=1e-6)


def test_mask_must_fit() -> None:
    """A mask of another shape is an error that names both shapes."""
    z = jnp.ones((2, 3))
    with pytest.raises(ValueError, match=r"\(5,\).*\(2, 3\)"):
        losses.softmax_cross_entropy(z, z, where=jnp.ones(5))


def test_labels_may_be_shared_by_the_batch() -> None:
    """Labels that lack leading axes hold for all examples."""
    z, y = jnp.arange(6.0).reshape(2, 3), jnp.float32([0.2, 0.3, 0.5])
    for loss in ONE_HOT:
        np.testing.assert_array_equal(loss(z, y), loss(z, jnp.stack([y, y])))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.one_in(2)
def test_sure_answers_have_finite_slopes(gamma: float) -> None:
    """Right answers without any doubt cost nothing, and do not break the gradient."""
    z = jnp.float32([INF, -INF, 300, -300])
    y = jnp.float32([1, 0, 1, 0])

    def focal(z: jax.Array, y: jax.Array) -> jax.Array:
        return losses.sigmoid_focal_loss(z, y, gamma=gamma)

    for loss in (focal, losses.sigmoid_binary_cross_entropy):
        value, slopes = value_and_slopes(loss, z, y)
        assert value == 0
        np.testing.assert_array_equal(slopes[0], jnp.zeros(4))
    wrong = losses.sigmoid_binary_cross_entropy(z[:1], 1 - y[:1])
    assert jnp.all(wrong == INF)


def test_focal_loss_is_weighted_cross_entropy() -> None:
    """The focal loss is w (1 - q)^γ times the cross entropy, for soft labels too."""
    z, y = np.linspace(-4, 4, 9), np.linspace(0, 1, 9)
    p = 1 / (1 + np.exp(-z))
    entropy = -y * np.log(p) - (1 - y) * np.log(1 - p)
    q = y * p + (1 - y) * (1 - p)
    expected = (0.3 * y + 0.7 * (1 - y)) * (1 - q) ** 1.5 * entropy
    got = losses.sigmoid_focal_loss(
        jnp.float32(z), jnp.float32(y), alpha=0.3, gamma=1.5
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    for bad in ({"alpha": 1.5}, {"gamma": -1.0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            losses.sigmoid_focal_loss(jnp.ones(1), jnp.ones(1), **bad)


def test_smooth_labels_mixes_with_uniform() -> None:
    """Smoothed labels still sum to 1, over the classes counted."""
    y = jnp.eye(3)[:2]
    np.testing.assert_allclose(losses.smooth_labels(y, 0.3), 0.7 * y + 0.1, rtol=1e-6)
    mask = jnp.array([[True, True, False], [False, False, False]])
    got = losses.smooth_labels(y, 0.3, where=mask)
    np.testing.assert_allclose(got[0], 0.7 * y[0] + 0.15, rtol=1e-6)
    assert jnp.all(jnp.isfinite(got))
    with pytest.raises(ValueError, match="alpha"):
        losses.smooth_labels(y, 1.5)
