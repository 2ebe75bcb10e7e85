"""Muon as in PyTorch."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import PyTree, Scalar, ScalarOrSchedule, Static
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.linalg import presets
from gradtx.optimizers.muon import scale_by_muon
from gradtx.primitives.shape import MuonDimensionNumbers, scale_by_shape
from gradtx.wrappers.chain import chain, descend

FACTORS = {
    None: "keller",
    "original": "keller",
    "match_rms_adamw": "moonlight",
}


@foreign_signature("weight_decay")
def Muon(  # noqa: N802
    lr: ScalarOrSchedule = 1e-3,
    weight_decay: Scalar | None = 0.1,
    momentum: Scalar = 0.95,
    nesterov: bool = True,
    ns_coefficients: Any = presets.KELLER,
    eps: Scalar = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
    use_addmm: bool = False,
    *,
    params: Any = None,
    weight_dimension_numbers: Static = None,
) -> GradientTransformation:
    """Muon, as ``torch.optim.Muon``.

        m ← μ m + (1 - μ) g
        o = NS(μ m + (1 - μ) g)               or NS(m), without Nesterov
        p ← (1 - η λ) p - η s o

    NS divides by max(‖x‖, ε) at first, and computes in the type of the parameter, at
    least in float32, where PyTorch computes in bfloat16. s is √max(1, rows / columns),
    or 0.2 √max(rows, columns) with "match_rms_adamw".

    All parameters must be matrices, with rows for outputs, as PyTorch has them: other
    leaves are for :func:`gradtx.partition`. Matrices of shape (in, out) have
    ``weight_dimension_numbers=gradtx.MuonDimensionNumbers(0, 1)``.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      weight_decay: λ, at least 0; 0 or None for no decay.
      momentum: μ, in [0, 1): how much of m is kept at each step.
      nesterov: whether to look ahead: NS(m) if not.
      ns_coefficients: the three coefficients of NS, or what else
        :func:`gradtx.scale_by_muon` takes for them.
      eps: ε, at least 0, the lower bound of the norm that NS divides by.
      ns_steps: how many steps NS makes, a whole number of at least 1.
      adjust_lr_fn: "original" or "match_rms_adamw"; None is "original".
      use_addmm: has no effect: the compiler joins products and sums.
      params: means nothing here; call ``tx.init(params)``.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`gradtx.scale_by_muon` takes them; (out, in) if None.

    Raises:
      ValueError: if a number is outside its range or the name not known; if a leaf has
        other than two axes and there are no dimension numbers; for ``params``.

    Example:
      >>> tx, params = gradtx.like.torch.Muon(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(7))
      [[-0.0008419 -0.0001721]
       [-0.0003978  0.0008677]]
    """
    del use_addmm
    refuse(params=params)
    checks.non_negative(lr=lr, weight_decay=weight_decay)
    if adjust_lr_fn not in FACTORS:
        raise checks.InvalidArgument(
            "adjust_lr_fn must be 'original', 'match_rms_adamw' or None, got "
            f"{adjust_lr_fn!r}"
        )
    given = weight_dimension_numbers
    numbers = _rows_are_outputs if given is None else given
    direction = scale_by_muon(
        ns_coefficients,
        ns_steps,
        momentum,
        0.0,
        nesterov=nesterov,
        bias_correction=False,
        min_norm=eps,
        weight_dimension_numbers=numbers,
    )
    factor = scale_by_shape(numbers, shape_factor=FACTORS[adjust_lr_fn])
    return descend(chain(direction, factor), lr, weight_decay=weight_decay)


def _rows_are_outputs(tree: PyTree) -> PyTree:
    def one(path: Any, x: Any) -> MuonDimensionNumbers:
        if jnp.ndim(x) != 2:  # noqa: PLR2004
            raise checks.InvalidArgument(
                f"the leaf at {checks.path_name(path)} of shape {jnp.shape(x)} is no "
                "matrix: give it to another method by gradtx.partition, or say which "
                "axes make up matrices by weight_dimension_numbers"
            )
        return MuonDimensionNumbers(1, 0)

    return jax.tree_util.tree_map_with_path(one, tree)
