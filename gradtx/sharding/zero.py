"""ZeRO-1: whole parameters, and state and step in parts."""

from dataclasses import dataclass
from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import PartitionSpec

from gradtx.common import checks
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.sharding import layouts


@dataclass(frozen=True)
class _Place:
    """Where one parameter lies, and where the parts of its state do."""

    mesh: Any
    axis: tuple[str, ...]
    home: PartitionSpec
    part: PartitionSpec

    def to_part(self, x: Any) -> Any:
        return layouts.placed(x, self.mesh, self.part, self.axis)

    def to_home(self, x: Any) -> Any:
        return layouts.placed(x, self.mesh, self.home, self.axis)


@transformation
def zero1(
    tx: GradientTransformation, axis: str | tuple[str, ...], layout: Any = None
) -> GradientTransformation:
    """Keep the state, and take the step, in parts over an axis of the mesh.

    For parameters that every device along ``axis`` holds whole, as in training over
    batches in parallel. Of n devices each keeps one nth of the state::

        g, p     in parts: a sum of gradients over devices becomes a reduce-scatter
        u, state = tx.update(g, state, p)
        u        whole again, by an all-gather

    A parameter is cut along its longest axis that n divides and that is not cut yet.
    One without such an axis stays as it is, and so do counts. A slot of the shape of
    its parameter lies as the part does; where others lie, ``tx`` and the compiler say.

    The numbers are those of ``tx``, but for the order of sums. The state is that of
    ``tx``, so that checkpoints can be read with and without. Parameters keep their
    layout, all steps are one program, and extra arguments are passed on as they come.

    Args:
      tx: any transformation. Within a chain, put it around the chain.
      axis: the name of a mesh axis, or a tuple of them, which are cut over together.
        The mesh is the one that the parameters lie on, else that of ``jax.set_mesh``.
      layout: the parameters' ``PartitionSpec``, or a tree of them whose leaves stand
        for whole subtrees. None: as their types say on an explicit mesh; whole on an
        automatic one, where types say nothing.

    Raises:
      ValueError: if ``axis`` is no name, or a tuple of none; from ``init`` and
        ``update`` if the mesh lacks the axis, if there is no mesh, for a ``layout``
        that does not fit the parameters, and within ``jax.shard_map`` over the axis.

    Reference: Rajbhandari et al., 2019, https://arxiv.org/abs/1910.02054 (section 5.1)

    Example:
      >>> print(gradtx.zero1(gradtx.adam(0.1), "data"))
      zero1(tx=adam(learning_rate=0.1), axis='data')
    """
    names = layouts.names(axis)
    if not names or not all(isinstance(name, str) for name in names):
        raise checks.InvalidArgument(
            f"axis must be the name of a mesh axis or a tuple of names, got {axis!r}"
        )
    inner = with_extra_args_support(tx)

    def init(params: Params) -> OptState:
        places = _places(params, names, layout)
        parts = _moved(_Place.to_part, places, params)
        return _kept(_tied(inner.init(parts), parts), places)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        places = _places(updates if params is None else params, names, layout)
        updates = _moved(_Place.to_part, places, updates)
        if params is not None:
            params = _moved(_Place.to_part, places, params)
        updates, state = inner.update(updates, state, params, **extra)
        return _moved(_Place.to_home, places, updates), _kept(state, places)

    return GradientTransformation(init, update)


def _places(params: Params, axis: tuple[str, ...], layout: Any) -> dict[Any, Any]:
    """Return for the path of every parameter its shape and place."""
    found = jax.tree_util.tree_leaves_with_path(params)
    specs = layouts.specs_of(layout, params) if found else []
    return {
        path: (x.shape, _place(path, x, axis, spec))
        for (path, x), spec in zip(found, specs, strict=True)
        if layouts.can_lie(x)
    }


def _place(path: Any, x: Any, axis: tuple[str, ...], spec: Any) -> _Place:
    mesh = layouts.mesh_of(x, path)
    parts = layouts.axis_size(mesh, axis)
    if spec is None:
        told = layouts.is_explicit(mesh, axis)
        sharding = x.sharding if layouts.is_shape(x) else jax.typeof(x).sharding
        spec = sharding.spec if told and sharding is not None else PartitionSpec()
    # Without what is yet to be summed, which the gradients' types may tell.
    home = PartitionSpec(*spec)
    layouts.check_rank(home, x, path)
    return _Place(mesh, axis, home, layouts.cut(home, x.shape, axis, parts))


def _moved(how: Any, places: dict[Any, Any], tree: PyTree) -> PyTree:
    def one(path: Any, x: Any) -> Any:
        known = path in places and layouts.can_lie(x)
        return how(places[path][1], x) if known else x

    return jax.tree_util.tree_map_with_path(one, tree)


def _tied(state: OptState, params: Params) -> OptState:
    """Make a traced state depend on the parameters: jit leaves constants whole."""
    traced = [x for x in jax.tree.leaves(params) if isinstance(x, Tracer)]
    found, treedef = jax.tree.flatten(state)
    arrays = [x for x in found if layouts.can_lie(x)]
    if not traced or not arrays:
        return state
    tied = iter(jax.lax.optimization_barrier((arrays, traced))[0])
    return treedef.unflatten([next(tied) if layouts.can_lie(x) else x for x in found])


def _kept(state: OptState, places: dict[Any, Any]) -> OptState:
    """Return a state whose slots of a parameter's shape lie as its part does.

    A slot's path ends in that of its parameter. On an automatic mesh the compiler
    would be free to lay it out otherwise after a step.
    """

    def one(path: Any, x: Any) -> Any:
        known = layouts.ending(places, path)
        if known is None or getattr(x, "shape", None) != known[0]:
            return x
        return known[1].to_part(x)

    return jax.tree_util.tree_map_with_path(one, state)
