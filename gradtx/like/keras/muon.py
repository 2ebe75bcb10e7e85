"""Muon as in Keras."""

import re
from collections.abc import Sequence
from typing import Any, Unpack

import jax

from gradtx.common import checks
from gradtx.common.leaves import ndim
from gradtx.common.types import PyTree, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.adam_rule import scale_by_raw_adam
from gradtx.like.keras.shared import Frame, decayed, like_keras, with_keras_options
from gradtx.optimizers.muon import scale_by_muon
from gradtx.optimizers.naming import names
from gradtx.optimizers.routing import with_rest
from gradtx.primitives.scale import scale
from gradtx.primitives.shape import MuonDimensionNumbers, scale_by_shape
from gradtx.wrappers.chain import chain, descend


@like_keras("weight_decay", "adam_weight_decay")
def Muon(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    adam_beta_1: Scalar = 0.9,
    adam_beta_2: Scalar = 0.999,
    adam_weight_decay: Scalar | None = 0.004,
    epsilon: Scalar = 1e-7,
    weight_decay: Scalar | None = 0.004,
    *,
    exclude_layers: Sequence[str] | None = None,
    exclude_embeddings: bool = True,
    muon_a: Scalar = 3.4445,
    muon_b: Scalar = -4.7750,
    muon_c: Scalar = 2.0315,
    adam_lr_ratio: Scalar = 1,
    momentum: Scalar = 0.95,
    ns_steps: int = 5,
    nesterov: bool = True,
    rms_rate: Scalar | None = 0.2,
    **shared: Unpack[Frame],
) -> GradientTransformation:
    """Muon, as ``keras.optimizers.Muon`` of Keras 3.15.

        m ← μ m + g
        p ← p - η r √max(rows, columns) NS(g + μ m)        or NS(m), without Nesterov

    for leaves of two axes, and Adam for all others, as
    :func:`gradtx.like.keras.Adam` with the learning rate η ratio. Where Keras looks at
    the path of a variable, here the path of the leaf is looked at, as
    "block/dense/kernel".

    Args:
      learning_rate: η, or a schedule.
      adam_beta_1: Adam's β₁ in [0, 1).
      adam_beta_2: Adam's β₂ in [0, 1).
      adam_weight_decay: the decay of what goes to Adam; None for none.
      epsilon: Adam's ε̂, at least 0.
      weight_decay: the decay of what goes to Muon; None for none.
      exclude_layers: regular expressions; a leaf in whose path one is found goes to
        Adam.
      exclude_embeddings: whether "embedding" is one of them.
      muon_a: the first coefficient of NS.
      muon_b: the second.
      muon_c: the third.
      adam_lr_ratio: Adam's learning rate as a multiple of η, at least 0.
      momentum: μ in [0, 1).
      ns_steps: how many steps NS makes.
      nesterov: whether to look ahead.
      rms_rate: r; None leaves the whole factor out.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Liu et al., 2025, https://arxiv.org/abs/2502.16982

    Example:
      >>> tx, params = gradtx.like.keras.Muon(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(7))
      [[-2.1380000e-04 -4.8700000e-05]
       [-1.1250000e-04  2.6970002e-04]]
    """
    not_matrices = [*(exclude_layers or ()), *(["(?i)embedding"] * exclude_embeddings)]

    def numbers(tree: PyTree) -> PyTree:
        return jax.tree_util.tree_map_with_path(_matrix_unless(not_matrices), tree)

    direction = scale_by_muon(
        (muon_a, muon_b, muon_c),
        ns_steps,
        momentum,
        1e-7,
        nesterov=nesterov,
        bias_correction=False,
        momentum="sum",
        weight_dimension_numbers=numbers,
    )
    factor = scale_by_shape(
        numbers, rms_rate, shape_factor="none" if rms_rate is None else "keller"
    )
    adam = scale_by_raw_adam(
        adam_beta_1, adam_beta_2, epsilon, amsgrad=False, eps_hat=True
    )
    checks.non_negative(adam_lr_ratio=adam_lr_ratio)

    def method(rate: ScalarOrSchedule) -> GradientTransformation:
        matrices = descend(chain(direction, factor), rate)
        rest = descend(chain(adam, scale(adam_lr_ratio)), rate)
        excluded = shared.get("exclude_from_weight_decay")
        if weight_decay is not None:
            matrices = decayed(matrices, rate, weight_decay, excluded)
        if adam_weight_decay is not None:
            rest = decayed(rest, rate, adam_weight_decay, excluded)
        return with_rest(matrices, rest, numbers)

    return with_keras_options(method, learning_rate, **shared)


def _matrix_unless(excluded: list[str]) -> Any:
    def one(path: Any, x: Any) -> MuonDimensionNumbers | None:
        where = "/".join(names(path))
        out = any(re.search(pattern, where) for pattern in excluded)
        return None if out or ndim(x) != 2 else MuonDimensionNumbers()  # noqa: PLR2004

    return one
