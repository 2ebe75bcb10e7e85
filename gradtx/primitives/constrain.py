"""Parameters that must stay in a set."""

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)

NonNegativeParamsState = EmptyState


@transformation
def keep_params_nonnegative() -> GradientTransformation:
    """Change the updates so that no parameter becomes negative.

        u = g where p + g ≥ 0,  else -p

    Place it last, and start with parameters that are not negative.

    Raises:
      ValueError: from ``update``, if it is given no parameters or complex ones.

    Example:
      >>> tx, params = gradtx.keep_params_nonnegative(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """

    def rule(g: jax.Array, *, p: jax.Array) -> jax.Array:
        if jnp.iscomplexobj(p):
            raise checks.InvalidArgument("complex parameters have no order")
        return jnp.where(p + g < 0, -p, g)

    return leafwise(rule, NonNegativeParamsState)
