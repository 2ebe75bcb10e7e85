"""What a mask is, and how it parts a tree."""

from typing import Any

import jax
from jax.core import Tracer

from gradtx.common import checks
from gradtx.common.foreign import is_instance, plain
from gradtx.common.types import MaskOrFn, PyTree
from gradtx.tree.packed import is_packed
from gradtx.tree.placeholders import MaskedNode as MaskedNode, is_placeholder


def is_masked(node: Any) -> bool:
    """Whether a leaf has been masked out here, by us or by optax."""
    return isinstance(node, MaskedNode) or is_instance(node, "optax", "MaskedNode")


def is_function(x: Any) -> bool:
    """Whether ``x`` is a function of the parameters, not a tree that can be called.

    Modules of some libraries are trees with a ``__call__``: those are trees.
    """
    if isinstance(x, jax.tree_util.Partial):
        return True
    return callable(x) and jax.tree_util.treedef_is_leaf(jax.tree.structure(x))


def resolve_mask(mask: MaskOrFn, tree: PyTree) -> PyTree:
    """Return the tree of booleans that a mask means for ``tree``, one for each leaf.

    Args:
      mask: a tree of booleans with the structure of ``tree`` or a prefix of it, or a
        function that makes one from ``tree``.
      tree: the parameters or updates.

    Raises:
      ValueError: if the structures do not fit, or a leaf of the mask is traced.
    """
    return spread(as_prefix(mask, tree), tree)


def as_prefix(mask: MaskOrFn, tree: PyTree) -> PyTree:
    """Return the mask as Python's booleans, a prefix of ``tree`` where it is one.

    Raises:
      ValueError: as :func:`resolve_mask` does.
    """
    if is_placeholder(tree):  # it stands for what the mask leaves, too
        return True
    if is_packed(tree) and not _is_flag(mask):
        raise checks.InvalidArgument(
            "a mask cannot tell apart small leaves that are put together: put it "
            "around, as in masked(pack_small_leaves(tx), mask)"
        )
    flags, treedef = jax.tree.flatten(plain(mask(tree) if is_function(mask) else mask))
    for flag in flags:
        if isinstance(flag, Tracer):
            raise checks.InvalidArgument(
                "a mask must be known when the program is traced, but one of its "
                "leaves is traced: make it of Python booleans"
            )
    checks.leaves_like(tree, treedef, "the masked", "the mask")
    return treedef.unflatten([bool(flag) for flag in flags])


def whole(updates: PyTree, params: PyTree | None) -> PyTree:
    """Return the updates with the parameters that have none in the places of None.

    A function that makes a mask is to make the same of them as of the parameters.
    """
    leaves, treedef = jax.tree.flatten(updates, is_leaf=checks.is_none)
    if params is None or all(g is not None for g in leaves):
        return updates
    found = checks.leaves_like(params, treedef, "parameters", "updates")
    pairs = zip(leaves, found, strict=True)
    return treedef.unflatten([p if g is None else g for g, p in pairs])


def _is_flag(mask: Any) -> bool:
    return isinstance(mask, bool)


def spread(mask: PyTree, tree: PyTree) -> PyTree:
    """Return a mask that is a prefix of ``tree`` with a boolean for each leaf."""
    flags, treedef = jax.tree.flatten(mask)
    parts = treedef.flatten_up_to(tree)
    return treedef.unflatten(
        [
            jax.tree.map(lambda _, flag=flag: flag, part, is_leaf=_is_leaf)
            for flag, part in zip(flags, parts, strict=True)
        ]
    )


def _is_leaf(x: Any) -> bool:
    return x is None or is_masked(x)


def mask_out(tree: PyTree, mask: PyTree, what: str = "updates") -> PyTree:
    """Put :class:`MaskedNode` where ``mask`` is False."""
    flags, treedef = jax.tree.flatten(mask)
    parts = checks.leaves_like(tree, treedef, what, "the mask")
    return treedef.unflatten(
        [x if flag else MaskedNode() for flag, x in zip(flags, parts, strict=True)]
    )


def fill_in(mask: PyTree, chosen: PyTree, rest: PyTree) -> PyTree:
    """Return ``chosen`` where ``mask`` is True and ``rest`` elsewhere."""
    flags, treedef = jax.tree.flatten(mask)
    trees = [treedef.flatten_up_to(tree) for tree in (chosen, rest)]
    return treedef.unflatten(
        [x if flag else y for flag, x, y in zip(flags, *trees, strict=True)]
    )


def mask_out_if_alike(x: PyTree, mask: PyTree, like: PyTree) -> PyTree:
    """Mask a tree that has the structure of ``like``; leave any other as it is."""
    if jax.tree.structure(x, is_leaf=_is_leaf) != jax.tree.structure(
        like, is_leaf=_is_leaf
    ):
        return x
    return mask_out(x, mask)
