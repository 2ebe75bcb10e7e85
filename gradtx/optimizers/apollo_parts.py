"""The rule of APOLLO for one leaf, and the random projections that it is given."""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    compute_dtype,
    ema,
    ema_of_squares,
    is_differentiable,
    one_minus_power,
    real_dtype,
    safe_divide,
    sqrt,
)
from gradtx.common.types import Count, Scalar
from gradtx.core.leafwise import to_compute_dtype
from gradtx.core.slots import make_slot, zeros
from gradtx.linalg import axes
from gradtx.optimizers.low_rank import LowRank, zeros_along
from gradtx.tree import norms

SCALES = ("channel", "tensor")
_TINY = 1e-8  # added to lengths that are divided by


class Rule(NamedTuple):
    """The settings of :func:`gradtx.scale_by_apollo` that its arithmetic needs."""

    b1: Scalar
    b2: Scalar
    eps: Scalar
    scale: Scalar
    scale_type: str
    limit: Scalar | None

    def check(self) -> None:
        """Refuse settings outside their ranges."""
        checks.decay_rates(b1=self.b1, b2=self.b2)
        checks.non_negative(eps=self.eps, scale=self.scale)
        checks.positive(norm_growth_limit=self.limit)
        if self.scale_type not in SCALES:
            raise checks.InvalidArgument(
                f"scale_type must be one of {', '.join(SCALES)}, "
                f"got {self.scale_type!r}"
            )

    def __call__(self, leaf: Any, p: Any, t: Count, *old: Any) -> tuple[Any, ...]:
        """Return the update of a leaf, and its m, v and norm anew.

        Args:
          leaf: its path, its gradient, its dimension numbers, how it is projected.
          p: P.
          t: the step, counted from 1.
          *old: m, v and the norm.
        """
        path, g, numbers, how = leaf
        if not is_differentiable(g):
            return None, *old
        g, m, v, norm = map(to_compute_dtype, (g, *old))
        factor = self._correction(t, real_dtype(g.dtype))
        if how is None:
            u, m, v = self._adam(g, m, v)
            return factor * u, m, v, norm
        (matrix,), undo = axes.as_matrices(g, numbers, path)
        low = p @ matrix if how.left else matrix @ p.T
        d, m, v = self._adam(low, m, v)
        axis = None if self.scale_type == "tensor" else int(not how.left)
        u = matrix * (norms.norm_along(d, axis) / (norms.norm_along(low, axis) + _TINY))
        if self.limit is not None:
            u, norm = _limited(u, norm, self.limit)
        factor = factor * sqrt(jnp.asarray(self.scale, factor.dtype))
        return undo((factor * u)[None]), m, v, norm

    def _correction(self, t: Count, dtype: Any) -> jax.Array:
        root = sqrt(one_minus_power(self.b2, t, dtype))
        return root / one_minus_power(self.b1, t, dtype)

    def _adam(self, g: jax.Array, m: jax.Array, v: jax.Array) -> Any:
        m, v = ema(m, g, self.b1), ema_of_squares(v, g, self.b2)
        return safe_divide(m, sqrt(v) + self.eps), m, v


def _limited(u: jax.Array, last: jax.Array, limit: Scalar) -> Any:
    """Return an update that is not much longer than the one before, and its norm."""
    norm = norms.norm(u)
    growth = jnp.where(last > 0, norm / (last + _TINY) / limit, 1)
    growth = jnp.maximum(growth, 1)
    return u / growth, norm / growth


def fewer_rows(rows: int, columns: int) -> bool:
    """Whether it is the rows that become few: the shorter side, or the inputs."""
    return rows <= columns


def low(p: Any, numbers: Any, how: LowRank | None) -> Any:
    """Make what there is of a leaf in few directions: a matrix's, or all of another."""
    if how is None:
        return make_slot(zeros, p)
    return zeros_along(p, numbers, how.low, int(how.left), rows=not how.left)


def check_shapes(plan: list[Any], means: list[Any]) -> None:
    """Refuse a state that was made for leaves of other shapes."""
    for (path, g, _, how), m in zip(plan, means, strict=True):
        if is_differentiable(g):
            shape = g.shape if how is None else how.low
            checks.same_shape(
                m.shape, shape, path, "the state 'mu'", "what is seen of the gradient"
            )


def projections_of(plan: list[Any], sizes: list[Any], key: jax.Array) -> list[Any]:
    """Draw P for every matrix, by its number among the leaves that have a state.

    So neither frozen leaves nor those that lack a gradient for once change another's P.
    """
    numbers = itertools.count()
    places = [next(numbers) if size is not None else -1 for size in sizes]
    rows = zip(places, plan, strict=True)
    return [_projection(key, i, g, how) for i, (_, g, _, how) in rows]


def _projection(key: jax.Array, i: int, g: Any, how: LowRank | None) -> Any:
    """Draw P for a matrix; None for any other leaf."""
    if how is None:
        return None
    shape, dtype = how.projector[::-1], compute_dtype(real_dtype(g.dtype))
    drawn = jax.random.normal(jax.random.fold_in(key, i), shape, dtype)
    return drawn / math.sqrt(how.rank)
