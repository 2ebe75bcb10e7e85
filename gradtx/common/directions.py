"""Signs, lengths and angles of numbers, real and complex, right at zero."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common.numerics import safe_divide
from gradtx.common.types import Scalar


def sign(x: jax.Array) -> jax.Array:
    """Return the sign of every entry, of both parts apart where it is complex."""
    if jnp.iscomplexobj(x):
        return jax.lax.complex(jnp.sign(x.real), jnp.sign(x.imag))
    return jnp.sign(x)


def agreement(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return of every two entries whether they point the same way: 1, 0, or -1 if not.

    Of complex entries it is the cosine of the angle between them. Unlike that of x y,
    the sign of the result is right where the product would overflow or vanish.
    """
    if not (jnp.iscomplexobj(x) and jnp.iscomplexobj(y)):
        return jnp.sign(x.real) * jnp.sign(y.real)
    a, b = (safe_divide(z, jnp.abs(jnp.where(z == 0, 1, z))) for z in (x, y))
    return a.real * b.real + a.imag * b.imag


def clip_magnitude(x: jax.Array, bound: Scalar) -> jax.Array:
    """Return every entry of x, brought to |x| ≤ bound along its direction."""
    if not jnp.iscomplexobj(x):
        return jnp.clip(x, -bound, bound)
    zero = x == 0
    length = jnp.where(zero, 0, jnp.abs(jnp.where(zero, 1, x)))
    return jnp.where(length > bound, safe_divide(x, length) * bound, x)


def lengthened(x: jax.Array, length: jax.Array, least: jax.Array) -> jax.Array:
    """Return x, of a norm that is known, scaled up to the norm ``least`` if below it.

    Where the norm is 0, x stays 0.
    """
    return jnp.where(length < least, least * safe_divide(x, length), x)


@jax.custom_jvp
def hypot(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return √(x² + y²) without overflow, with the derivative 0 at (0, 0)."""
    return jnp.hypot(x, y)


@hypot.defjvp
def _hypot_jvp(primals: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = primals, tangents
    root = hypot(x, y)
    return root, safe_divide(x, root) * dx + safe_divide(y, root) * dy
