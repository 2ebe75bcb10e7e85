"""Whether a transformation keeps the laws that all transformations here keep."""

import itertools
from collections.abc import Callable
from typing import Any

from gradtx.common.types import Params, Updates
from gradtx.core.transformation import with_extra_args_support
from gradtx.testing.laws import LAWS, Case, Law


class BrokenLaw(AssertionError):
    """A law that a transformation breaks, and the input that shows it."""


def check(
    tx: Any,
    params: Params,
    *,
    gradients: Callable[[int], Updates] | None = None,
    extra: Callable[[Updates, Params], dict[str, Any]] | None = None,
    leave_out: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """Check that a transformation keeps the contract, with parameters of your choice.

    * structure: an update has the structure, shapes and types of the parameters;
    * state: it keeps its structure, shapes and types;
    * pytree: the state goes through its leaves and back;
    * pure: the same step taken twice gives the same, and changes no input;
    * jit: a jitted step gives what a step without gives;
    * one program: the second and third step compile nothing new;
    * scan: a loop of `jax.lax.scan` gives what the steps give;
    * shapes: `init` works on shapes alone, as `jax.eval_shape` gives them;
    * zero: gradients of zero give neither NaN nor infinity;
    * none: a gradient of None leaves its parameter, and all states their structure.

    Args:
      tx: any transformation, a pair (init, update).
      params: parameters; a few small leaves suffice, of the types that you train in.
      gradients: from the number of the step to gradients; random ones, none of them
        near zero, if None.
      extra: from gradients and parameters to the extra arguments that ``update`` needs,
        as a dictionary.
      leave_out: names of laws that it need not keep.

    Returns:
      The names of the laws that were checked.

    Raises:
      BrokenLaw: an AssertionError, for the first law that is broken: in words, with the
        leaf's path and the input.
      ValueError: for a name of a law that there is not.

    Example:
      >>> gradtx.testing.check(gradtx.sgd(0.1), jnp.ones(3)) and None
    """
    case = Case(with_extra_args_support(tx), params, gradients, extra)
    left = _left(leave_out)
    for law in left:
        broken = _broken(law, case)
        if broken is not None:
            raise BrokenLaw(
                f"{law.name}: {law.text}. {broken}\n"
                f"The transformation is {tx!r}, the parameters {params!r}, the first "
                f"gradients {case.gradients(0)!r}"
            )
    return tuple(law.name for law in left)


def _broken(law: Law, case: Case) -> str | None:
    try:
        return law.holds(case)
    except Exception as error:  # noqa: BLE001 - whatever it raises breaks the law
        return f"It raised {type(error).__name__}: {error}"


def _left(leave_out: tuple[str, ...]) -> list[Law]:
    names = [law.name for law in LAWS]
    unknown = list(itertools.filterfalse(names.__contains__, leave_out))
    if unknown:
        raise ValueError(
            f"leave_out: there is no law {', '.join(map(repr, unknown))}; there are "
            f"{', '.join(names)}"
        )
    return [law for law in LAWS if law.name not in leave_out]
