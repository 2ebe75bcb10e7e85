"""An objective along a line, and what line searches share."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import (
    described,
    differentiable,
    is_numeric,
    map_differentiable,
    parted,
)
from gradtx.common.numerics import cast, is_differentiable
from gradtx.common.types import AxisName, OptState, Params, PyTree, Updates
from gradtx.core.leafwise import to_compute_dtype
from gradtx.core.reductions import shared_scalar, sum_over_leaves
from gradtx.lowering.control_flow import either
from gradtx.tree import state as states


class Point(NamedTuple):
    """Where a search has looked: the step, and the value and slope of φ there."""

    step: jax.Array
    value: jax.Array
    slope: jax.Array


class Objective(NamedTuple):
    """f and what else a search wants of it, as functions of the parameters."""

    value: Callable[[Params], Any] | None
    value_and_grad: Callable[[Params], Any] | None


class Line:
    """φ(η) = f(p + η u), whose slope is φ'(η) = Re Σ ∇f(p + η u) u."""

    def __init__(
        self,
        objective: Objective,
        params: Params,
        updates: Updates,
        kind: Any,
        axis_name: AxisName,
    ) -> None:
        # The step that is found counts as a constant: there is no derivative of a loop
        # whose length is not known.
        still = partial(map_differentiable, jax.lax.stop_gradient)
        self.objective: Any = objective
        self.params, self.updates = still(params), still(updates)
        self.kind, self.axis_name = kind, axis_name

    def at(self, step: jax.Array) -> Params:
        """Return p + η u, in the parameters' types."""

        def one(u: Any, p: Any) -> Any:
            if not is_differentiable(u):
                return p
            p = jnp.asarray(p)
            return (
                to_compute_dtype(p) + step * to_compute_dtype(jnp.asarray(u))
            ).astype(p.dtype)

        return jax.tree.map(one, self.updates, self.params, is_leaf=checks.is_none)

    def value(self, step: jax.Array) -> jax.Array:
        """Return φ(η)."""
        return jnp.asarray(self.objective.value(self.at(step))).astype(self.kind)

    def look(self, step: jax.Array) -> tuple[Point, PyTree]:
        """Return the point at η and the gradient of f there.

        The gradient is None for what does not move.
        """
        value, grad = self.objective.value_and_grad(self.at(step))
        value = jnp.asarray(value).astype(self.kind)
        return Point(step, value, self.slope(grad)), grad

    def slope(self, grad: Updates) -> jax.Array:
        """Return Re Σ ∇f u, for the gradient as ``jax.grad`` gives it."""
        pairs = zip(parted(self.updates)[0], parted(grad, self.updates)[0], strict=True)
        products = (
            jnp.sum(
                (
                    to_compute_dtype(jnp.asarray(u)) * to_compute_dtype(jnp.asarray(g))
                ).real
            )
            for u, g in pairs
        )
        return sum_over_leaves(products, self.axis_name).astype(self.kind)

    def start(self, value: Any, grad: Updates) -> tuple[Point, PyTree]:
        """Return the point at η = 0, where value and gradient are known.

        Complex gradients come conjugated or not, so there they are computed.
        """
        zero = jnp.zeros((), self.kind)
        if any(jnp.iscomplexobj(x) for x in differentiable(self.params)):
            return self.look(zero)
        known, put = parted(grad, self.updates)
        # What moves without a gradient does so by an update from before.
        pairs = zip(known, parted(self.updates)[0], strict=True)
        known = [g if is_differentiable(g) else jnp.zeros_like(u) for g, u in pairs]
        grad = put(list(map(jax.lax.stop_gradient, known)), alone=True)
        value = jax.lax.stop_gradient(jnp.asarray(value).astype(self.kind))
        return Point(zero, value, self.slope(grad)), grad


def objective_of(
    params: Params | None,
    updates: Updates,
    extra: dict[str, Any],
    *,
    value: Any,
    grad: Any,
    value_fn: Callable[..., Any] | None,
) -> Objective:
    """Return what ``value_fn`` is of the parameters alone.

    Of the other extra arguments those are given to it that it names.

    Raises:
      ValueError: if an argument of a search is missing.
    """
    checks.require_params(params)
    for name, x in (("value", value), ("grad", grad), ("value_fn", value_fn)):
        checks.require_extra_arg(name, x)
    known = {name: x for name, x in extra.items() if name in _names(value_fn)}

    def of_params(params: Params) -> Any:
        return _one_number(value_fn(params, **known))  # type: ignore[misc]

    def value_and_grad(params: Params) -> tuple[Any, Updates]:
        arrays, put = parted(params, updates)
        found, grads = jax.value_and_grad(lambda x: of_params(put(x)))(arrays)
        return found, put(grads, alone=True)

    return Objective(of_params, value_and_grad)


def _one_number(value: Any) -> Any:
    """Refuse what is no height, which a search would broadcast or cut off."""
    if not is_numeric(value) or jnp.shape(value) or jnp.iscomplexobj(value):
        shape = f" and shape {jnp.shape(value)}" if is_numeric(value) else ""
        raise checks.InvalidArgument(
            f"value_fn must return one real number, got what is {described(value)}"
            f"{shape}"
        )
    return value


def _names(function: Any) -> list[str]:
    """Return the names of the arguments, without the first."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # as for some functions that are not Python's
        return []
    return [
        p.name
        for p in parameters[1:]
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]


def number(params: Params, value: Any, axis_name: AxisName) -> jax.Array:
    """Make a number of state in the type that a search computes in."""
    return shared_scalar(params, value, axis_name)


def stretched(updates: Updates, step: jax.Array) -> Updates:
    """Return η u, in the updates' types."""

    def one(u: Any) -> jax.Array:
        u = jnp.asarray(u)
        return cast(step * to_compute_dtype(u), u.dtype)

    return map_differentiable(one, updates)


def kept_like(grad: Updates, old: Updates) -> Updates:
    """Return a gradient in the types of the one in a state, which stays where None."""

    def one(g: Any, o: Any) -> Any:
        return o if g is None else g.astype(o.dtype)

    return jax.tree.map(one, grad, old, is_leaf=checks.is_none)


def value_and_grad_from_state(
    value_fn: Callable[..., Any],
) -> Callable[..., tuple[jax.Array, Updates]]:
    """Return a ``jax.value_and_grad`` that asks the state of a line search first.

    A search ends where the next step begins, so it knows the value and the gradient
    there, unless the objective is another one at every step. Where the value in the
    state is not finite, as before the first step, both are computed.

    The function that is returned takes the parameters, further arguments of
    ``value_fn``, and the optimizer's ``state`` by keyword.

    Args:
      value_fn: the objective, a function of the parameters (and more) to a number.

    Raises:
      ValueError: when called with a state that holds no ``value`` or no ``grad``.

    Example:
      >>> def f(x):
      ...     return jnp.sum(x**2)
      >>> state = gradtx.lbfgs().init(jnp.ones(2))
      >>> value, grad = gradtx.value_and_grad_from_state(f)(jnp.ones(2), state=state)
      >>> print(value, grad)
      2.0 [2. 2.]
    """

    def value_and_grad(
        params: Params, *args: Any, state: OptState, **kwargs: Any
    ) -> tuple[jax.Array, Updates]:
        value, grad = states.get(state, "value"), states.get(state, "grad")
        if value is None or grad is None:
            raise checks.InvalidArgument(
                "value_and_grad_from_state: the state holds no value or no gradient: "
                "let the line search store its gradient (store_grad=True)"
            )

        def computed() -> tuple[jax.Array, Updates]:
            arrays, put = parted(params)
            new, slope = jax.value_and_grad(
                lambda x: value_fn(put(x), *args, **kwargs)
            )(arrays)
            like = kept_like(put(slope, alone=True), grad)
            return jnp.asarray(new).astype(value.dtype), like

        return either(jnp.isfinite(value), lambda: (value, grad), computed)

    return value_and_grad
