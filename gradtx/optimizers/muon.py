"""Muon: momentum, with all its singular values brought to one."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import is_differentiable, map_differentiable
from gradtx.common.numerics import debias, mix
from gradtx.common.types import (
    Count,
    DTypeLike,
    Fixed,
    MaskOrFn,
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.leafwise import (
    flatten_updates,
    leafwise,
    matching_params,
    settled,
    widened,
)
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg import axes, newton_schulz, presets
from gradtx.linalg.orthogonal import QUINTIC, coefficients, known_preconditioning
from gradtx.lowering.fusion import side_by_side
from gradtx.lowering.sharding import beside
from gradtx.optimizers.adam import adamw, nesterov_mean
from gradtx.primitives.decay import add_decayed_weights
from gradtx.primitives.scale import scale_by_learning_rate
from gradtx.primitives.shape import (
    MuonDimensionNumbers,
    numbers_of_leaves,
    scale_by_shape,
)
from gradtx.wrappers.chain import chain
from gradtx.wrappers.partition import partition


class MuonState(NamedTuple):
    """What :func:`scale_by_muon` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    ns_coeffs: jax.Array  # of the Newton-Schulz iteration


@transformation
def scale_by_muon(
    ns_coeffs: Any = QUINTIC,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    eps: Scalar = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Fixed = None,
    ns_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Orthogonalize the mean gradient of every matrix.

        m ← β m + (1 - β) g
        u = NS(m̂)                             m̂ = m / (1 - βᵗ)

    where NS brings all singular values near 1, see :func:`gradtx.linalg.newton_schulz`.
    With ``nesterov`` the mean looks one step ahead, as in NAdam:

        m̂ = β m / (1 - βᵗ⁺¹) + (1 - β) g / (1 - βᵗ)

    (The author's program leaves out the two divisors, which soon are 1.) With
    ``adaptive`` u is multiplied by Re⟨m̂, u⟩ of its matrix.

    Matrices of one shape go through one loop.

    Args:
      ns_coeffs: the coefficients of the iteration: a triple, or a triple for each step.
      ns_steps: how many steps to make, where ``ns_coeffs`` is one triple.
      beta: β, how much of the mean is kept at each step.
      eps: ε, added to the norm that the iteration begins by dividing with.
      mu_dtype: the type to keep m in; the parameter's if None.
      nesterov: whether the mean looks ahead.
      adaptive: whether to scale by the dual norm.
      preconditioning: what the iteration begins with: "frobenius", "spectral", "aol" or
        "schatten".
      weight_dimension_numbers: which axes make up the matrices: a tree of
        :class:`MuonDimensionNumbers` with the structure of the parameters or a prefix
        of it, or a function that makes one from the updates. Every leaf is a matrix of
        shape (in, out) if None.
      ns_dtype: the type to iterate in, such as ``jnp.bfloat16``; at least float32 if
        None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; from
        ``update``, if a leaf is no matrix.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/;
      Bernstein and Newhouse, 2024, https://arxiv.org/abs/2409.20325 (``adaptive``)
    """
    checks.decay_rates(beta=beta)
    checks.non_negative(eps=eps)
    checks.whole(ns_steps=ns_steps)
    known_preconditioning(preconditioning)
    presets.are_triples(ns_coeffs)
    average = _averaging(beta, nesterov, mu_dtype)

    def init(params: Params) -> OptState:
        coeffs = beside(params, jnp.asarray(ns_coeffs))
        return average.init(params)._replace(ns_coeffs=coeffs)

    def update(
        updates: Updates, state: MuonState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = flatten_updates(updates)
        # The mean goes on in float32, and only the result is rounded.
        wide = None if params is None else _wide(params)
        live = [g if is_differentiable(g) else None for _, g in leaves]
        grads = treedef.unflatten(side_by_side(live, state.count))
        mean, state = average.update(_wide(grads), state, wide)
        table = coefficients(state.ns_coeffs, ns_steps)

        def orthogonal(x: jax.Array) -> jax.Array:
            u = newton_schulz(
                x,
                coeffs=table,
                preconditioning=preconditioning,
                eps=eps,
                dtype=ns_dtype,
            )
            return _inner(x, u) * u if adaptive else u

        numbers = numbers_of_leaves(weight_dimension_numbers, updates)
        means, _ = flatten_updates(mean)
        new = side_by_side(axes.in_stacks(means, numbers, orthogonal), state.count)
        found = matching_params(params, leaves, treedef)
        rows = zip(new, leaves, found, strict=True)
        done = [settled(u, g, p) for u, (_, g), p in rows]
        return treedef.unflatten(done), state

    return GradientTransformation(init, update)


def _averaging(
    beta: Scalar, nesterov: bool, mu_dtype: DTypeLike | None
) -> GradientTransformation:
    def rule(g: jax.Array, m: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        m = mix(m, g, beta)
        return nesterov_mean(g, m, beta, t) if nesterov else debias(m, beta, t), m

    return leafwise(rule, MuonState, mu=partial(zeros, dtype=mu_dtype))


def _inner(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return Re⟨x, y⟩ of every matrix."""
    return jnp.sum((x.conj() * y).real, axis=(-2, -1), keepdims=True)


def _wide(tree: PyTree) -> PyTree:
    return map_differentiable(lambda x: widened(jnp.asarray(x)), tree)


@transformation
def muon(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Any = QUINTIC,
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
    muon_weight_dimension_numbers: Fixed = None,
    consistent_rms: Scalar | None = None,
    ns_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Muon for matrices, and AdamW for all other parameters.

        p ← p - η (s u + λ p)       u: the direction of :func:`scale_by_muon`
                                    s: the factor of :func:`scale_by_shape`

    **Which leaves go where**: those with exactly two axes go to Muon, all others to
    AdamW. So an embedding or a last layer, if it has two axes, goes to Muon, though its
    author gives both to AdamW; and a kernel of attention, of stacked layers or of a
    convolution, which has more, goes to AdamW. ``muon_weight_dimension_numbers`` says
    it otherwise:

        lambda params: {**jax.tree.map(lambda _: MuonDimensionNumbers(), params),
                        "embedding": None,
                        "attention": MuonDimensionNumbers(0, (1, 2))}

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      ns_coeffs: as :func:`scale_by_muon` takes it, or a name: "standard" or "dion".
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
      muon_weight_dimension_numbers: a tree of :class:`MuonDimensionNumbers` with the
        structure of the parameters or a prefix of it, None standing where a leaf goes
        to Adam; or a function that makes one from the parameters. In ``update`` it is
        called with the updates, and sees Muon's leaves alone.
      consistent_rms: r of :func:`scale_by_shape`.
      ns_dtype: the type to iterate in; at least float32 if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        given to Muon that is no matrix.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/;
      Liu et al., 2025, https://arxiv.org/abs/2502.16982
    """
    checks.decay_rates(adam_b1=adam_b1, adam_b2=adam_b2)
    checks.non_negative(
        weight_decay=weight_decay,
        adam_eps_root=adam_eps_root,
        adam_weight_decay=adam_weight_decay,
    )
    if isinstance(ns_coeffs, str):
        ns_coeffs = presets.named(ns_coeffs)

    def numbers(tree: PyTree) -> PyTree:
        return axes.resolve_dimension_numbers(
            muon_weight_dimension_numbers, tree, _if_matrix
        )

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
            ns_dtype=ns_dtype,
        ),
        scale_by_shape(numbers, consistent_rms),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate),
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
    return partition({"muon": matrices, "adam": rest}, lambda p: _labels(numbers(p), p))


def _if_matrix(x: Any) -> MuonDimensionNumbers | None:
    matrix = is_differentiable(x) and jnp.ndim(x) == 2  # noqa: PLR2004
    return MuonDimensionNumbers() if matrix else None


def _labels(numbers: PyTree, tree: PyTree) -> PyTree:
    def label(leaf: Any, which: Any) -> str | None:
        if leaf is None:
            return None
        return "adam" if which is None else "muon"

    return jax.tree.map(label, tree, numbers, is_leaf=checks.is_none)
