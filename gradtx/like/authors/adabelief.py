"""AdaBelief as in its authors' package."""

from typing import Any

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.authors.belief import scale_by_rectified_belief
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.shrink import shrink
from gradtx.primitives.downhill import add_decayed_weights
from gradtx.wrappers.chain import chain, descend


@foreign_signature("weight_decay")
def AdaBelief(  # noqa: N802
    lr: ScalarOrSchedule = 1e-3,
    betas: tuple[Scalar, Scalar] = (0.9, 0.999),
    eps: Scalar = 1e-16,
    weight_decay: Scalar | None = 0,
    amsgrad: bool = False,
    weight_decouple: bool = True,
    fixed_decay: bool = False,
    rectify: bool = True,
    degenerated_to_sgd: bool = True,
    print_change_log: bool = True,
    *,
    params: Any = None,
) -> GradientTransformation:
    """AdaBelief, as adabelief-pytorch 0.2.1 has it: rectified unless told otherwise.

        m ← β₁ m + (1 - β₁) g
        s ← β₂ s + (1 - β₂) (g - m)² + ε
        p ← p - η m̂ / (√ŝ + ε)                with m̂ = m / (1 - β₁ᵗ),  ŝ = s / (1 - β₂ᵗ)

    Rectified, the step is η r √(1 - β₂ᵗ) m̂ / (√s + ε) once the mean s is long enough,
    where ρ ≥ 5, and η m̂ before:

        ρ∞ = 2 / (1 - β₂) - 1,   ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)
        r² = (ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ)

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      betas: (β₁, β₂), each in [0, 1): how much of m and of s is kept at each step.
      eps: ε, at least 0, stored in s at every step, and once more outside of the root.
      weight_decay: λ, at least 0; 0 or None for no decay.
      amsgrad: divide by the largest s so far; a rectified step takes no notice.
      weight_decouple: p ← (1 - η λ) p before the step; otherwise g ← g + λ p.
      fixed_decay: p ← (1 - λ) p instead, whatever the learning rate.
      rectify: whether to rectify, as RAdam does.
      degenerated_to_sgd: step by η m̂ where ρ < 5; otherwise there is only decay.
      print_change_log: nothing is printed either way.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a beta is outside [0, 1) or another number negative; if there are
        ``params``.

    Reference: Zhuang et al., 2020, https://arxiv.org/abs/2010.07468; Liu et al., 2019,
      https://arxiv.org/abs/1908.03265 (rectification)

    Example:
      >>> tx, params = gradtx.like.authors.AdaBelief(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.002  0.001]
    """
    del print_change_log
    refuse(params=params)
    checks.non_negative(lr=lr, weight_decay=weight_decay)
    direction = scale_by_rectified_belief(
        *betas, eps, amsgrad, rectify, degenerated_to_sgd
    )
    if weight_decay is None:
        return descend(direction, lr)
    if not weight_decouple:
        return descend(chain(add_decayed_weights(weight_decay), direction), lr)
    if fixed_decay:
        return chain(descend(direction, lr), shrink(1.0, weight_decay))
    return descend(direction, lr, weight_decay=weight_decay)
