"""Numbers about every step, kept in the state: rates, norms, ratios, shares."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, numerics, spec
from gradtx.common.foreign import plain
from gradtx.common.leaves import differentiable
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import AxisName, Count, OptState, Params, PyTree, Updates
from gradtx.core import order, reductions
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.inspection import paths
from gradtx.inspection.clips import gradient_norm, update_and_clipped
from gradtx.inspection.hyperparams import rates
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying import varied_with
from gradtx.tree import norms
from gradtx.tree.placeholders import is_placeholder
from gradtx.wrappers.step import typed_like

Groups = Callable[[str], str | None]


class MetricsState(NamedTuple):
    """What :func:`with_metrics` remembers; :func:`metrics` reads it."""

    count: Count  # steps so far
    clipped: Count  # those of them whose gradient was clipped
    skipped: dict[str, Count]  # those that moved nothing, by group
    values: dict[str, jax.Array]  # of the last step
    inner_state: OptState


@order.keeps("parts")
@transformation
def with_metrics(
    inner: GradientTransformation,
    groups: Groups | None = None,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Keep numbers about every step beside the state, for :func:`metrics` to read.

    The updates are those of ``inner``. Norms are taken within the step, where the
    arrays are read in any case: a compiled step that clips by the global norm takes
    that once. On arrays that are spread over a mesh they are of the whole arrays;
    within ``jax.shard_map``, of what each device holds, or with ``axis_name`` of all.

    Args:
      inner: any transformation. Around it all, as the outermost one, its updates are
        what the parameters move by, and its gradient what the loss gave.
      groups: from the path of a parameter, its names with slashes between them, to the
        name of its group, for which norms, ratios and skipped steps are told too; None
        for those in no group. Without it there are no groups.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: from ``update``, if it is given no parameters.

    Example::

        tx = gradtx.with_metrics(tx, lambda path: path.split("/")[0])
        ...
        log = {k: float(x) for k, x in gradtx.metrics(state).items()}

    Example:
      >>> tx, params = gradtx.with_metrics(gradtx.sgd(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> MetricsState:
        inner_state = inner.init(params)
        names = _members(groups, params)
        values: Any = dict.fromkeys(_names(inner, inner_state, names), 0.0)
        skipped: Any = dict.fromkeys(["", *names], 0)
        if groups is not None and is_placeholder(params):  # it has groups of any name
            values, skipped = 0.0, 0
        return MetricsState(
            count=zero_count(params),  # each an array of its own, to be donated
            clipped=varied_with(params, zero_count(params), axis_name),
            skipped=jax.tree.map(
                lambda _: varied_with(params, zero_count(params), axis_name), skipped
            ),
            values=jax.tree.map(
                lambda x: reductions.shared_scalar(params, x, axis_name), values
            ),
            inner_state=inner_state,
        )

    def update(
        updates: Updates,
        state: MetricsState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, MetricsState]:
        checks.require_params(params)
        old = state.inner_state
        new, inner_state, clipped = update_and_clipped(
            inner, updates, old, params, **extra
        )
        values = _measured(_members(groups, params), axis_name, updates, new, params)
        still = {k: values[_at("update_norm", k)] == 0 for k in state.skipped}
        values |= _rates(inner, old)
        values = varied_with((updates, params), values, axis_name)
        clipped = reductions.holds_anywhere(clipped, axis_name)
        return new, MetricsState(
            count=numerics.safe_increment(state.count),
            clipped=_counted(state.clipped, clipped),
            skipped=jax.tree.map(_counted, state.skipped, still),
            values=typed_like(state.values, values),
            inner_state=inner_state,
        )

    return GradientTransformation(init, update)


def metrics(state: OptState) -> dict[str, jax.Array]:
    """Return the numbers that :func:`with_metrics` keeps, of the last step.

    They are arrays of one number each, which may be returned by a jitted step; where
    they go is up to the caller.

    Args:
      state: a state of :func:`with_metrics`, or one with such a state in it.

    Returns:
      By name:

      - ``steps``: the number of steps so far;
      - ``learning_rate``, that of the step; where parts have several, each with its
        place, as in ``learning_rate/slow``;
      - ``gradient_norm``, ``update_norm`` and ``param_norm``, the norms over all leaves
        of what came in, what went out and the parameters before the step;
      - ``update_to_param`` and ``update_to_gradient``, their ratios;
      - ``clipped_share``: of all steps so far, the share of those in which a clipping
        link of a chain changed something;
      - ``skipped_share``: the share of those whose update was zero in every entry.

      All but the rate and the shares of clipped steps also by group, as in
      ``update_norm/decoder``.

    Raises:
      ValueError: if there is no such state, or more than one.

    Example:
      >>> tx = gradtx.with_metrics(gradtx.sgd(0.1))
      >>> print(sorted(gradtx.metrics(tx.init(jnp.ones(2))))[:2])
      ['clipped_share', 'gradient_norm']
    """
    nodes = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, MetricsState))
    found = [x for x in nodes if isinstance(x, MetricsState)]
    if len(found) != 1:
        many = "no state" if not found else f"{len(found)} states"
        raise checks.InvalidArgument(
            f"metrics: there is {many} of with_metrics in this state, a "
            f"{type(state).__name__}: put gradtx.with_metrics around the "
            "transformation, or give the part of the state that is meant"
        )
    one = plain(found[0])
    steps = jnp.maximum(one.count, 1)
    skipped = {_at("skipped_share", k): x / steps for k, x in one.skipped.items()}
    shares = {"clipped_share": one.clipped / steps, **skipped}
    return {"steps": one.count, **one.values, **shares}


# --- what is measured --------------------------------------------------------

_OF_GROUPS = (
    "gradient_norm",
    "update_norm",
    "param_norm",
    "update_to_param",
    "update_to_gradient",
)


def _at(name: str, group: str) -> str:
    return f"{name}/{group}" if group else name


def _members(groups: Groups | None, params: Params) -> dict[str, list[int]]:
    """Return the positions of the leaves of each group; "" is for those in none."""
    if groups is None:
        return {}
    found: dict[str, list[int]] = {}
    flat, _ = jax.tree_util.tree_flatten_with_path(params, is_leaf=checks.is_none)
    for i, (path, p) in enumerate(flat):
        name = groups(paths.text(path)) if is_differentiable(p) else None
        if name:
            found.setdefault(str(name), []).append(i)
    return dict(sorted(found.items()))


def _names(tx: Any, state: OptState, members: dict[str, list[int]]) -> list[str]:
    shown = jax.eval_shape(partial(_rates, tx), state)
    return [*shown, *(_at(name, k) for k in ("", *members) for name in _OF_GROUPS)]


def _rates(tx: Any, state: OptState) -> dict[str, Any]:
    """Return the learning rates of the step that starts from a state, by name."""
    found = rates(tx, state) if spec.is_value(tx) else []
    if len({str(x.given) for x in found}) <= 1:
        found = [x._replace(place=()) for x in found[:1]]
    # A number without a type of its own would have the second step compiled anew.
    return {
        _at("learning_rate", "/".join(x.place)): jnp.asarray(
            x.now, jnp.result_type(x.now)
        )
        for x in found
    }


def _measured(
    members: dict[str, list[int]],
    axis_name: AxisName,
    gradients: Updates,
    updates: Updates,
    params: Params,
) -> dict[str, jax.Array]:
    """Return the norms and ratios, of all and by group."""
    trees = {"gradient": gradients, "update": updates, "param": params}
    by_tree = {
        k: _norms(
            members,
            tree,
            partial(gradient_norm if k == "gradient" else _norm, axis_name=axis_name),
        )
        for k, tree in trees.items()
    }
    values = {}
    for group in ("", *members):
        g, u, p = (by_tree[k][group] for k in trees)
        ratios = numerics.safe_divide(u, p), numerics.safe_divide(u, g)
        pairs = zip(_OF_GROUPS, (g, u, p, *ratios), strict=True)
        values |= {_at(name, group): x for name, x in pairs}
    return values


def _norms(
    members: dict[str, list[int]], tree: PyTree, norm: Callable[[PyTree], jax.Array]
) -> dict[str, jax.Array]:
    """Return the norm of each group, and the norm of all as that of the norms."""
    leaves = jax.tree.leaves(tree, is_leaf=checks.is_none)
    inside = {i for some in members.values() for i in some}
    rest = [x for i, x in enumerate(leaves) if i not in inside]
    found = {name: norm([leaves[i] for i in some]) for name, some in members.items()}
    outside = norm(rest)
    return {"": norms.norm([*found.values(), outside]) if found else outside, **found}


def _norm(tree: PyTree, axis_name: AxisName) -> jax.Array:
    return norms.norm(differentiable(tree), axis_name=axis_name)


def _counted(old: Count, more: Any) -> Count:
    return jnp.where(more, numerics.safe_increment(old), old)
