"""APOLLO-Mini: APOLLO with projections to one row, and one factor for each matrix."""

import jax

from gradtx.common.types import DTypeLike, MaskOrFn, Scalar, ScalarOrSchedule, Static
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.apollo import apollo


@transformation
def apollo_mini(
    learning_rate: ScalarOrSchedule,
    update_proj_gap: int = 200,
    scale: Scalar = 128.0,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-6,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    key: jax.Array | int | None = None,
    weight_dimension_numbers: Static = None,
    *,
    norm_growth_limit: Scalar | None = 1.01,
    mu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """APOLLO-Mini: :func:`apollo` of rank 1, with one factor for each matrix.

    Its state is little more than that of gradient descent.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      update_proj_gap: how many steps the random P is kept, at least 1.
      scale: α, at least 0; the updates of matrices are multiplied by its root.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside the root, and not corrected for the bias.
      weight_decay: λ, at least 0, or a schedule of it; None leaves the decay out.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      key: the random key to draw P with, or an integer to make one of; None means 0.
      weight_dimension_numbers: which leaves are matrices, as :func:`scale_by_galore`
        takes them. Leaves of two axes are, if None.
      norm_growth_limit: γ, above 0, by what factor an update may be longer than the
        one before; None for no limit.
      mu_dtype: the type to keep m, the mean, in; the parameter's if None.

    Reference: Zhu et al., 2024, https://arxiv.org/abs/2412.05270 (section 4.2)

    Example:
      >>> tx, params = gradtx.apollo_mini(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-1.79 -0.89]
       [-0.    0.89]]
    """
    return apollo(
        learning_rate,
        1,
        update_proj_gap,
        scale,
        b1,
        b2,
        eps,
        weight_decay,
        mask,
        key,
        weight_dimension_numbers,
        scale_type="tensor",
        norm_growth_limit=norm_growth_limit,
        mu_dtype=mu_dtype,
    )
