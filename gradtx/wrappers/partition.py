"""Different transformations for different parts of the tree."""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.foreign import plain
from gradtx.common.types import OptState, Params, PyTree, Static, Updates
from gradtx.core import order
from gradtx.core.masking import restrict
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.tree import masks
from gradtx.tree.placeholders import is_placeholder


class PartitionState(NamedTuple):
    """What :func:`partition` remembers: the state of every part, by its label."""

    inner_states: Mapping[Hashable, OptState]


@order.keeps("others")
@transformation
def partition(
    transforms: Mapping[Hashable, GradientTransformation],
    param_labels: Static,
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformation:
    """Give every leaf to the transformation that its label names.

    Each transformation sees a tree that has no leaf but its own, so it neither keeps
    state for the others nor counts them in a norm. Leaves that go to
    :func:`gradtx.set_to_zero` are frozen: their updates are exactly zero, whatever
    their gradients, and they may be integers.

    Args:
      transforms: from labels to transformations.
      param_labels: a tree of labels with the structure of the parameters or a prefix of
        it, or a function that makes one from the parameters (from the updates, where
        ``update`` is given no parameters). A tree that can be called is a tree.
      mask_compatible_extra_args: also part those extra arguments of ``update`` that are
        trees of the parameters' structure.

    Raises:
      ValueError: if a label has no transformation, or the labels do not fit the tree.

    Example:
      >>> tx, params = (
      ...     gradtx.multi_transform({"all": gradtx.sgd(0.1)}, "all"),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """

    def parts(tree: PyTree) -> dict[Hashable, GradientTransformation]:
        labels = param_labels
        if is_placeholder(tree):  # it stands for the leaves of any label
            labels = next(iter(transforms))
        elif masks.is_function(labels):
            labels = labels(tree)
        labels = plain(labels)
        _all_known(labels, transforms)
        return {
            label: restrict(
                tx, _labelled(labels, label), extra_too=mask_compatible_extra_args
            )
            for label, tx in transforms.items()
        }

    def init(params: Params) -> PartitionState:
        return PartitionState({k: tx.init(params) for k, tx in parts(params).items()})

    def update(
        updates: Updates,
        state: PartitionState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, PartitionState]:
        new = {}
        for label, tx in parts(updates if params is None else params).items():
            old = state.inner_states[label]
            updates, new[label] = tx.update(updates, old, params, **extra)
        return updates, PartitionState(new)

    return GradientTransformation(init, update)


multi_transform = partition
MultiTransformState = PartitionState


def _labelled(labels: PyTree, label: Hashable) -> PyTree:
    return jax.tree.map(lambda x: x == label, labels)


def _all_known(labels: PyTree, transforms: Mapping[Hashable, Any]) -> None:
    unknown: dict[Hashable, Any] = {}
    for path, label in jax.tree_util.tree_leaves_with_path(labels):
        if label not in transforms:
            unknown.setdefault(label, path)
    if unknown:
        found = ", ".join(
            f"{label!r} (first at {checks.path_name(path)})"
            for label, path in unknown.items()
        )
        raise checks.InvalidArgument(
            f"no transformation for the labels {found}: there are "
            f"{', '.join(map(repr, transforms))}"
        )
