"""Which parameters decay."""

import jax

from gradtx.common import checks
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import Params, PyTree
from gradtx.optimizers.layouts import Model

STILL = {"bias", "norm", "input", "vector", "scalar"}


def decay_mask(params: Params, *, embeddings: bool = False) -> PyTree:
    """Tell which parameters decay: kernels do, biases, norms and embeddings do not.

    Names and the classes that hold the arrays tell, of Flax (Linen and NNX), Haiku,
    Keras and Equinox; where they say nothing, vectors and scalars do not decay. So the
    biases of two axes of Flax's attention do not, and norms of stacked layers neither.
    Last layers do. It may be called, or given as it is: ``adamw(1e-3,
    mask=gradtx.decay_mask)``.

    Args:
      params: the parameters, or their shapes.
      embeddings: whether embeddings decay too.

    Returns:
      A tree of booleans, with False for what cannot have a gradient.

    Example:
      >>> print(gradtx.decay_mask({"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}))
      {'bias': False, 'kernel': True}
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        params, is_leaf=checks.is_none
    )
    model = Model(params, leaves)
    still = STILL if embeddings else STILL | {"embedding"}
    return treedef.unflatten(
        [
            is_differentiable(x) and _taken_for(model, i) not in still
            for i, (_, x) in enumerate(leaves)
        ]
    )


def _taken_for(model: Model, i: int) -> str:
    return model.route(i).reason.split(",")[0]
