"""L-BFGS as in PyTorch."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import is_differentiable, safe_increment, value_at
from gradtx.common.types import (
    Count,
    Exact,
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.by_hand import settled
from gradtx.core.leafwise import flatten_updates, matching_params
from gradtx.core.reductions import shared_scalar
from gradtx.core.slots import make_slot, wide_zeros
from gradtx.core.transformation import GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.torch.lbfgs_iterations import Arrays, Rules, iterated
from gradtx.linesearch.objective import objective_of
from gradtx.lowering.sharding import zero_count
from gradtx.optimizers.two_loops import wide
from gradtx.primitives.history import history


class LbfgsState(NamedTuple):
    """What :func:`LBFGS` remembers."""

    count: Count  # of calls of update
    n_iter: Count
    func_evals: Count
    d: Exact  # the last direction
    t: jax.Array  # the last step along it
    prev_flat_grad: Exact
    old_dirs: Exact  # y, how gradients changed, along a new first axis
    old_stps: Exact  # s, the steps
    ro: Exact  # 1 / ⟨y, s⟩
    kept: Count  # how many pairs there have been
    H_diag: jax.Array


@foreign_signature()
def LBFGS(  # noqa: N802
    lr: ScalarOrSchedule = 1,
    max_iter: int = 20,
    max_eval: int | None = None,
    tolerance_grad: Scalar = 1e-7,
    tolerance_change: Scalar = 1e-9,
    history_size: int = 100,
    line_search_fn: str | None = None,
    *,
    params: Any = None,
) -> GradientTransformation:
    """L-BFGS with many iterations in one step, as ``torch.optim.LBFGS``.

        up to max_iter times:
            s = t d,  y = g - g'                    from one iteration to the next
            d ← - H g                               H: of the last pairs, from γ I
            t ← η, or what the line search finds    in the first iteration of all
            p ← p + t d                             η min(1, 1 / Σ|g|)

    with γ = ⟨y, s⟩ / ‖y‖² of the newest pair. A pair counts if ⟨y, s⟩ > 1e-10.

    What is a closure in PyTorch is here the extra arguments ``value``, the loss, and
    ``value_fn``, a function of the parameters that returns it; what else ``update`` is
    given goes to ``value_fn`` where that names it. The gradients are of ``value``.

    Args:
      lr: η, at least 0, or a schedule of the number of calls.
      max_iter: how many iterations a call makes at most.
      max_eval: after how many evaluations of the loss, the first included, a call
        ends; 5/4 of ``max_iter`` if None.
      tolerance_grad: a call ends where no entry of the gradient is larger.
      tolerance_change: a call ends where neither the parameters nor the loss change by
        more, or the slope along d is above its negative.
      history_size: how many pairs are remembered; each takes twice the memory of the
        parameters, from the start.
      line_search_fn: "strong_wolfe", or None for steps of η.
      params: means nothing here; call ``tx.init(params)``.

    Raises:
      ValueError: if a number is outside of its range or the search not known; for an
        argument that means nothing here; from ``update`` without parameters, ``value``
        or ``value_fn``, and for complex parameters.

    Reference: Liu and Nocedal, 1989, https://doi.org/10.1007/BF01589116

    Example:
      >>> def f(x):
      ...     return jnp.sum(x**2)
      >>> params = jnp.ones(2)
      >>> tx = gradtx.like.torch.LBFGS(0.1)
      >>> print(tx.init(params) is not None)
      True
    """
    refuse(params=params)
    checks.non_negative(
        lr=lr, tolerance_grad=tolerance_grad, tolerance_change=tolerance_change
    )
    most = max_iter * 5 // 4 if max_eval is None else max_eval
    checks.positive_int(max_iter=max_iter, max_eval=most, history_size=history_size)
    if line_search_fn not in (None, "strong_wolfe"):
        raise checks.InvalidArgument(
            f"line_search_fn must be 'strong_wolfe' or None, got {line_search_fn!r}"
        )
    searches = line_search_fn is not None

    def init(params: Params) -> OptState:
        pile = partial(_pile, history_size)
        return LbfgsState(
            count=zero_count(params),
            n_iter=zero_count(params),
            func_evals=zero_count(params),
            d=make_slot(wide_zeros, params),
            t=shared_scalar(params, jnp.zeros(())),
            prev_flat_grad=make_slot(wide_zeros, params),
            old_dirs=make_slot(pile, params),
            old_stps=make_slot(pile, params),
            ro=shared_scalar(params, jnp.zeros(history_size)),
            kept=zero_count(params),
            H_diag=shared_scalar(params, jnp.ones(())),
        )

    def update(
        updates: Updates,
        state: LbfgsState,
        params: Params | None = None,
        *,
        value: Any = None,
        value_fn: Any = None,
        **extra: Any,
    ) -> tuple[Updates, OptState]:
        objective: Any = objective_of(
            params, updates, extra, value=value, grad=updates, value_fn=value_fn
        )
        tree = _Tree(updates, params)
        kind = state.t.dtype

        def evaluate(x: Arrays) -> tuple[jax.Array, Arrays]:
            loss, grads = objective.value_and_grad(tree.with_values(x))
            return jnp.asarray(loss).astype(kind), tree.column(grads)

        rate = value_at(lr, state.count)
        limits = tolerance_grad, tolerance_change, searches
        rules = Rules(rate, max_iter, most, *limits)
        begun = tree.column(tree.params), tree.column(updates)
        begun = (*begun, jnp.asarray(value).astype(kind))
        columns = [tree.column(getattr(state, name)) for name in _TREES]
        end = iterated(rules, evaluate, begun, state, columns)
        new = (end.d, end.before, *end.memory[:2])
        slots = {
            name: tree.replaced(getattr(state, name), column)
            for name, column in zip(_TREES, new, strict=True)
        }
        _, _, ro, kept, diagonal = end.memory
        moved = [x - old for x, old in zip(end.x, begun[0], strict=True)]
        return tree.settled(moved), LbfgsState(
            count=safe_increment(state.count),
            n_iter=state.n_iter + end.n,
            func_evals=state.func_evals + end.evals,
            t=end.t,
            ro=ro,
            kept=kept,
            H_diag=diagonal,
            **slots,
        )

    return GradientTransformation(init, update)


_TREES = ("d", "prev_flat_grad", "old_dirs", "old_stps")


def _pile(size: int, p: jax.Array) -> jax.Array:
    return history(size, wide_zeros(p))


class _Tree:
    """The leaves that have a gradient, and the way back to whole trees."""

    def __init__(self, updates: Updates, params: Params | None) -> None:
        self.leaves, self.treedef = flatten_updates(updates)
        self.targets = matching_params(params, self.leaves, self.treedef)
        self.params = self.treedef.unflatten(self.targets)
        self.live = [i for i, (_, g) in enumerate(self.leaves) if is_differentiable(g)]
        for i in self.live:
            path, g = self.leaves[i]
            if jnp.iscomplexobj(g):
                raise checks.InvalidArgument(
                    f"the leaf at {checks.path_name(path)} is complex, and the method "
                    "is for real parameters: wrap it in split_real_and_imaginary"
                )

    def column(self, tree: PyTree) -> Arrays:
        """Return the leaves of a tree, in float32 at least."""
        found = self.treedef.flatten_up_to(tree)
        return [wide(found[i]) for i in self.live]

    def replaced(self, tree: PyTree, column: Arrays) -> PyTree:
        """Return a tree with other leaves, in its types."""
        found = self.treedef.flatten_up_to(tree)
        for i, x in zip(self.live, column, strict=True):
            found[i] = x.astype(jnp.result_type(found[i]))
        return self.treedef.unflatten(found)

    def with_values(self, column: Arrays) -> Params:
        """Return the parameters with other values."""
        return self.replaced(self.params, column)

    def settled(self, column: Arrays) -> Updates:
        """Return updates in the types of the parameters."""
        moved = dict(zip(self.live, column, strict=True))
        return self.treedef.unflatten(
            [
                settled(moved.get(i), g, p)
                for i, ((_, g), p) in enumerate(
                    zip(self.leaves, self.targets, strict=True)
                )
            ]
        )
