"""Add up the gradients of several steps and take one step with them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Self, cast

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common import checks, numerics, spec, value_pytree
from gradtx.common.leaves import gradients
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import (
    Count,
    DTypeLike,
    OptState,
    Params,
    PyTree,
    Schedule,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import made_of, make_slot
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.conditional import cond_inplace
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying import varied_with
from gradtx.primitives.scale import zeros_for
from gradtx.wrappers.step import is_ours, run_if, typed_like

# From the gradients, the number of real steps taken, and the parameters to a boolean,
# whether these gradients are to be left out, and whatever is to be reported.
ShouldSkipUpdateFunction = Callable[[Updates, Count, Params | None], tuple[Any, PyTree]]


class MultiStepsState(NamedTuple):
    """What :func:`accumulate` remembers."""

    mini_step: Count  # gradients added up since the last real step
    gradient_step: Count  # real steps taken
    inner_opt_state: OptState
    acc_grads: Updates  # their mean or sum; None for what has no gradient
    skip_state: PyTree = ()  # what ``should_skip_update_fn`` last reported


class MultiSteps(GradientTransformation):
    """Another name of :func:`accumulate`, and the class of what it makes.

    It is a transformation like any other: it goes into ``chain``, prints, compares and
    is changed by ``replace``.

    Example:
      >>> tx = gradtx.MultiSteps(gradtx.sgd(0.1), 2)
      >>> isinstance(tx, gradtx.MultiSteps), tx == gradtx.accumulate(gradtx.sgd(0.1), 2)
      (True, True)
    """

    def __new__(
        cls,
        opt: GradientTransformation,
        every_k_schedule: int | Schedule,
        use_grad_mean: bool = True,
        should_skip_update_fn: ShouldSkipUpdateFunction | None = None,
        accumulator_dtype: DTypeLike = jnp.float32,
    ) -> Self:
        """Make what :func:`accumulate` makes of the same arguments."""
        return cast(
            "Self",
            accumulate(
                opt,
                every_k_schedule,
                use_grad_mean,
                should_skip_update_fn,
                accumulator_dtype,
            ),
        )

    @classmethod
    def from_recipe(cls, recipe: spec.Recipe) -> Self:
        """Make the transformation that ``recipe`` describes, when it is first used."""
        self = tuple.__new__(cls, GradientTransformation.from_recipe(recipe))
        self.recipe = recipe
        return self

    @property
    def inner_opt(self) -> GradientTransformation:
        """The transformation that takes the real steps."""
        return self.recipe.arguments["opt"] if self.recipe else self

    def gradient_transformation(self) -> GradientTransformation:
        """Return this: it is a transformation already."""
        return self

    def has_updated(self, state: OptState) -> jax.Array:
        """Tell whether the last step was a real one."""
        return (state.mini_step == 0) & (state.gradient_step > 0)


value_pytree.register(MultiSteps)


@partial(spec.remembered, value_type=MultiSteps)
def accumulate(
    opt: GradientTransformation,
    every_k_schedule: int | Schedule,
    use_grad_mean: bool = True,
    should_skip_update_fn: ShouldSkipUpdateFunction | None = None,
    accumulator_dtype: DTypeLike = jnp.float32,
) -> GradientTransformation:
    """Take one real step for every k gradients, with their mean.

        a ← a + (g - a) / i         i = 1 … k,  or  a ← a + g  without the mean
        u = opt(a), a ← 0           at the k-th; zero at the others

    ``opt`` runs at real steps only, so schedules in it count those, and it is given the
    extra arguments of the last of the k gradients. The accumulator has the kind of the
    parameter and at least its precision; NaN in it is gone after the real step.

    A jitted step that adds its updates by :func:`gradtx.apply_updates` leaves all but
    the accumulator unread where it takes no real step: 12 bytes for each parameter.

    Args:
      opt: any transformation.
      every_k_schedule: k, or a schedule of it over real steps. Outside of ``jit`` it
        is called at every step with the number as it is, and may branch on it, as may
        ``should_skip_update_fn``.
      use_grad_mean: whether ``opt`` is given the mean of the gradients or their sum.
      should_skip_update_fn: from the gradients, the number of real steps and the
        parameters to a boolean and a report; gradients for which it is True are left
        out, as if they had not come. The report is found in the state.
      accumulator_dtype: the type to add up in. A wider parameter widens it; half
        precision is taken at its word; None means the parameter's, float32 at least.

    Raises:
      ValueError: if k is not a whole number of at least 1; from ``update``, if
        ``should_skip_update_fn`` returns something other than one boolean.

    Example:
      >>> tx, params = gradtx.accumulate(gradtx.sgd(0.1), 2), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [0. 0.]
    """
    if not callable(every_k_schedule):
        checks.positive_int(every_k_schedule=every_k_schedule)
    should_skip = should_skip_update_fn or _never
    take = _taken_or_added(opt, mean=use_grad_mean)

    def init(params: Params) -> MultiStepsState:
        step = zero_count(params)

        def reported(params: Params) -> PyTree:
            skip, report = should_skip(zeros_for(params, params), step, params)
            return skip, jax.tree.map(jnp.asarray, report)

        skip, report = made_of(reported, params)
        state = MultiStepsState(
            mini_step=zero_count(params),
            gradient_step=step,
            inner_opt_state=opt.init(params),
            acc_grads=make_slot(partial(_accumulator, accumulator_dtype), params),
            skip_state=report,
        )
        return varied_with(skip, state)

    def update(
        updates: Updates,
        state: MultiStepsState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, MultiStepsState]:
        skip, report = should_skip(updates, state.gradient_step, params)
        k = numerics.value_at(every_k_schedule, state.gradient_step)
        answered = _Answered(state._replace(skip_state=()), _boolean(skip), k)
        new, answered = take.update(updates, answered, params, **extra)
        return new, answered.state._replace(
            skip_state=typed_like(state.skip_state, report)
        )

    return GradientTransformation(init, update)


class _Answered(NamedTuple):
    """A state, and what the user's functions returned for this step."""

    state: MultiStepsState
    skip: jax.Array
    k: Any


@transformation
def _taken_or_added(
    opt: GradientTransformation, *, mean: bool
) -> GradientTransformation:
    """Do one step of :func:`accumulate`: what is left without the user's functions."""
    inner = with_extra_args_support(opt)
    add = _added(mean=mean)

    def update(
        updates: Updates, state: _Answered, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, _Answered]:
        now, skip, k = state
        i = now.mini_step + 1
        real = ~skip & (i >= k)

        def added(total: Updates) -> Updates:
            return add.update(gradients(updates), _Sum(total), params, i=i)[1].total

        def take(
            updates: Updates, state: Any, params: Params | None = None, **extra: Any
        ) -> Any:
            inner_state, before = state
            total = added(before)
            given = jax.tree.map(_filled, updates, total, is_leaf=checks.is_none)
            given = given if is_ours(opt) else typed_like(updates, given)
            new, inner_state = inner.update(given, inner_state, params, **extra)
            # Zeros that are made of the last sum, elementwise, are written in place.
            return new, (inner_state, _where(real, _zeros(before), before))

        new, (inner_state, total) = run_if(
            real,
            GradientTransformation(inner.init, take),
            updates,
            (now.inner_opt_state, now.acc_grads),
            params,
            extra,
            otherwise=zeros_for(updates, params),
            zero=True,
        )
        total = cond_inplace(~skip & ~real, added, total)
        step = numerics.safe_increment(now.gradient_step)
        now = now._replace(
            mini_step=jnp.where(real, 0, jnp.where(skip, now.mini_step, i)),
            gradient_step=jnp.where(real, step, now.gradient_step),
            inner_opt_state=inner_state,
            acc_grads=total,
        )
        return new, state._replace(state=now)

    return GradientTransformation(inner.init, update)


class _Sum(NamedTuple):
    total: Updates


@transformation
def _added(*, mean: bool) -> GradientTransformation:
    """Add a gradient to the total, which is the state."""

    def rule(g: jax.Array, total: jax.Array, *, i: Count) -> tuple[jax.Array, ...]:
        if mean:
            total = total + (g - total) / i.astype(numerics.real_dtype(total.dtype))
        else:
            total = total + g
        return g, total

    return leafwise(rule, _Sum, total=jnp.zeros_like)


def _accumulator(dtype: DTypeLike | None, p: jax.Array) -> jax.Array:
    wanted = jax.dtypes.canonicalize_dtype(dtype or numerics.compute_dtype(p.dtype))
    if jnp.iscomplexobj(p) or numerics.compute_dtype(wanted) == wanted:
        wanted = jnp.promote_types(wanted, p.dtype)
    return jnp.zeros_like(p, dtype=wanted)


def _filled(g: Any, total: Any) -> Any:
    return total if is_differentiable(g) else g


def _zeros(tree: PyTree) -> PyTree:
    return jax.tree.map(jnp.zeros_like, tree)


def _where(condition: Any, tree: PyTree, other: PyTree) -> PyTree:
    return jax.tree.map(partial(jnp.where, condition), tree, other)


def _never(*_: Any) -> tuple[Any, PyTree]:
    return np.zeros((), bool), ()


def _boolean(skip: Any) -> Any:
    skip = skip if isinstance(skip, np.ndarray | jax.Array) else np.asarray(skip)
    if skip.shape != () or skip.dtype != bool:
        raise checks.InvalidArgument(
            "should_skip_update_fn must return one boolean first, got an array of "
            f"type {skip.dtype} and shape {skip.shape}"
        )
    return skip
