"""The operations of a program, done with other arrays than those that it captured.

Programs that are only called are opened, and their operations done in their place. A
loop or a branch is done as it is, unless a program within it has captured an array: it
would be written into the compiled program. Then the loop is traced anew around the
opened program, and takes the array from outside.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.lowering import control_flow
from gradtx.lowering.jaxprs import ClosedJaxpr, Jaxpr, Literal


class Supply:
    """Arrays and numbers, handed out in the order in which a program asks for them.

    Without numbers, those in the code stay what they are.
    """

    def __init__(
        self, arrays: Sequence[Any], numbers: dict[str, Any] | None = None
    ) -> None:
        """Begin with the first."""
        self._arrays, self._numbers = iter(arrays), numbers
        self._used = dict.fromkeys(numbers or {}, 0)

    def arrays(self, many: int) -> list[Any]:
        """Return the next arrays."""
        return [next(self._arrays) for _ in range(many)]

    def number(self, x: Literal) -> Any:
        """Return the next number in the code."""
        if self._numbers is None or not is_free(x):
            return x.val
        kind = kind_of(x)
        self._used[kind] += 1
        at = self._used[kind] - 1
        return jax.lax.index_in_dim(self._numbers[kind], at, keepdims=False)


def evaluated(jaxpr: Jaxpr, supply: Supply, args: Sequence[Any]) -> list[Any]:
    """Do the operations of a program."""
    inputs = [*jaxpr.constvars, *jaxpr.invars]
    values = [*supply.arrays(len(jaxpr.constvars)), *args]
    known = dict(zip(inputs, values, strict=True))

    def read(x: Any) -> Any:
        return supply.number(x) if isinstance(x, Literal) else known[x]

    for operation in jaxpr.eqns:
        taken = list(map(read, operation.invars))
        made = _done(operation, supply, taken)
        known.update(zip(operation.outvars, made, strict=True))
    return list(map(read, jaxpr.outvars))


def _done(operation: Any, supply: Supply, taken: list[Any]) -> list[Any]:
    program = called(operation)
    if program is not None:
        return evaluated(program.jaxpr, supply, taken)
    captured = list(_captured(operation.params))
    if captured:
        return _traced_anew(operation, supply.arrays(len(captured)), taken)
    settings = operation.primitive.get_bind_params(operation.params)
    # Older versions of JAX return the functions among them apart.
    parts, settings = settings if type(settings) is tuple else ((), settings)
    made = operation.primitive.bind(*parts, *taken, **settings)
    return made if operation.primitive.multiple_results else [made]


# --- what a program is made of -----------------------------------------------


def called(operation: Any) -> ClosedJaxpr | None:
    """Return the program that an operation does no more than call."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        program = operation.params.get(name)
        if isinstance(program, ClosedJaxpr) and operation.primitive.name in _CALLS:
            return program
    return None


_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vjp_call_jaxpr",
)


def is_free(x: Literal) -> bool:
    """Whether a number in the code may be another one at the next call."""
    return jnp.issubdtype(kind_of(x), jnp.floating) and not np.shape(x.val)


def kind_of(x: Any) -> str:
    """Return the name of the type of what stands in the code."""
    return x.aval.dtype.name


def can_be_opened(operation: Any) -> bool:
    """Whether the arrays that programs within an operation captured can be others."""
    opens = called(operation) is not None or operation.primitive.name in _ANEW
    return opens or not any(True for _ in _captured(operation.params))


def _captured(x: Any) -> Iterator[Any]:
    """Yield the arrays that programs within a setting captured, in their order."""
    if isinstance(x, ClosedJaxpr):
        yield from x.consts
        x = x.jaxpr
    if isinstance(x, Jaxpr):
        x = [operation.params for operation in x.eqns]
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, tuple | list):
        for y in x:
            yield from _captured(y)


# --- loops and branches, traced anew -----------------------------------------


def _traced_anew(operation: Any, arrays: list[Any], taken: list[Any]) -> list[Any]:
    """Do a loop or a branch whose programs take these for the arrays they captured."""
    rest = iter(arrays)

    def opened(x: Any) -> Any:
        if isinstance(x, tuple | list):
            return [opened(y) for y in x]
        if not isinstance(x, ClosedJaxpr):
            return x
        own = [next(rest) for _ in _captured(x)]
        return lambda *args: evaluated(x.jaxpr, Supply(own), args)

    settings = {name: opened(x) for name, x in operation.params.items()}
    return _ANEW[operation.primitive.name](settings, taken)


def _scan(settings: dict[str, Any], taken: list[Any]) -> list[Any]:
    body, first, many = settings["jaxpr"], *_parts_of_scan(settings)
    fixed, start, xs = taken[:first], taken[first:many], taken[many:]

    def step(carry: list[Any], x: list[Any]) -> tuple[list[Any], list[Any]]:
        made = body(*fixed, *carry, *x)
        return made[: len(carry)], made[len(carry) :]

    how = {name: settings[name] for name in ("length", "reverse", "unroll")}
    end, ys = control_flow.scan(step, start, xs, **how)
    return [*end, *ys]


def _parts_of_scan(settings: dict[str, Any]) -> tuple[int, int]:
    """Return where what is carried begins and ends among the arguments."""
    if "num_consts" in settings:
        first = settings["num_consts"]
        return first, first + settings["num_carry"]
    # Since JAX 0.12 trees without their leaves tell it.
    fixed, carried, _ = (len(list(tree)) for tree in settings["ft_in"].unpack())
    return fixed, fixed + carried


def _while(settings: dict[str, Any], taken: list[Any]) -> list[Any]:
    goes_on, body = settings["cond_jaxpr"], settings["body_jaxpr"]
    first = settings["cond_nconsts"]
    second = first + settings["body_nconsts"]
    asked, fixed, start = taken[:first], taken[first:second], taken[second:]
    return control_flow.while_loop(
        lambda carry: goes_on(*asked, *carry)[0],
        lambda carry: body(*fixed, *carry),
        start,
    )


def _cond(settings: dict[str, Any], taken: list[Any]) -> list[Any]:
    which, *operands = taken
    return control_flow.switch(which, settings["branches"], *operands)


_ANEW: dict[str, Callable[[dict[str, Any], list[Any]], list[Any]]] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}
