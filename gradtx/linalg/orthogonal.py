"""The nearest matrix with orthonormal rows or columns, by matrix products alone."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics
from gradtx.common.types import DTypeLike, Scalar
from gradtx.linalg import presets
from gradtx.lowering.control_flow import platform_dependent, scan
from gradtx.tree.norms import modulus, squares_in_three_units

PRECONDITIONINGS = ("frobenius", "spectral", "aol", "schatten")


def newton_schulz(
    matrix: jax.Array,
    steps: int = 5,
    coeffs: Any = presets.KELLER,
    *,
    preconditioning: str = "frobenius",
    eps: Scalar = 1e-8,
    min_norm: Scalar = 0.0,
    dtype: DTypeLike | None = None,
) -> jax.Array:
    """Bring the singular values of matrices near 1, and leave their vectors alone.

        X ← X / max(‖X‖ + ε, min_norm)
        X ← (a I + b A + c A²) X        with A = X Xᴴ,  at every step

    For X = U S Vᴴ the result is close to U Vᴴ. How close, the coefficients tell: those
    of Muon bring every singular value near 1 in five steps and let it end in
    about [0.7, 1.2]; (15, -10, 3) / 8 converges to 1, in more steps.

    Args:
      matrix: an array of shape (..., m, n): one matrix, or a batch of them, which goes
        through one loop. Where m > n, A = Xᴴ X stands on the right of X, which changes
        nothing but the work.
      steps: how often to iterate, where ``coeffs`` is one triple or a name.
      coeffs: (a, b, c), or a sequence of such triples, one for each step, or the name
        of one: "keller", "polar_express", "quintic", "cans" or "exact", whose tables
        are cut or go on to make as many steps.
      preconditioning: what X is divided by at first: its Frobenius norm ("frobenius"),
        its largest singular value ("spectral"), the root of ‖X Xᴴ‖ ("schatten"), or
        each row by the root of the sum of |X Xᴴ| along it ("aol").
      eps: ε, added to the norms of "frobenius" and "spectral".
      min_norm: the lower bound of what X is divided by, so that what is smaller stays
        below 1.
      dtype: the type to iterate in, such as ``jnp.bfloat16``; the matrix's if None, and
        float32 where that has fewer bits. Norms are taken in float32 at least.

    Returns:
      An array of the matrix's shape and type. A matrix of zeros stays one.

    Raises:
      ValueError: if it is no matrix, or the coefficients are no triples, or the
        preconditioning is not known.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/;
      Schulz, 1933; Boissin et al., 2025, https://arxiv.org/abs/2512.04632 ("aol");
      Grishina et al., 2025, https://arxiv.org/abs/2506.10935 ("schatten")

    Example:
      >>> matrix = jnp.array([[3.0, 0.0], [0.0, -1.0]])
      >>> print(jnp.sign(jnp.diag(gradtx.linalg.newton_schulz(matrix))))
      [ 1. -1.]
    """
    matrix = jnp.asarray(matrix)
    if matrix.ndim < 2:  # noqa: PLR2004
        raise checks.InvalidArgument(
            f"newton_schulz: expected a matrix, got an array of shape {matrix.shape}"
        )
    known_preconditioning(preconditioning)
    table = coefficients(presets.named(coeffs, steps), steps)
    return _iterated(matrix, table, eps, min_norm, preconditioning, dtype)


def known_preconditioning(name: str) -> None:
    """Refuse a preconditioning that there is not."""
    if name not in PRECONDITIONINGS:
        raise checks.InvalidArgument(
            f"preconditioning must be one of {', '.join(PRECONDITIONINGS)}, got "
            f"{name!r}"
        )


def coefficients(coeffs: Any, steps: int) -> jax.Array:
    """Return the triples of all steps, of shape (steps, 3).

    Raises:
      ValueError: if ``coeffs`` is neither a triple nor a sequence of triples.
    """
    table = jnp.asarray(coeffs)
    if table.ndim not in (1, 2) or table.shape[-1] != 3:  # noqa: PLR2004
        raise checks.InvalidArgument(
            "the coefficients must be three numbers, or a sequence of such triples, "
            f"got an array of shape {table.shape}"
        )
    return jnp.broadcast_to(table, (steps, 3)) if table.ndim == 1 else table


@partial(jax.jit, static_argnums=(4, 5))
def _iterated(
    matrix: jax.Array,
    table: jax.Array,
    eps: Scalar,
    min_norm: Scalar,
    preconditioning: str,
    dtype: Any,
) -> jax.Array:
    x = matrix.astype(numerics.compute_dtype(matrix.dtype))
    x = _divided(x, preconditioning, eps, min_norm)
    if dtype is not None:
        x = x.astype(jnp.complex64 if jnp.iscomplexobj(x) else dtype)
    table = table.astype(numerics.real_dtype(x.dtype))
    # Two at a time, the result of one is not copied to where the other starts from;
    # elsewhere that takes longer to compile than it saves.
    two = partial(_rounds, together=2)
    x = platform_dependent(x, table, cuda=two, default=_rounds)
    return x.astype(matrix.dtype)


def _rounds(x: jax.Array, table: jax.Array, together: int = 1) -> jax.Array:
    return scan(_step, x, table, unroll=together)[0]


def _step(x: jax.Array, triple: jax.Array) -> tuple[jax.Array, None]:
    a, b, c = triple
    gram = _gram(x)
    one = jnp.broadcast_to(jnp.eye(gram.shape[-1], dtype=gram.dtype), gram.shape)
    # With a on its diagonal, X is read once less than with a X added afterwards.
    factor = a * one + b * gram + c * (gram @ gram)
    return x @ factor if _is_tall(x) else factor @ x, None


def _gram(x: jax.Array) -> jax.Array:
    """Return X Xᴴ, or Xᴴ X where that is smaller."""
    return x.mT.conj() @ x if _is_tall(x) else x @ x.mT.conj()


def _is_tall(x: jax.Array) -> bool:
    return x.shape[-2] > x.shape[-1]


def _divided(
    x: jax.Array, preconditioning: str, eps: Scalar, min_norm: Scalar
) -> jax.Array:
    """Return x with singular values of at most 1, or nearly."""
    if preconditioning == "frobenius":
        unit, norm = _frobenius(x)
        zero = norm == 0
        bounded = jnp.maximum(norm + eps / unit, min_norm / unit)
        return x / jnp.where(zero, 1, unit) / jnp.where(zero, 1, bounded)
    # Relative to the largest entry, as squares may overflow or vanish.
    top = largest_entry(x)
    x = x / top
    if preconditioning == "spectral":
        norm = _spectral(x)
        bounded = jnp.maximum(norm + eps / top, min_norm / top)
        return x / jnp.where(norm == 0, 1, bounded)
    norm = schatten_norm(x) if preconditioning == "schatten" else _row_norms(x)
    bounded = jnp.maximum(norm, min_norm / top)
    return numerics.safe_divide(x, jnp.where(norm == 0, 0, bounded).astype(x.dtype))


def schatten_norm(x: jax.Array) -> jax.Array:
    """Return ‖X Xᴴ‖^½ of every matrix, the fourth root of Σ σ⁴, with two axes of 1.

    No entry may be so large or small that its square is no number.
    """
    unit, norm = _frobenius(_gram(x))
    return numerics.sqrt(unit * norm)


def _row_norms(x: jax.Array) -> jax.Array:
    """Return √Σⱼ|X Xᴴ|ᵢⱼ for every row i, or column where there are fewer."""
    gram = modulus(_gram(x))
    return numerics.sqrt(jnp.sum(gram, axis=-2 if _is_tall(x) else -1, keepdims=True))


def largest_entry(x: jax.Array) -> jax.Array:
    """Return the largest |entry| of every matrix, and 1 where it is 0 or infinite."""
    size = jnp.abs(jax.lax.stop_gradient(x))
    top = jnp.max(size, axis=(-2, -1), keepdims=True, initial=0)
    return jnp.where((top > 0) & (top < jnp.inf), top, 1)


def _frobenius(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return two factors of the norm of every matrix, so that neither overflows."""
    matrices = x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])
    unit, square = jax.vmap(partial(squares_in_three_units, modulus))([matrices])
    shape = (*x.shape[:-2], 1, 1)
    return unit.reshape(shape), numerics.sqrt(square).reshape(shape)


def _spectral(x: jax.Array) -> jax.Array:
    if x.size == 0:
        return jnp.zeros((*x.shape[:-2], 1, 1), numerics.real_dtype(x.dtype))
    largest = jnp.linalg.svd(x, compute_uv=False)[..., 0]
    return largest[..., None, None]
