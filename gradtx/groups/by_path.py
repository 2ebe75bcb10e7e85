"""A transformation for every group of parameters, the groups by patterns of paths."""

from dataclasses import dataclass
from typing import Any

from gradtx.common import checks
from gradtx.common.types import InOrder, PyTree
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.groups import paths
from gradtx.primitives.scale import set_to_zero
from gradtx.wrappers.partition import partition

DEFAULT = "default"


@dataclass(frozen=True)
class Labels:
    """From a tree to the label of every leaf: the text of the first pattern, or a rest.

    Args:
      patterns: the patterns, in their order.
    """

    patterns: tuple[paths.Pattern, ...]

    def __call__(self, tree: PyTree) -> PyTree:
        """Return the tree of labels."""
        numbers, treedef = paths.first_found(list(self.patterns), tree)
        texts = [*map(paths.text_of, self.patterns)]
        return treedef.unflatten(
            [DEFAULT if i is None else texts[i] for i in numbers],
        )


@transformation
def by_path(
    groups: InOrder, *, default: GradientTransformation | None
) -> GradientTransformation:
    """Give every leaf to the transformation whose pattern its path matches first.

    A path is written with "/" between its names and positions, in one form for all
    frameworks: ``"params/Dense_0/kernel"`` of Linen, ``"layers/0/kernel"`` of NNX,
    ``"layers/0/weight"`` of Equinox, ``"linear/~/w"`` of Haiku. In a pattern ``*`` and
    ``?`` stand for what has no "/", ``[ab]`` for one of some characters, ``**`` for any
    number of names. What names a module names all that is in it. A compiled regular
    expression is searched for in the path instead.

        tx = chain(
            clip_by_global_norm(1.0),  # one norm of all groups
            by_path(
                {"**/attention/**/kernel": muon(0.02), "embed*": None},
                default=adamw(1e-3),
            ),
        )

    The state is that of :func:`gradtx.partition`, with the texts of the patterns and
    ``"default"`` for labels. What is frozen has no state and gets updates of exactly
    zero; its gradients count in a norm around the groups, unless
    ``freeze(mask_by_path(...))`` comes first. To unfreeze it later, make another
    ``by_path``, and carry the state over with :func:`gradtx.migrate`.

    Args:
      groups: a mapping from patterns to transformations, or to None for what is frozen;
        or its pairs. The first pattern that matches counts.
      default: for the leaves that no pattern matches; None freezes them.

    Raises:
      ValueError: for what is no pattern; from ``init`` and ``update`` for a pattern
        that matches nothing, with the closest paths, or nothing that those before it
        leave.

    Example:
      >>> tx = gradtx.by_path({"*bias": gradtx.set_to_zero()}, default=gradtx.sgd(0.1))
      >>> params = {"bias": jnp.ones(1), "kernel": jnp.ones(1)}
      >>> updates, state = tx.update(params, tx.init(params), params)
      >>> print(updates["bias"], updates["kernel"])
      [0.] [-0.1]
    """
    pairs = _pairs(groups)
    patterns = [pattern for pattern, _ in pairs]
    paths.check(patterns)
    if DEFAULT in map(paths.text_of, patterns):
        raise checks.InvalidArgument(
            f"{DEFAULT!r} is the name of the rest of the leaves: write '**/{DEFAULT}' "
            "for a path of that name"
        )
    transforms = {paths.text_of(pattern): _of(tx) for pattern, tx in pairs}
    return partition({**transforms, DEFAULT: _of(default)}, Labels(tuple(patterns)))


def _pairs(groups: Any) -> list[tuple[Any, Any]]:
    pairs = list(groups)
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):  # noqa: PLR2004
        raise checks.InvalidArgument(
            "groups must be a mapping from patterns to transformations, or pairs of "
            f"them, got {groups!r}"
        )
    return [(pattern, tx) for pattern, tx in pairs]


def _of(tx: GradientTransformation | None) -> GradientTransformation:
    return set_to_zero() if tx is None else tx
