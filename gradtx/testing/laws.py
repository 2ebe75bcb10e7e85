"""The laws, each a function from a case to what breaks it, or None."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common import checks
from gradtx.common.leaves import map_differentiable
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.apply_updates import apply_updates
from gradtx.testing.compare import apart, not_finite, other_form

STEPS = 3
Took = tuple[Updates, OptState, Params]


class Case:
    """A transformation, and what it is tried on.

    Args:
      tx: the transformation.
      params: the parameters.
      gradients: from the number of the step to gradients; None makes random ones.
      given: from gradients and parameters to the extra arguments of ``update``.
    """

    def __init__(self, tx: Any, params: Params, gradients: Any, given: Any) -> None:
        self.tx, self.params = tx, params
        self.gradients: Callable[[int], Updates] = gradients or self._random
        self.given = given

    def _random(self, i: int) -> Updates:
        rng = np.random.default_rng(i)

        def one(p: Any) -> Any:
            z = rng.uniform(0.5, 2, jnp.shape(p)) * rng.choice([-1, 1], jnp.shape(p))
            return jnp.asarray(z, jnp.result_type(p))

        return map_differentiable(one, self.params, otherwise=lambda _: None)

    def step(self, grads: Updates, state: OptState, params: Params) -> Took:
        """Take one step: the update, the new state, the new parameters."""
        extra = {} if self.given is None else self.given(grads, params)
        updates, state = self.tx.update(grads, state, params, **extra)
        return updates, state, apply_updates(params, updates)

    def run(self, step: Callable[..., Took]) -> list[Took]:
        """Take some steps from the start."""
        params, state, took = self.params, self.tx.init(self.params), []
        for i in range(STEPS):
            took.append(step(self.gradients(i), state, params))
            _, state, params = took[-1]
        return took


class Law(NamedTuple):
    """A law.

    Args:
      name: what it is called.
      text: what it says.
      holds: from a case to what breaks it, in words, or None.
    """

    name: str
    text: str
    holds: Callable[[Case], str | None]


def _structure(case: Case) -> str | None:
    updates, _, _ = case.step(case.gradients(0), case.tx.init(case.params), case.params)
    expected = map_differentiable(jnp.asarray, case.params, otherwise=lambda _: None)
    return other_form(updates, expected, "update")


def _state(case: Case) -> str | None:
    old = case.tx.init(case.params)
    for i, (_, new, _) in enumerate(case.run(case.step)):
        found = other_form(new, old, f"state after step {i + 1}")
        if found:
            return found
    return None


def _pytree(case: Case) -> str | None:
    state = case.tx.init(case.params)
    leaves, treedef = jax.tree.flatten(state)
    for path, x in jax.tree_util.tree_leaves_with_path(state):
        if not hasattr(x, "dtype"):
            where = checks.path_name(path)
            return f"The state at {where} is {x!r}, which is no array: make it one"
    again = treedef.unflatten(leaves)
    return other_form(again, state, "state put together from its leaves")


def _pure(case: Case) -> str | None:
    given = case.gradients(0), case.tx.init(case.params), case.params
    before = jax.tree.map(_copied, given)
    first, second = case.step(*given), case.step(*given)
    found = apart(second, first, "the step taken again", "the first time", exact=True)
    return found or apart(given, before, "what was given", "before", exact=True)


def _jit(case: Case) -> str | None:
    with jax.disable_jit():
        plain = case.run(case.step)
    return apart(case.run(jax.jit(case.step)), plain, "jitted", "without jit")


def _one_program(case: Case) -> str | None:
    traces: list[int] = []

    def step(*given: Any) -> Took:
        traces.append(1)
        return case.step(*given)

    case.run(jax.jit(step))
    if len(traces) == 1:
        return None
    return (
        f"{STEPS} jitted steps were traced {len(traces)} times: some leaf of the state "
        "changes its type, or is weakly typed before the first step and not after it. "
        "Make it by jnp.zeros([], jnp.float32) and the like, and keep its type"
    )


def _scan(case: Case) -> str | None:
    grads = [case.gradients(i) for i in range(STEPS)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *grads)

    def body(carry: tuple[Any, Any], g: Updates) -> Any:
        updates, state, params = case.step(g, *carry)
        return (state, params), updates

    start = case.tx.init(case.params), jax.tree.map(_array, case.params)
    try:
        (state, params), _ = jax.lax.scan(body, start, stacked)
    except TypeError as error:
        return f"jax.lax.scan refuses it: {error}"
    _, *expected = case.run(case.step)[-1]
    return apart((state, params), tuple(expected), "in a scan", "one by one")


def _shapes(case: Case) -> str | None:
    shapes = jax.eval_shape(case.tx.init, case.params)
    return other_form(shapes, case.tx.init(case.params), "state of shapes alone")


def _zero(case: Case) -> str | None:
    zeros = jax.tree.map(jnp.zeros_like, case.gradients(0))
    params, state = case.params, case.tx.init(case.params)
    for i in range(STEPS):
        updates, state, params = case.step(zeros, state, params)
        path = not_finite((updates, state))
        if path:
            return f"After step {i + 1} with gradients of zero {path} is not finite"
    return None


def _none(case: Case) -> str | None:
    leaves, treedef = jax.tree.flatten(case.gradients(0))
    grads = treedef.unflatten([None, *leaves[1:]])
    old = case.tx.init(case.params)
    updates, state, _ = case.step(grads, old, case.params)
    none = jax.tree.leaves(updates, is_leaf=checks.is_none)[0]
    if leaves and none is not None:
        return f"The first gradient is None, its update {none!r}: it must be None"
    return other_form(state, old, "state after a gradient of None")


def _array(x: Any) -> Any:
    return jnp.asarray(x) if isinstance(x, np.ndarray | float) else x


def _copied(x: PyTree) -> Any:
    return np.array(x) if isinstance(x, np.ndarray) else x


LAWS = [
    Law("pytree", "a state is a pytree of arrays", _pytree),
    Law("structure", "an update is like its parameters", _structure),
    Law("state", "a state keeps its structure, shapes and types", _state),
    Law("pure", "a step depends on its inputs alone, and changes none", _pure),
    Law("jit", "a jitted step is the same step", _jit),
    Law("one program", "steps are compiled once", _one_program),
    Law("scan", "a scan takes the same steps", _scan),
    Law("shapes", "init works on shapes alone", _shapes),
    Law("zero", "gradients of zero leave all finite", _zero),
    Law("none", "a gradient of None leaves its parameter", _none),
]
