"""Which parameters are matrices, as a method for matrices sees them, and which not."""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.leaves import ndim
from gradtx.common.types import MaskOrFn, Params, PyTree, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.linalg import axes
from gradtx.linalg.heads import MatrixAxes, block_columns
from gradtx.optimizers import naming
from gradtx.optimizers.adam import adamw
from gradtx.optimizers.layouts import Model, Route
from gradtx.primitives.shape import MuonDimensionNumbers
from gradtx.wrappers.chain import descend
from gradtx.wrappers.partition import partition


class MatrixRoutes(Mapping[str, MatrixAxes | None]):
    """What :func:`matrices` decided: from the path of every parameter to its matrices.

    It is printed as a table. Called with any tree of the parameters' structure it
    returns the tree of dimension numbers, so that it may stand wherever
    ``weight_dimension_numbers`` are wanted.

    Args:
      routes: what was decided of every leaf.
      tree: the dimension numbers, as a tree of the parameters' structure.

    Example:
      >>> params = {"dense": {"kernel": jnp.ones((4, 2)), "bias": jnp.ones(2)}}
      >>> routes = gradtx.matrices(params)
      >>> [(x.path, x.axes is not None) for x in routes.routes]
      [('dense/bias', False), ('dense/kernel', True)]
    """

    def __init__(self, routes: tuple[Route, ...], tree: PyTree) -> None:
        self.routes = routes
        self.tree = tree

    def __call__(self, tree: PyTree) -> PyTree:
        """Return the tree of dimension numbers."""
        del tree
        return self.tree

    def __getitem__(self, path: str) -> MatrixAxes | None:
        return {route.path: route.axes for route in self.routes}[path]

    def __iter__(self) -> Iterator[str]:
        return (route.path for route in self.routes)

    def __len__(self) -> int:
        return len(self.routes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MatrixRoutes) and self.routes == other.routes

    def __hash__(self) -> int:
        return hash(self.routes)

    def __repr__(self) -> str:
        rows = [("parameter", "shape", "matrices", "taken for")]
        rows += [
            (route.path, str(route.shape), _in_words(route), route.reason)
            for route in self.routes
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(x.ljust(n) for x, n in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join(lines)


def _in_words(route: Route) -> str:
    if route.axes is None:
        return "-"
    count, rows, columns = axes.matrix_shape(route.shape, route.axes, ())
    sizes = Counter(block_columns(columns, route.axes))
    return ", ".join(
        f"{n * count} of {rows} -> {size}" if n * count > 1 else f"{rows} -> {size}"
        for size, n in sizes.items()
    )


def matrices(
    params: Params,
    overrides: Mapping[str, MatrixAxes | None] | None = None,
    *,
    heads: Mapping[str, int] | None = None,
    splits: Mapping[str, tuple[int, ...]] | None = None,
) -> MatrixRoutes:
    """Tell by paths and shapes which parameters are matrices, and along which axes.

    Kernels of dense layers, of attention (in, heads, width) and (heads, width, out) and
    of convolutions, seen as (window and in, out), are matrices; leading axes of stacked
    layers or of experts count them. Embeddings, last layers, biases, norms, vectors and
    scalars are for another method. Print the result before a long run, and correct it
    by ``overrides`` where it is wrong:

        routes = gradtx.matrices(params)
        print(routes)
        tx = gradtx.muon(0.02, muon_weight_dimension_numbers=routes)

    Names are those of Flax (Linen and NNX), Haiku, Keras and Equinox. An array whose
    name begins with "weight" has its output axis first, all others have it last. A
    kernel from the width of an embedding to its number of rows is a last layer whatever
    its name. A subtree is one of stacked layers if all its arrays have a first axis of
    one size, and its norms or biases an axis more than usual.

    Args:
      params: the parameters, or their shapes.
      overrides: from a regular expression that is searched for in paths, as
        "block/mlp/up/kernel", to the matrices of the leaf, or None if it is none. The
        first that is found counts.
      heads: from such an expression to how many matrices of one size lie side by side
        along the output axis.
      splits: from such an expression to the columns of the matrices side by side.

    Returns:
      The dimension numbers by path, printed as a table, to be given to a method as
      ``weight_dimension_numbers``.

    Raises:
      ValueError: if an expression is found nowhere.

    Example:
      >>> params = {"mlp": {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}}
      >>> print(gradtx.matrices(params))
      parameter   shape   matrices  taken for
      mlp/bias    (4,)    -         bias
      mlp/kernel  (4, 4)  4 -> 4    matrix
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        params, is_leaf=checks.is_none
    )
    model = Model(params, leaves)
    routes = [_overridden(model.route(i), overrides) for i in range(len(leaves))]
    for field, given in (("heads", heads), ("splits", splits)):
        routes = [_cut(route, field, given) for route in routes]
    for pattern in (*(overrides or ()), *(heads or ()), *(splits or ())):
        if not any(re.search(pattern, route.path) for route in routes):
            raise checks.InvalidArgument(
                f"matrices: no path of the parameters has {pattern!r}"
            )
    present = tuple(
        r for r, (_, x) in zip(routes, leaves, strict=True) if x is not None
    )
    return MatrixRoutes(present, treedef.unflatten([route.axes for route in routes]))


def _overridden(route: Route, overrides: Mapping[str, Any] | None) -> Route:
    for pattern, which in (overrides or {}).items():
        if re.search(pattern, route.path):
            if which is not None and not isinstance(which, MatrixAxes):
                which = MatrixAxes(which.reduction_axis, which.output_axis)  # noqa: PLW2901
            return route._replace(axes=which, reason="as given")
    return route


def _cut(route: Route, field: str, given: Mapping[str, Any] | None) -> Route:
    for pattern, value in (given or {}).items():
        if route.axes is not None and re.search(pattern, route.path):
            return route._replace(axes=route.axes._replace(**{field: value}))
    return route


# --- two methods -------------------------------------------------------------


class OfTwoAxes:
    """The default: every leaf of two axes is a matrix of shape (in, out).

    Called with a tree it returns its dimension numbers, and the first time it warns of
    those whose paths say that they had better gone elsewhere.
    """

    def __init__(self) -> None:
        self._has_warned = False

    def __call__(self, tree: PyTree) -> PyTree:
        """Return the dimension numbers of a tree."""
        if not self._has_warned:
            self._has_warned = True
            _warn_of(tree)
        return axes.resolve_dimension_numbers(None, tree, _if_matrix)


def of_two_axes(given: Any) -> Callable[[PyTree], PyTree]:
    """Return the function that makes dimension numbers for a tree.

    Args:
      given: as :func:`gradtx.muon` takes them.
    """
    if given is None:
        return OfTwoAxes()
    return lambda tree: axes.resolve_dimension_numbers(given, tree, _if_matrix)


def with_rest(
    matrices: GradientTransformation,
    rest: GradientTransformation,
    numbers: Callable[[PyTree], PyTree],
    labels: tuple[str, str] = ("muon", "adam"),
) -> GradientTransformation:
    """Give the matrices to one transformation, and all other leaves to another.

    Args:
      matrices: for the leaves that have dimension numbers.
      rest: for those that have None.
      numbers: makes the dimension numbers of a tree.
      labels: the names of the two in the state.
    """

    def label(leaf: Any, which: Any) -> str | None:
        if leaf is None:
            return None
        return labels[which is None]

    def parts(tree: PyTree) -> PyTree:
        return jax.tree.map(label, tree, numbers(tree), is_leaf=checks.is_none)

    return partition(dict(zip(labels, (matrices, rest), strict=True)), parts)


def descend_with_rest(
    direction: GradientTransformation,
    learning_rate: ScalarOrSchedule,
    numbers: Callable[[PyTree], PyTree],
    *,
    weight_decay: ScalarOrSchedule,
    mask: MaskOrFn | None,
    rest: GradientTransformation | None,
) -> GradientTransformation:
    """Go downhill along a direction for matrices, and by AdamW for all other leaves.

    Args:
      direction: what makes the update of a matrix of its gradient.
      learning_rate: η, or a schedule.
      numbers: makes the dimension numbers of a tree.
      weight_decay: λ, of both.
      mask: which of the matrices decay.
      rest: another method for the other leaves.
    """
    if rest is None:
        rest = adamw(learning_rate, weight_decay=weight_decay)
    matrices = descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
    return with_rest(matrices, rest, numbers, ("matrices", "rest"))


def _if_matrix(x: Any) -> MuonDimensionNumbers | None:
    return MuonDimensionNumbers() if ndim(x) == 2 else None  # noqa: PLR2004


def _warn_of(tree: PyTree) -> None:
    found = []
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        what = naming.says(naming.names(path)) if _if_matrix(x) else None
        if what:
            found.append(f"{checks.path_name(path)} (by its path: {what})")
    if found:
        warnings.warn(
            f"as every leaf of two axes is taken for a matrix, so are "
            f"{', '.join(found)}, which had better be updated by the other method: "
            "give gradtx.matrices(params) as the weight dimension numbers",
            stacklevel=2,
        )
