"""A mask by patterns of paths, to be given wherever a mask is wanted."""

from dataclasses import dataclass

from gradtx.common.types import PyTree
from gradtx.groups import paths


@dataclass(frozen=True)
class PathMask:
    """What :func:`mask_by_path` returns: a function from a tree to a tree of booleans.

    Args:
      patterns: the patterns.
    """

    patterns: tuple[paths.Pattern, ...]

    def __call__(self, tree: PyTree) -> PyTree:
        """Return True for every leaf that a pattern matches."""
        for pattern in self.patterns:
            paths.first_found([pattern], tree)  # refuses one that names nothing
        names, treedef = paths.paths_of(tree)
        return treedef.unflatten(
            [any(paths.finds(x, name) for x in self.patterns) for name in names]
        )

    def __repr__(self) -> str:
        return f"mask_by_path({', '.join(map(repr, self.patterns))})"


def mask_by_path(*patterns: paths.Pattern) -> PathMask:
    """Return a mask that is True for the leaves whose paths match one of the patterns.

    It stands wherever a mask may: ``freeze(mask_by_path("embed*"))``, ``masked(tx,
    mask_by_path("**/kernel"))``, ``adamw(1e-3, mask=mask_by_path("**/kernel"))``.

    Args:
      *patterns: as :func:`gradtx.by_path` takes them.

    Raises:
      ValueError: for what is no pattern; when the mask is used, for a pattern that
        matches nothing, with the closest paths.

    Example:
      >>> mask = gradtx.mask_by_path("**/bias")
      >>> print(mask({"layer": {"bias": jnp.ones(1), "kernel": jnp.ones(1)}}))
      {'layer': {'bias': True, 'kernel': False}}
    """
    paths.check(list(patterns))
    return PathMask(patterns)
