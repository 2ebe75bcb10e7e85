"""The Hungarian algorithm, by shortest augmenting paths."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from gradtx.common import numerics
from gradtx.lowering.control_flow import fori_loop, while_loop


def hungarian_algorithm(cost_matrix: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Return the assignment of rows to columns that costs the least.

        argmin Σ C[i, j]  over  min(n, m) pairs (i, j), no row and no column twice

    It works under ``jit`` and ``vmap`` and takes O(n² m) steps for n ≤ m. Integers are
    added up as integers; only where n + 3 times their range does not fit in 32 bits (or
    64, if they have them) do they lose their lowest bits. The pairs jump with the
    costs, but the gradient of ``C[i, j].sum()`` is what it should be.

    Args:
      cost_matrix: C, of shape (n, m). An entry of +∞, or NaN, is a pair that is taken
        only if there is no other way.

    Returns:
      ``(i, j)``: the rows, ascending, and the column of each, of length min(n, m).

    Raises:
      ValueError: if the costs are not a matrix.
      TypeError: if they are complex.

    Reference: Crouse, On Implementing 2D Rectangular Assignment Algorithms, 2016.

    Example:
      >>> rows, columns = gradtx.assignment.hungarian_algorithm(
      ...     jnp.array([[9.0, 1.0], [2.0, 9.0]])
      ... )
      >>> print(rows, columns)
      [0 1] [1 0]
    """
    costs = jnp.asarray(cost_matrix)
    if costs.ndim != 2:  # noqa: PLR2004
        raise ValueError(
            f"hungarian_algorithm: cost_matrix must be a matrix, got the shape "
            f"{costs.shape}: map over a batch with jax.vmap"
        )
    if jnp.iscomplexobj(costs):
        raise TypeError(
            f"hungarian_algorithm: cost_matrix must be real, got {costs.dtype}"
        )
    return _assign(costs)


def base_hungarian_algorithm(cost_matrix: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Return :func:`hungarian_algorithm`, which optax has in two versions.

    Args:
      cost_matrix: C, of shape (n, m). An entry of +∞, or NaN, is a pair that is taken
        only if there is no other way.

    Example:
      >>> cost = jnp.array([[9.0, 1.0], [2.0, 9.0]])
      >>> print(gradtx.assignment.base_hungarian_algorithm(cost))
      (Array([0, 1], dtype=int32), Array([1, 0], dtype=int32))
    """
    return hungarian_algorithm(cost_matrix)


class _Matching(NamedTuple):
    """Who has whom, and the dual prices that prove it cheapest so far."""

    row_of: jax.Array  # (m,), -1 for a free column
    row_price: jax.Array  # (n,)
    column_price: jax.Array  # (m,)


class _Search(NamedTuple):
    """A tree of shortest alternating paths from one row, grown column by column."""

    row: jax.Array  # the row reached last
    sink: jax.Array  # the free column found, or -1
    dist: jax.Array  # (m,), the length of the shortest path to each column
    parent: jax.Array  # (m,), the row before each column on it
    seen: jax.Array  # (m,), the columns in the tree
    reach: jax.Array  # the distance of the column reached last


@jax.jit
def _assign(costs: jax.Array) -> tuple[jax.Array, jax.Array]:
    if costs.shape[0] > costs.shape[1]:
        column, row = _assign(costs.T)
        order = jnp.argsort(row)
        return row[order], column[order]
    n, m = costs.shape
    rows = jnp.arange(n)
    if not n:
        return rows, rows
    costs = _comparable(costs)
    start = _Matching(
        jnp.full(m, -1), jnp.zeros(n, costs.dtype), jnp.zeros(m, costs.dtype)
    )
    end = fori_loop(0, n, lambda i, s: _add_row(costs, i, s), start)
    pairs = jnp.where(end.row_of < 0, n, end.row_of)
    columns = jnp.zeros(n + 1, rows.dtype).at[pairs].set(jnp.arange(m))[:n]
    return rows, columns


def _comparable(costs: jax.Array) -> jax.Array:
    """Return costs that can be added up: in 32 bits or more, without NaN."""
    if jnp.issubdtype(costs.dtype, jnp.floating):
        costs = costs.astype(numerics.compute_dtype(costs.dtype))
        return jnp.where(jnp.isnan(costs), jnp.inf, costs)
    return _small_integers(costs)


def _small_integers(costs: jax.Array) -> jax.Array:
    """Return the costs above the least one, without the lowest bits if need be.

    No path is longer than all costs of a column and two more, so that no sum overflows.
    """
    narrow = costs.dtype.itemsize < np.dtype(np.int32).itemsize
    costs = costs.astype(jnp.int32) if narrow else costs
    bits = 8 * costs.dtype.itemsize
    # Taken as unsigned, the difference of any two signed numbers is right.
    above = (costs - jnp.min(costs)).astype(f"uint{bits}")
    limit = jnp.iinfo(f"int{bits}").max // (costs.shape[0] + 3)
    shifts = jnp.arange(bits).astype(above.dtype)
    excess = jnp.sum((jnp.max(above) >> shifts) > limit).astype(above.dtype)
    return (above >> excess).astype(f"int{bits}")


def _infinity(dtype: Any) -> Any:
    if jnp.issubdtype(dtype, jnp.floating):
        return jnp.inf
    return jnp.iinfo(dtype).max


def _add_row(costs: jax.Array, row: Any, state: _Matching) -> _Matching:
    """Match one more row, along the shortest path that ends in a free column."""
    m = costs.shape[1]
    row = jnp.asarray(row, state.row_of.dtype)
    search = _Search(
        row=row,
        sink=jnp.full_like(row, -1),
        dist=jnp.full(m, _infinity(costs.dtype), costs.dtype),
        parent=jnp.full(m, -1),
        seen=jnp.zeros(m, jnp.bool_),
        reach=jnp.zeros((), costs.dtype),
    )
    search = while_loop(lambda s: s.sink < 0, lambda s: _grow(costs, state, s), search)
    return _augment(_raise_prices(state, search, row), search, row)


def _grow(costs: jax.Array, state: _Matching, s: _Search) -> _Search:
    """Add the nearest column to the tree, and go on from the row that has it."""
    far = jnp.asarray(_infinity(costs.dtype), costs.dtype)
    slack = costs[s.row] - state.row_price[s.row] - state.column_price
    through = jnp.where(costs[s.row] == far, far, s.reach + slack)
    shorter = ~s.seen & (through < s.dist)
    dist = jnp.where(shorter, through, s.dist)
    parent = jnp.where(shorter | (~s.seen & (s.parent < 0)), s.row, s.parent)
    open_dist = jnp.where(s.seen, far, dist)
    # Among columns that are all out of reach, argmin could name one already seen.
    blocked = jnp.all(open_dist == far)
    column = jnp.where(blocked, jnp.argmin(s.seen), jnp.argmin(open_dist))
    owner = state.row_of[column]
    return _Search(
        row=owner,
        sink=jnp.where(owner < 0, column, -1).astype(s.sink.dtype),
        dist=dist,
        parent=parent,
        seen=s.seen.at[column].set(True),
        reach=jnp.where(blocked, s.reach, dist[column]),
    )


def _raise_prices(state: _Matching, s: _Search, row: jax.Array) -> _Matching:
    """Move the prices so that the path found costs nothing."""
    gain = jnp.where(s.seen & (s.dist <= s.reach), s.reach - s.dist, 0)
    owners = jnp.where(s.seen & (state.row_of >= 0), state.row_of, len(state.row_price))
    row_price = state.row_price.at[row].add(s.reach)
    return state._replace(
        row_price=row_price.at[owners].add(gain, mode="drop"),
        column_price=state.column_price - gain,
    )


def _augment(state: _Matching, s: _Search, row: jax.Array) -> _Matching:
    """Give each column on the path to the row before it."""

    def swap(carry: Any) -> Any:
        row_of, column, _ = carry
        giver = s.parent[column]
        former = jnp.argmax(row_of == giver)
        return row_of.at[column].set(giver), former, giver == row

    carry = (state.row_of, s.sink, jnp.zeros((), jnp.bool_))
    row_of, _, _ = while_loop(lambda c: ~c[2], swap, carry)
    return state._replace(row_of=row_of)
