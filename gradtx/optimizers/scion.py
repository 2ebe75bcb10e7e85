"""Scion: steps to the border of a ball, of another norm for each kind of layer."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import gradients, map_differentiable, ndim
from gradtx.common.numerics import ema
from gradtx.common.types import (
    AxisName,
    DTypeLike,
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    Static,
    Updates,
)
from gradtx.core.by_hand import settled_leaves
from gradtx.core.leafwise import (
    flatten_updates,
    leafwise,
    matching_params,
    to_compute_dtype,
)
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg import MatrixAxes, axes, presets
from gradtx.optimizers.orthogonal import Iteration
from gradtx.optimizers.routing import of_two_axes
from gradtx.optimizers.scion_norms import MATRIX, NORMS, Oracle
from gradtx.primitives.shape import MuonDimensionNumbers
from gradtx.wrappers.chain import descend
from gradtx.wrappers.partition import partition


class ScaleByScionState(NamedTuple):
    """What :func:`scale_by_scion` remembers."""

    mu: Updates  # m, the mean of the gradients; None without a mean


@transformation
def scale_by_scion(
    norm: str = "auto",
    scale: Scalar = 1.0,
    beta: Scalar | None = 0.9,
    *,
    normalized: bool | None = None,
    at_least_one: bool = False,
    ns_coeffs: Any = presets.KELLER,
    ns_steps: int = 5,
    ns_eps: Scalar = 1e-7,
    ns_dtype: DTypeLike | None = None,
    mu_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Follow the mean gradient to where it is largest on the ball of a norm.

        m ← β m + (1 - β) g
        u = ρ lmo(m)

    For a matrix of shape (in, out) that lmo is, with NS as :func:`scale_by_muon`:

        "spectral"       √(out / in) NS(m)             √out if not ``normalized``
        "spectral_conv"  √(out / in) NS(m) / k         k entries in the window
        "sign"           sign(m) / in                  sign(m) if not normalized
        "col_norm"       each input's outputs by their root mean square,
                                                       times in if normalized
        "row_norm"       each output's inputs by their norm, times √in if normalized
        "bias_rms"       m by its root mean square
        "auto"           "spectral_conv" for convolutions, "spectral" for all other
                         matrices, "bias_rms" for the rest

    Vectors and scalars are divided by their root mean square whatever the norm.

    Args:
      norm: one of the names above.
      scale: ρ, the radius of the ball.
      beta: β, how much of the mean is kept at each step; None for the gradient itself.
      normalized: whether sizes are made independent of the width, as the table says; by
        default all but "col_norm" are.
      at_least_one: whether the factor of "spectral" is raised to 1 where it is less.
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps to make, where ``ns_coeffs`` is one triple.
      ns_eps: ε of the iteration.
      ns_dtype: the type to iterate in; at least float32 if None.
      mu_dtype: the type to keep m in; the parameter's if None.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`scale_by_muon` takes them. If None, leaves of two axes are of shape
        (in, out), and those of more the kernels of convolutions, (window, in, out).
        Where it is None for a leaf of two axes, the shorter is taken for the input.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a name not known; if a leaf is no
        matrix and the norm one of matrices.

    Reference: Pethick et al., 2025, https://arxiv.org/abs/2502.07529

    Example:
      >>> tx, params = gradtx.scale_by_scion(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 0.74        0.17      ]
       [ 0.39999998 -0.96999997]]
    """
    if norm not in NORMS:
        raise checks.InvalidArgument(
            f"norm must be one of {', '.join(NORMS)}, got {norm!r}"
        )
    checks.non_negative(scale=scale)
    checks.decay_rates(beta=beta)
    iteration = Iteration(ns_coeffs, ns_steps, ns_eps, dtype=ns_dtype)
    iteration.check()
    average = _average(beta, mu_dtype)
    lmo = Oracle(norm, normalized, at_least_one=at_least_one)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = flatten_updates(updates)
        targets = matching_params(params, leaves, treedef)
        wide = map_differentiable(lambda g: to_compute_dtype(jnp.asarray(g)), updates)
        mean, state = average.update(gradients(wide), state)
        means, _ = flatten_updates(mean)
        numbers = _numbers(weight_dimension_numbers, updates)
        u = lmo(means, numbers, iteration, split)
        new = [None if x is None else scale * x for x in u]
        return treedef.unflatten(settled_leaves(new, leaves, targets)), state

    return GradientTransformation(average.init, update)


def _average(beta: Scalar | None, dtype: Any) -> GradientTransformation:
    if beta is None:
        return leafwise(lambda g: g, ScaleByScionState)

    def rule(g: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
        m = ema(m, g, beta)
        return m, m

    return leafwise(rule, ScaleByScionState, mu=partial(zeros, dtype=dtype))


def _numbers(given: Any, tree: PyTree) -> list[Any]:
    def default(x: Any) -> Any:
        n = jnp.ndim(x)
        if n > MATRIX:
            window = tuple(range(n - 2))
            return MatrixAxes((*window, n - 2), n - 1, window)
        return MuonDimensionNumbers() if n == MATRIX else None

    found = axes.resolve_dimension_numbers(given, tree, default)
    return axes.listed_dimension_numbers(found)


@transformation
def scion(
    learning_rate: ScalarOrSchedule,
    scale: Scalar = 50.0,
    beta: Scalar | None = 0.9,
    norm: str = "auto",
    rest_norm: str = "sign",
    rest_scale: Scalar = 3000.0,
    *,
    unconstrained: bool = False,
    ns_coeffs: Any = presets.KELLER,
    ns_steps: int = 5,
    ns_eps: Scalar = 1e-7,
    ns_dtype: DTypeLike | None = None,
    mu_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Scion: every layer within the ball of a norm, and each step towards its border.

        p ← (1 - η) p - η u         u: the direction of :func:`scale_by_scion`
        p ← p - η u                 if ``unconstrained``

    All parameters are treated alike in kind: matrices by one norm, embeddings and last
    layers, which :func:`gradtx.matrices` tells apart, by another, vectors by their root
    mean square. Constrained, weights stay within the balls if they begin there; the
    authors begin on their border.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      scale: ρ, the radius of the ball of matrices and vectors.
      beta: β, how much of the mean is kept at each step; None for the gradient itself.
      norm: of matrices and vectors, as :func:`scale_by_scion` takes it.
      rest_norm: of leaves of two axes or more that have no dimension numbers, such as
        embeddings and last layers.
      rest_scale: the radius of their ball.
      unconstrained: whether nothing is shrunk.
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps the iteration makes, with one triple of coefficients.
      ns_eps: ε of the iteration.
      ns_dtype: the type to iterate in; at least float32 if None.
      mu_dtype: the type to keep means in; the parameter's if None.
      weight_dimension_numbers: what :func:`gradtx.matrices` returns, or as
        :func:`muon` takes them; every leaf of two axes or more is a matrix if None.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a name not known.

    Reference: Pethick et al., 2025, https://arxiv.org/abs/2502.07529

    Example:
      >>> tx, params = gradtx.scion(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-3.81       -0.85999995]
       [-1.99        4.74      ]]
    """
    checks.non_negative(rest_scale=rest_scale)
    given = weight_dimension_numbers
    numbers = of_two_axes(given)

    def method(norm: str, scale: Scalar, numbers: Any) -> GradientTransformation:
        direction = scale_by_scion(
            norm,
            scale,
            beta,
            ns_coeffs=ns_coeffs,
            ns_steps=ns_steps,
            ns_eps=ns_eps,
            ns_dtype=ns_dtype,
            mu_dtype=mu_dtype,
            weight_dimension_numbers=numbers,
            split=split,
        )
        decay = None if unconstrained else 1.0
        return descend(direction, learning_rate, weight_decay=decay)

    def label(leaf: Any, which: Any) -> str | None:
        if leaf is None:
            return None
        is_rest = given is not None and which is None and ndim(leaf) > 1
        return "rest" if is_rest else "matrices"

    def labels(tree: PyTree) -> PyTree:
        return jax.tree.map(label, tree, numbers(tree), is_leaf=checks.is_none)

    parts: dict[Any, GradientTransformation] = {
        "matrices": method(norm, scale, None if given is None else numbers),
        "rest": method(rest_norm, rest_scale, lambda tree: jax.tree.map(_none, tree)),
    }
    return partition(parts, labels)


def _none(_: Any) -> None:
    return None
