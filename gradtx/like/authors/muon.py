"""Muon as in Keller Jordan's, Moonlight's and dion's programs."""

from functools import partial
from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.leaves import ndim
from gradtx.common.types import PyTree, Scalar, ScalarOrSchedule, Static
from gradtx.core.transformation import (
    GradientTransformation,
    stateless_with_tree_map,
)
from gradtx.like.adam_rule import scale_by_raw_adam
from gradtx.like.brought import foreign_signature, refuse
from gradtx.linalg import MatrixAxes
from gradtx.optimizers.muon import scale_by_muon
from gradtx.optimizers.routing import of_two_axes, with_rest
from gradtx.primitives.shape import scale_by_shape
from gradtx.wrappers.chain import chain, descend

ADJUSTED = {"spectral_norm": "spectral", "rms_norm": "moonlight", None: "none"}
POLAR_MARGIN = 1.02  # of Polar Express: stands before the norm, and there not before ε


@foreign_signature("weight_decay")
def Muon(  # noqa: N802
    lr: ScalarOrSchedule = 0.02,
    weight_decay: Scalar | None = 0,
    momentum: Scalar = 0.95,
    *,
    params: Any = None,
    weight_dimension_numbers: Static = None,
) -> GradientTransformation:
    """Muon, as KellerJordan/Muon's ``SingleDeviceMuon``.

        m ← μ m + (1 - μ) g
        p ← (1 - η λ) p - η √max(1, rows / columns) NS(μ m + (1 - μ) g)

    The last two axes are the rows and columns, the rows for outputs, and axes before
    them count matrices; the kernel of a convolution (out, in, height, width) is one
    matrix of shape (out, rest), but its factor is still that of the last two axes.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      weight_decay: λ, at least 0; 0 or None for no decay.
      momentum: μ, in [0, 1): how much of m is kept at each step.
      params: means nothing here; call ``tx.init(params)``.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`gradtx.scale_by_muon` takes them; as above if None.

    Raises:
      ValueError: if a number is outside its range; if a leaf has fewer than two axes;
        for ``params``.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/

    Example:
      >>> tx, params = gradtx.like.authors.Muon(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.01 -0.  ]
       [-0.01  0.02]]
    """
    refuse(params=params)
    checks.non_negative(lr=lr, weight_decay=weight_decay)
    given = weight_dimension_numbers
    direction = scale_by_muon(
        beta=momentum,
        eps=1e-7,
        bias_correction=False,
        weight_dimension_numbers=partial(_flat, 4) if given is None else given,
    )
    if given is None:
        factor = stateless_with_tree_map(_by_last_axes)
    else:
        factor = scale_by_shape(given)
    return descend(chain(direction, factor), lr, weight_decay=weight_decay)


def _by_last_axes(u: jax.Array, p: jax.Array | None) -> jax.Array:
    del p
    rows, columns = u.shape[-2:]
    return u * max(1, rows / max(columns, 1)) ** 0.5


def _flat(least: int, tree: PyTree) -> PyTree:
    """See arrays of so many axes or more as (out, rest), and fewer than two as none."""

    def one(x: Any) -> MatrixAxes | None:
        n = ndim(x)
        if n >= least:
            return MatrixAxes(tuple(range(1, n)), 0)
        return MatrixAxes(-1, -2) if n > 1 else None

    return jax.tree.map(one, tree)


@foreign_signature("wd")
def MoonlightMuon(  # noqa: N802
    lr: ScalarOrSchedule = 1e-3,
    wd: Scalar | None = 0.1,
    momentum: Scalar = 0.95,
    nesterov: bool = True,
    ns_steps: int = 5,
    adamw_betas: tuple[Scalar, Scalar] = (0.9, 0.95),
    adamw_eps: Scalar = 1e-8,
    *,
    params: Any = None,
    weight_dimension_numbers: Static = None,
) -> GradientTransformation:
    """Muon, as MoonshotAI/Moonlight's ``Muon``: with AdamW at the same learning rate.

        b ← μ b + g
        p ← (1 - η λ) p - 0.2 η √max(rows, columns) NS(g + μ b)

    Arrays of three axes or more are matrices of shape (out, rest); those of fewer than
    two go to AdamW, with ε that the bias correction does not reach. The program is
    told which parameters are for AdamW: here by None among the dimension numbers.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      wd: λ, at least 0, of both; 0 or None for no decay.
      momentum: μ, in [0, 1): how much of b is kept at each step.
      nesterov: whether to look ahead; NS(b) if not.
      ns_steps: how many steps NS makes, a whole number of at least 1.
      adamw_betas: (β₁, β₂) of AdamW, each in [0, 1).
      adamw_eps: ε of AdamW, at least 0.
      params: means nothing here; call ``tx.init(params)``.
      weight_dimension_numbers: which axes make up the matrices, as :func:`gradtx.muon`
        takes them; as above if None.

    Raises:
      ValueError: if a number is outside its range; for ``params``.

    Reference: Liu et al., 2025, https://arxiv.org/abs/2502.16982

    Example:
      >>> tx, params = gradtx.like.authors.MoonlightMuon(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(7))
      [[-3.098e-04 -4.870e-05]
       [-1.125e-04  1.737e-04]]
    """
    refuse(params=params)
    checks.non_negative(lr=lr, wd=wd)
    given = weight_dimension_numbers
    numbers = of_two_axes(partial(_flat, 3) if given is None else given)
    direction = scale_by_muon(
        ns_steps=ns_steps,
        beta=momentum,
        eps=1e-7,
        nesterov=nesterov,
        bias_correction=False,
        momentum="sum",
        weight_dimension_numbers=numbers,
    )
    if given is None:
        factor = stateless_with_tree_map(_by_first_axes)
    else:
        factor = scale_by_shape(numbers, shape_factor="moonlight")
    b1, b2 = adamw_betas
    adam = scale_by_raw_adam(b1, b2, adamw_eps, amsgrad=False, eps_hat=True)
    return with_rest(
        descend(chain(direction, factor), lr, weight_decay=wd),
        descend(adam, lr, weight_decay=wd),
        numbers,
    )


def _by_first_axes(u: jax.Array, p: jax.Array | None) -> jax.Array:
    del p
    return u * (0.2 * max(u.shape[:2]) ** 0.5)


@foreign_signature("weight_decay")
def DionMuon(  # noqa: N802
    lr: ScalarOrSchedule = 0.01,
    mu: Scalar = 0.95,
    weight_decay: Scalar | None = 0.01,
    cautious_wd: bool = False,
    epsilon: Scalar = 1e-8,
    nesterov: bool = False,
    adjust_lr: str | None = "spectral_norm",
    flatten: bool = False,
    use_polar_express: bool = True,
    *,
    params: Any = None,
    weight_dimension_numbers: Static = None,
) -> GradientTransformation:
    """Muon, as microsoft/dion's ``Muon``.

        m ← μ m + g
        p ← (1 - η λ) p - η s NS(m)           or NS(g + μ m), with Nesterov

    with the coefficients of Polar Express, and s = √(rows / columns). The last two axes
    are the rows and columns, the rows for outputs. Its ``num_heads`` and
    ``split_sizes`` are here ``heads`` and ``splits`` of :class:`gradtx.MatrixAxes`.

    Args:
      lr: η, at least 0, or a schedule of the number of steps taken.
      mu: μ, in [0, 1): how much of m is kept at each step.
      weight_decay: λ, at least 0; 0 or None for no decay.
      cautious_wd: decay only where the step makes the entry smaller.
      epsilon: ε of NS, at least 0, added to the norm that it divides by.
      nesterov: whether to look ahead: NS(m) if not.
      adjust_lr: s: "spectral_norm", "rms_norm" for 0.2 √max(rows, columns), or None.
      flatten: whether arrays of more axes are matrices of shape (out, rest).
      use_polar_express: whether to take Polar Express; if not, "quintic".
      params: means nothing here; call ``tx.init(params)``.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`gradtx.scale_by_muon` takes them; as above if None.

    Raises:
      ValueError: if a number is outside its range or the name not known; if a leaf has
        fewer than two axes; for ``params``.

    Reference: Ahn et al., 2025, https://github.com/microsoft/dion

    Example:
      >>> tx, params = gradtx.like.authors.DionMuon(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.01 -0.  ]
       [-0.    0.01]]
    """
    refuse(params=params)
    checks.non_negative(lr=lr, weight_decay=weight_decay, epsilon=epsilon)
    if adjust_lr not in ADJUSTED:
        raise checks.InvalidArgument(
            f"adjust_lr must be 'spectral_norm', 'rms_norm' or None, got {adjust_lr!r}"
        )
    given = weight_dimension_numbers
    numbers = partial(_flat, 3 if flatten else 1 << 10) if given is None else given
    direction = scale_by_muon(
        "polar_express" if use_polar_express else "quintic",
        beta=mu,
        eps=epsilon / POLAR_MARGIN if use_polar_express else epsilon,
        nesterov=nesterov,
        bias_correction=False,
        momentum="sum",
        weight_dimension_numbers=numbers,
    )
    factor = scale_by_shape(numbers, shape_factor=ADJUSTED[adjust_lr])
    return descend(
        chain(direction, factor),
        lr,
        weight_decay=weight_decay,
        decay_kind="cautious" if cautious_wd else "decoupled",
    )
