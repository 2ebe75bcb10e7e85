"""Two trees compared, and the first difference told in words."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common import checks
from gradtx.common.types import PyTree


def other_form(tree: PyTree, like: PyTree, what: str) -> str | None:
    """Tell where a tree has another structure, shape or type than another one."""
    structures = [jax.tree.structure(x) for x in (tree, like)]
    if structures[0] != structures[1]:
        return f"The {what} is of structure {structures[0]}, not {structures[1]}"
    for path, x, y in _pairs(tree, like):
        forms = [(jnp.shape(z), jnp.result_type(z)) for z in (x, y)]
        if forms[0] != forms[1]:
            (shape, dtype), (wanted, type_wanted) = forms
            return (
                f"The {what} at {path} is of shape {shape} and type {dtype}, not "
                f"{wanted} and {type_wanted}"
            )
    return None


def apart(
    tree: PyTree, like: PyTree, what: str, other: str, *, exact: bool = False
) -> str | None:
    """Tell where two trees differ by more than rounding; or at all, if ``exact``."""
    if jax.tree.structure(tree) != jax.tree.structure(like):
        return other_form(tree, like, f"result {what}")
    for path, x, y in _pairs(tree, like):
        one, two = _wide(x), _wide(y)
        eps = float(jnp.finfo(jnp.result_type(y)).eps) if _inexact(y) else 0.0
        size = np.nanmax(np.abs(two), initial=0.0)
        rtol = 0.0 if exact else max(4 * eps, 1e-4) if eps else 0.0
        close = np.allclose(one, two, rtol=rtol, atol=rtol * size, equal_nan=True)
        if not close:
            return f"At {path}, {what} it is {x!r}, {other} {y!r}"
    return None


def not_finite(tree: PyTree) -> str | None:
    """Return the path of the first leaf with NaN or infinity."""
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if _inexact(x) and not np.isfinite(_wide(x)).all():
            return checks.path_name(path)
    return None


def _pairs(tree: PyTree, like: PyTree) -> list[tuple[str, Any, Any]]:
    found = jax.tree_util.tree_leaves_with_path(tree)
    others = jax.tree.leaves(like)
    return [
        (checks.path_name(path), x, y)
        for (path, x), y in zip(found, others, strict=True)
    ]


def _inexact(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _wide(x: Any) -> Any:
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return np.asarray(x, np.complex128)
