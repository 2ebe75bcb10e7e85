"""The operations of a program, done with other arrays than those that it captured.

Programs that are only called are opened, and their operations done in their place. A
loop, a branch or what is recomputed for derivatives is done as it is, unless a program
within it has captured an array or a number, which would be written into the compiled
program. Then it is traced anew around the opened program, and takes them from outside.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.lowering import control_flow, jaxprs
from gradtx.lowering.jaxprs import ClosedJaxpr, Jaxpr, Literal


class Supply:
    """Arrays and numbers, handed out in the order in which a program asks for them."""

    def __init__(
        self,
        arrays: Sequence[Any],
        numbers: dict[str, Any],
        used: dict[str, int] | None = None,
    ) -> None:
        """Begin with the first array, and after so many numbers as were used."""
        self._arrays, self._numbers = iter(arrays), numbers
        self._used = dict.fromkeys(numbers, 0) | (used or {})

    def arrays(self, many: int) -> list[Any]:
        """Return the next arrays."""
        return [next(self._arrays) for _ in range(many)]

    def number(self, x: Literal) -> Any:
        """Return the next number in the code."""
        if not is_free(x):
            return x.val
        kind = kind_of(x)
        self._used[kind] += 1
        at = self._used[kind] - 1
        return jax.lax.index_in_dim(self._numbers[kind], at, keepdims=False)

    def taken_by(self, program: Any) -> Callable[[], "Supply"]:
        """Take what a program asks for, and return what makes a supply of it."""
        arrays = self.arrays(sum(1 for _ in _captured(program)))
        begin = dict(self._used)
        for x in _free_numbers(program):
            self._used[kind_of(x)] += 1
        return lambda: Supply(arrays, self._numbers, begin)


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
    within = list(operation.params.values()) if is_traced_anew(operation) else []
    if any(True for _ in chain(_captured(within), _free_numbers(within))):
        return _traced_anew(operation, supply, taken)
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
    opens = called(operation) is not None or is_traced_anew(operation)
    return opens or not any(True for _ in _captured(operation.params))


def is_traced_anew(operation: Any) -> bool:
    """Whether an operation can be done with other programs within it."""
    return operation.primitive.name in {*_ANEW, *_RECOMPUTED}


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


def _free_numbers(x: Any) -> Iterator[Literal]:
    """Yield the numbers in the code of programs that are opened, in any order."""
    if isinstance(x, tuple | list):
        for y in x:
            yield from _free_numbers(y)
    if isinstance(x, ClosedJaxpr):
        x = x.jaxpr
    if not isinstance(x, Jaxpr):
        return
    reads = chain(x.outvars, *(operation.invars for operation in x.eqns))
    yield from (y for y in reads if isinstance(y, Literal) and is_free(y))
    for operation in x.eqns:
        anew = list(operation.params.values()) if is_traced_anew(operation) else []
        yield from _free_numbers(called(operation) or anew)


# --- loops and branches, traced anew -----------------------------------------


def _traced_anew(operation: Any, supply: Supply, taken: list[Any]) -> list[Any]:
    """Do a loop or a branch whose programs take what they captured from a supply."""

    def opened(x: Any) -> Any:
        if isinstance(x, tuple | list):
            return [opened(y) for y in x]
        if not isinstance(x, ClosedJaxpr | Jaxpr):
            return x
        own = supply.taken_by(x)
        jaxpr: Any = getattr(x, "jaxpr", x)
        return lambda *args: evaluated(jaxpr, own(), args)

    settings = {name: opened(x) for name, x in operation.params.items()}
    again = partial(_recomputed, operation.primitive)
    return _ANEW.get(operation.primitive.name, again)(settings, taken)


def _recomputed(
    primitive: Any, settings: dict[str, Any], taken: list[Any]
) -> list[Any]:
    run, around = jaxprs.opened(settings["jaxpr"], *taken)
    program = jax.make_jaxpr(run)(around, *taken).jaxpr
    return primitive.bind(*around, *taken, **{**settings, "jaxpr": program})


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
_RECOMPUTED = ("checkpoint", "remat", "remat2")
