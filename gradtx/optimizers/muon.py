"""Muon: momentum, with all its singular values brought to one."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    Exact,
    MaskOrFn,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Static,
    Updates,
)
from gradtx.core.matrixwise import matrixwise
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg import presets
from gradtx.lowering.sharding import replicated_like
from gradtx.optimizers.adam import adamw
from gradtx.optimizers.orthogonal import Iteration, momentum_of
from gradtx.optimizers.routing import of_two_axes, with_rest
from gradtx.primitives.downhill import downhill
from gradtx.primitives.shape import numbers_of_leaves, scale_by_shape
from gradtx.tree.packed import unpacked_only
from gradtx.wrappers.chain import chain


class MuonState(NamedTuple):
    """What :func:`scale_by_muon` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    ns_coeffs: Exact  # of the Newton-Schulz iteration


@transformation
def scale_by_muon(
    ns_coeffs: Any = presets.KELLER,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    eps: Scalar = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Static = None,
    ns_dtype: DTypeLike | None = None,
    bias_correction: bool = True,
    momentum: str = "mean",
    min_norm: Scalar = 0.0,
    split: AxisName = None,
) -> GradientTransformation:
    """Orthogonalize the mean gradient of every matrix.

        m ← β m + (1 - β) g
        u = NS(m̂)                             m̂ = m / (1 - βᵗ)

    where NS brings all singular values near 1, see :func:`gradtx.linalg.newton_schulz`.
    With ``nesterov`` the mean looks one step ahead, as in NAdam:

        m̂ = β m / (1 - βᵗ⁺¹) + (1 - β) g / (1 - βᵗ)

    Without ``bias_correction`` both divisors, which soon are 1, are left out, as in the
    author's program and PyTorch's. With ``momentum="sum"`` the factor (1 - β) is left
    out, which changes nothing but what ε is to m. With ``adaptive`` u is multiplied by
    Re⟨m̂, u⟩ of its matrix.

    Matrices of one shape go through one loop.

    Args:
      ns_coeffs: the coefficients of the iteration: a triple, or a triple for each step,
        or a name: "keller" ("standard"), "polar_express", "quintic" ("dion"), "cans" or
        "exact", which brings all singular values to 1 in twelve steps.
      ns_steps: how many steps to make, where ``ns_coeffs`` is one triple.
      beta: β, how much of the mean is kept at each step.
      eps: ε, added to the norm that the iteration begins by dividing with.
      mu_dtype: the type to keep m in; the parameter's if None.
      nesterov: whether the mean looks ahead.
      adaptive: whether to scale by the dual norm.
      preconditioning: what the iteration begins with: "frobenius", "spectral", "aol" or
        "schatten".
      weight_dimension_numbers: which axes make up the matrices: a tree of
        :class:`MuonDimensionNumbers` or :class:`MatrixAxes` with the structure of the
        parameters or a prefix of it, or a function that makes one from the updates,
        such as :func:`gradtx.matrices` returns. Every leaf is a matrix of shape
        (in, out) if None.
      ns_dtype: the type to iterate in, such as ``jnp.bfloat16``; at least float32 if
        None.
      bias_correction: whether means are divided by 1 - βᵗ.
      momentum: "mean", or "sum" for m ← β m + g.
      min_norm: the lower bound of what the iteration begins by dividing with.
      split: the axis of the mesh, or a tuple of axes, over which the matrices of one
        shape are shared out: each device works on whole ones, its share of their stack,
        and results go back to their parameters' layouts. Of several axes those are
        taken that leave a device the fewest matrices. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range or a setting not known; from
        ``update``, if a leaf is no matrix.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/;
      Bernstein and Newhouse, 2024, https://arxiv.org/abs/2409.20325 (``adaptive``)

    Example:
      >>> tx, params = gradtx.scale_by_muon(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 0.74        0.17      ]
       [ 0.39999998 -0.96999997]]
    """
    iteration = Iteration(ns_coeffs, ns_steps, eps, preconditioning, ns_dtype, min_norm)
    iteration.check("eps")
    mean = momentum_of(beta, nesterov, bias_correction, momentum)

    def rule(g: jax.Array, m: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        return mean(g, m, t)

    def orthogonal(x: jax.Array, state: MuonState) -> jax.Array:
        u = iteration(x, state.ns_coeffs)
        return _inner(x, u) * u if adaptive else u

    tx = matrixwise(
        rule,
        orthogonal,
        partial(numbers_of_leaves, weight_dimension_numbers),
        MuonState,
        split=split,
        mu=partial(zeros, dtype=mu_dtype),
    )

    def init(params: Params) -> OptState:
        unpacked_only(params)
        coeffs = replicated_like(params, jnp.asarray(iteration.table))
        return tx.init(params)._replace(ns_coeffs=coeffs)

    return GradientTransformation(init, tx.update)


def _inner(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return Re⟨x, y⟩ of every matrix."""
    return jnp.sum((x.conj() * y).real, axis=(-2, -1), keepdims=True)


@transformation
def muon(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Any = presets.KELLER,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: MaskOrFn | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.999,
    adam_eps_root: Scalar = 0.0,
    adam_weight_decay: ScalarOrSchedule = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    muon_weight_dimension_numbers: Static = None,
    consistent_rms: Scalar | None = None,
    ns_dtype: DTypeLike | None = None,
    bias_correction: bool = True,
    momentum: str = "mean",
    shape_factor: str = "keller",
    decay_kind: str = "decoupled",
    peak_learning_rate: Scalar | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Muon for matrices, and AdamW for all other parameters.

        p ← p - η (s u + λ p)       u: the direction of :func:`scale_by_muon`
                                    s: the factor of :func:`scale_by_shape`

    **Which leaves go where**: those with exactly two axes go to Muon, all others to
    AdamW. So an embedding or a last layer, if it has two axes, goes to Muon, though its
    author gives both to AdamW; and a kernel of attention, of stacked layers or of a
    convolution, which has more, goes to AdamW. ``init`` warns of a leaf with two axes
    whose path says that it is an embedding, a head or a bias. Better let the paths
    decide, and look at what they decided:

        routes = gradtx.matrices(params)
        print(routes)
        gradtx.muon(0.02, muon_weight_dimension_numbers=routes)

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      ns_coeffs: as :func:`scale_by_muon` takes it.
      ns_steps: how many steps the iteration makes, with one triple of coefficients.
      beta: β, how much of the mean is kept at each step.
      eps: ε, in the norm of the iteration and in Adam's denominator.
      weight_decay: λ, for Muon's leaves.
      weight_decay_mask: which of Muon's leaves decay.
      mu_dtype: the type to keep means in; the parameter's if None.
      nesterov: whether means look ahead, Adam's too.
      adaptive: whether to scale by the dual norm.
      preconditioning: what the iteration begins with.
      adam_b1: Adam's β₁.
      adam_b2: Adam's β₂.
      adam_eps_root: Adam's ε inside the root.
      adam_weight_decay: the decay of Adam's leaves.
      adam_learning_rate: the learning rate of Adam's leaves; η if None.
      muon_weight_dimension_numbers: what :func:`gradtx.matrices` returns, or a tree of
        :class:`MuonDimensionNumbers` or :class:`MatrixAxes` with the structure of the
        parameters or a prefix of it, None standing where a leaf goes to Adam; or a
        function that makes one from the parameters. In ``update`` it is called with the
        updates, and sees Muon's leaves alone.
      consistent_rms: r of :func:`scale_by_shape`.
      ns_dtype: the type to iterate in; at least float32 if None.
      bias_correction: whether Muon's means are divided by 1 - βᵗ.
      momentum: "mean" or "sum", as :func:`scale_by_muon` takes it.
      shape_factor: as :func:`scale_by_shape` takes it.
      decay_kind: of Muon's leaves, as :func:`descend` takes it; Adam's are decoupled.
      peak_learning_rate: as :func:`descend` takes it.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        given to Muon that is no matrix.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/;
      Liu et al., 2025, https://arxiv.org/abs/2502.16982

    Example:
      >>> tx, params = gradtx.muon(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.07       -0.02      ]
       [-0.04        0.09999999]]
    """
    checks.decay_rates(adam_b1=adam_b1, adam_b2=adam_b2)
    checks.non_negative(
        weight_decay=weight_decay,
        adam_eps_root=adam_eps_root,
        adam_weight_decay=adam_weight_decay,
    )
    numbers = of_two_axes(muon_weight_dimension_numbers)
    decay = (weight_decay, weight_decay_mask, decay_kind, peak_learning_rate)
    matrices = chain(
        scale_by_muon(
            ns_coeffs,
            ns_steps,
            beta,
            eps,
            mu_dtype,
            nesterov=nesterov,
            adaptive=adaptive,
            preconditioning=preconditioning,
            weight_dimension_numbers=numbers,
            split=split,
            ns_dtype=ns_dtype,
            bias_correction=bias_correction,
            momentum=momentum,
        ),
        scale_by_shape(numbers, consistent_rms, shape_factor=shape_factor),
        *downhill(learning_rate, *decay),
    )
    rest = adamw(
        learning_rate if adam_learning_rate is None else adam_learning_rate,
        adam_b1,
        adam_b2,
        eps,
        adam_eps_root,
        mu_dtype,
        adam_weight_decay,
        nesterov=nesterov,
    )
    return with_rest(matrices, rest, numbers)
