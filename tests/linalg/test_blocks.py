"""Blocks, stacks, and products along axes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.linalg import bases, kronecker
from gradtx.linalg.blocks import Blocks, merged_backwards, merged_forwards
from gradtx.linalg.stacks import by_shape


def normal(*shape: int, seed: int = 0) -> jnp.ndarray:
    """Return normal numbers."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("limit", [None, 2, 3])
@pytest.mark.parametrize(
    "numbers",
    [
        None,
        gradtx.MuonDimensionNumbers(2, 0),
        gradtx.MatrixAxes(2, (0, 1), heads=2),
        gradtx.MatrixAxes(0, (1, 2), splits=(4, 1, 4, 1)),
    ],
)
@pytest.mark.one_in(8)
def test_blocks_are_put_together_again(numbers: object, limit: int | None) -> None:
    """Taken apart and joined, an array is what it was; blocks are no longer than asked.

    Every entry is in one block.
    """
    x = normal(4, 2, 5)
    blocks = Blocks(x.shape, numbers, limit=limit)
    whole, back = blocks.unfold(x)
    pieces = blocks.cut(whole)
    assert sum(piece.size for piece in pieces) == x.size
    if limit:
        assert max(d for piece in pieces for d in piece.shape[1:]) <= limit
    np.testing.assert_array_equal(back(blocks.join(pieces)), x)
    for piece, region in zip(pieces, blocks.regions, strict=True):
        count, dims = blocks.sizes(region)
        assert piece.shape == (count, *dims)


def test_axes_are_merged() -> None:
    """From the first on, or from the last on down to a number of axes."""
    assert merged_forwards((2, 3, 4, 5), 6) == (6, 4, 5)
    assert merged_forwards((7, 2, 3), 6) == (7, 6)
    assert merged_forwards((), 6) == (1,)
    assert merged_backwards((64, 32, 3, 3), 1024, 1) == (64, 288)
    assert merged_backwards((5, 5), 1024, 1) == (25,)
    assert merged_backwards((5, 5), 1024, None) == (5, 5)
    assert merged_backwards((2, 2, 2), 1024, 2) == (2, 4)
    assert merged_backwards((1, 4, 1), 2, None) == (4,)
    assert merged_backwards((1, 1), 2, 1) == (1,)


def test_stacks_give_every_row_its_own() -> None:
    """Rows of one shape go through one call, and get what is theirs; None stays."""
    calls = []

    def double(x: jnp.ndarray, y: jnp.ndarray | None) -> tuple[jnp.ndarray, None]:
        calls.append(x.shape)
        return (x if y is None else x + y), None

    rows = [
        (normal(n, 2, seed=n), y) for n, y in ((1, None), (3, None), (2, normal(2, 2)))
    ]
    found = by_shape(double, rows)
    assert calls == [(4, 2), (2, 2)]
    for (x, y), (z, none) in zip(rows, found, strict=True):
        np.testing.assert_allclose(z, x if y is None else x + y)
        assert none is None


def test_products_along_axes() -> None:
    """They are the sums that einsum writes, and `gram` sums over all other axes."""
    x, q = normal(2, 3, 4, 5), [normal(2, d, d, seed=d) for d in (3, 4, 5)]
    expected = jnp.einsum("nabc,nax,nby,ncz->nxyz", x, *q)
    np.testing.assert_allclose(kronecker.multiply_axes(x, q), expected, rtol=1e-4)
    alone = kronecker.multiply_axes(x, [None, q[1], None], transpose=True)
    np.testing.assert_allclose(alone, jnp.einsum("nabc,nyb->nayc", x, q[1]), rtol=1e-4)
    for i, letters in enumerate(("nabc,nxbc->nax", "nabc,naxc->nbx", "nabc,nabx->ncx")):
        gram = jnp.einsum(letters, x, x)
        np.testing.assert_allclose(kronecker.gram(x, i), gram, rtol=1e-4, atol=1e-5)
        diagonal = jnp.diagonal(gram, axis1=1, axis2=2)
        np.testing.assert_allclose(kronecker.sums_of_squares(x, i), diagonal, rtol=1e-4)
    solved = kronecker.solve_axes(
        x, [None, jnp.triu(q[1]) + 3 * jnp.eye(4)[None], None]
    )
    again = kronecker.multiply_axes(
        solved, [None, jnp.triu(q[1]) + 3 * jnp.eye(4)[None], None]
    )
    np.testing.assert_allclose(again, x, rtol=1e-3, atol=1e-4)


def test_norms_of_any_size() -> None:
    """Norms neither overflow nor vanish, and products of huge entries are finite."""
    x = normal(2, 3, 3)
    for size in (1e30, 1e-30):
        expected = size * np.linalg.norm(np.asarray(x, np.float64), axis=(1, 2))
        np.testing.assert_allclose(
            kronecker.norms(x * size)[:, 0, 0], expected, rtol=1e-5
        )
    assert (kronecker.norms(0 * x) == 0).all()
    assert jnp.isfinite(kronecker.gram(x * 1e30, 0)).all()


def test_the_bound_of_the_spectral_norm() -> None:
    """It lies between a bit less than the largest eigenvalue and that; 0 of zeros."""
    x = normal(5, 6, 6)
    a = x @ x.mT
    largest = np.linalg.eigvalsh(a)[:, -1]
    bound = kronecker.spectral_norm_bound(a)[:, 0, 0]
    assert (bound <= largest * 1.0001).all()
    assert (bound > largest / 1.5).all()
    assert (kronecker.spectral_norm_bound(0 * a) == 0).all()


def test_bases_of_zero_and_huge_matrices() -> None:
    """Bases are orthogonal whatever the matrix, and are kept where it is not finite."""
    x = normal(1, 4, 4)
    a = x @ x.mT
    eye = jnp.eye(4)[None]
    for size in (0.0, 1e-38, 1.0, 1e37):
        q = bases.eigenvectors(a * size)
        np.testing.assert_allclose(q @ q.mT, eye, atol=1e-5)
        new, change, _ = bases.turned(a * size, q, sort=True)
        np.testing.assert_allclose(new @ new.mT, eye, atol=1e-5)
        np.testing.assert_allclose(q @ change, new, atol=1e-5)
    for anew in (False, True):
        new, change, order = bases.turned(a * jnp.nan, eye, sort=True, anew=anew)
        np.testing.assert_array_equal(new, eye)
        np.testing.assert_array_equal(change, eye)
        np.testing.assert_array_equal(order[0], np.arange(4))


def test_bases_found_anew_are_those_of_eigenvectors() -> None:
    """Whether it is known or traced that they are wanted, and whatever the old are."""
    x = normal(2, 4, 4)
    a, (old, _) = x @ x.mT, jnp.linalg.qr(normal(2, 4, 4, seed=1))
    turn = partial(bases.turned, a, old, sort=True)
    expected = bases.eigenvectors(a, descending=True)
    for way in (turn, jax.jit(turn)):
        new, change, order = way(anew=True)
        np.testing.assert_allclose(new, expected, atol=1e-6)
        np.testing.assert_allclose(old @ change, expected, atol=1e-5)
        np.testing.assert_array_equal(order, np.arange(4)[None].repeat(2, 0))
        np.testing.assert_allclose(way(anew=False)[0], turn()[0], atol=1e-6)


def test_the_order_in_which_numbers_fall() -> None:
    """It is that of a stable sort, in which both zeros and infinities have places."""
    x = jnp.array(
        [[0.0, -0.0, 3, -2, jnp.inf, 3, -jnp.inf, 0], [1, 2, 3, 4, 5, 6, 7, 8]]
    )
    expected = [[4, 2, 5, 0, 1, 7, 3, 6], [7, 6, 5, 4, 3, 2, 1, 0]]
    np.testing.assert_array_equal(bases.falling(x), expected)


def test_bases_stay_orthogonal_turn_after_turn() -> None:
    """Rounding errors of a basis are not handed on to the next."""
    x = normal(1, 4, 4)
    turn = jax.jit(lambda q: bases.turned(x @ x.mT, q, sort=True)[0])
    q = jnp.eye(4)[None]
    for _ in range(60):
        q = turn(q)
    np.testing.assert_allclose(q @ q.mT, jnp.eye(4)[None], atol=1e-5)


def test_inverse_powers() -> None:
    """A^(-1/2) twice is the inverse; rounding below ε is lifted, zeros may be left."""
    x = normal(1, 4, 4)
    a = x @ x.mT + jnp.eye(4)[None]
    root = bases.inverse_power(a, 0.5, 0.0, a)
    np.testing.assert_allclose(root @ root @ a, jnp.eye(4)[None], atol=1e-4)
    one = jnp.ones((1, 3, 3))
    left = bases.inverse_power(one, 0.5, 0.0, one, pseudo=True)
    np.testing.assert_allclose(left, one / 3**1.5, rtol=1e-4)
    lifted = bases.inverse_power(-1e-3 * one, 0.5, 1e-4, one)
    assert jnp.isfinite(lifted).all()
    kept = bases.inverse_power(one * jnp.nan, 0.5, 1e-4, 2 * one)
    np.testing.assert_array_equal(kept, 2 * one)
