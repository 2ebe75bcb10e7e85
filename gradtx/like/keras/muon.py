"""Muon as in Keras."""

import re
from collections.abc import Sequence
from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.leaves import ndim
from gradtx.common.types import PyTree, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.like.adam_rule import scale_by_raw_adam
from gradtx.like.brought import brought
from gradtx.like.keras.shared import OFF_AT_ZERO, framed, shrink
from gradtx.optimizers.muon import scale_by_muon
from gradtx.optimizers.naming import names
from gradtx.optimizers.routing import with_rest
from gradtx.primitives.scale import scale
from gradtx.primitives.shape import MuonDimensionNumbers, scale_by_shape
from gradtx.wrappers.chain import chain
from gradtx.wrappers.descend import descend


@brought("weight_decay", "adam_weight_decay", *OFF_AT_ZERO)
def Muon(  # noqa: N802
    learning_rate: ScalarOrSchedule = 0.001,
    adam_beta_1: Scalar = 0.9,
    adam_beta_2: Scalar = 0.999,
    adam_weight_decay: Scalar | None = 0.004,
    epsilon: Scalar = 1e-7,
    weight_decay: Scalar | None = 0.004,
    clipnorm: Scalar | None = None,
    clipvalue: Scalar | None = None,
    global_clipnorm: Scalar | None = None,
    use_ema: bool = False,
    ema_momentum: Scalar = 0.99,
    ema_overwrite_frequency: int | None = None,
    loss_scale_factor: Scalar | None = None,
    gradient_accumulation_steps: int | None = None,
    name: str | None = None,
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
) -> GradientTransformation:
    """Muon, as ``keras.optimizers.Muon`` of Keras 3.15.

        m ← μ m + g
        p ← p - η r √max(rows, columns) NS(g + μ m)        or NS(m), without Nesterov

    for leaves of two axes, and Adam for all others, as
    :func:`gradtx.like.keras.Adam` with the learning rate η ratio. Where Keras looks at
    the path of a variable, here the path of the leaf is looked at, as
    "block/dense/kernel".

    Args:
      learning_rate: η, a finite number, or a schedule of the number of calls made.
      adam_beta_1: Adam's β₁, in [0, 1).
      adam_beta_2: Adam's β₂, in [0, 1).
      adam_weight_decay: the λ of the leaves that go to Adam, a finite number; None or 0
        for no decay.
      epsilon: Adam's ε̂, at least 0.
      weight_decay: the λ of the matrices, a finite number: p ← (1 - η λ) p before the
        step; None or 0 for no decay.
      clipnorm: the largest norm of each leaf's gradient, at least 0; None or 0 for no
        bound. At most one of the three bounds may be given.
      clipvalue: the largest size of each entry of the gradients, at least 0; None or 0
        for no bound.
      global_clipnorm: the largest norm of all gradients together, at least 0, which
        makes everything NaN if it is not finite; None or 0 for no bound.
      use_ema: whether to keep a running mean of the parameters, which
        :func:`gradtx.eval_params` finds.
      ema_momentum: how much of that mean is kept at each step, in [0, 1].
      ema_overwrite_frequency: how many steps apart the mean takes the place of the
        parameters, a whole number; None or 0 for never.
      loss_scale_factor: is refused unless None, as nothing here scales the loss.
      gradient_accumulation_steps: how many calls make a step, with the mean of their
        gradients, a whole number of at least 2; None or 0 for a step at each call.
      name: is shown when the transformation is printed, and does nothing.
      exclude_layers: regular expressions; a leaf in whose path one is found goes to
        Adam. None for none.
      exclude_embeddings: whether the leaves with "embedding" in their path, in capitals
        or not, go to Adam too.
      muon_a: the first coefficient of NS, that of X.
      muon_b: the second, that of (X Xᵀ) X.
      muon_c: the third, that of (X Xᵀ)² X.
      adam_lr_ratio: the learning rate of Adam's leaves over η, at least 0.
      momentum: μ, in [0, 1): how much of m is kept at each step.
      ns_steps: how many steps NS makes, a whole number of at least 1.
      nesterov: whether to look ahead.
      rms_rate: r, at least 0; None leaves out the factor r √max(rows, columns).

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Liu et al., 2025, https://arxiv.org/abs/2502.16982
    """
    del name
    excluded = [*(exclude_layers or ()), *(["(?i)embedding"] * exclude_embeddings)]

    def numbers(tree: PyTree) -> PyTree:
        return jax.tree_util.tree_map_with_path(_matrix_unless(excluded), tree)

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
        return with_rest(
            _shrunk(matrices, rate, weight_decay),
            _shrunk(rest, rate, adam_weight_decay),
            numbers,
        )

    return framed(
        method,
        learning_rate,
        weight_decay=None,
        clipnorm=clipnorm,
        clipvalue=clipvalue,
        global_clipnorm=global_clipnorm,
        use_ema=use_ema,
        ema_momentum=ema_momentum,
        ema_overwrite_frequency=ema_overwrite_frequency,
        loss_scale_factor=loss_scale_factor,
        gradient_accumulation_steps=gradient_accumulation_steps,
    )


def _shrunk(
    tx: GradientTransformation, rate: ScalarOrSchedule, decay: Scalar | None
) -> GradientTransformation:
    return tx if decay is None else chain(tx, shrink(rate, decay))


def _matrix_unless(excluded: list[str]) -> Any:
    def one(path: Any, x: Any) -> MuonDimensionNumbers | None:
        where = "/".join(names(path))
        out = any(re.search(pattern, where) for pattern in excluded)
        return None if out or ndim(x) != 2 else MuonDimensionNumbers()  # noqa: PLR2004

    return one
