"""Functions of the user's as data: a program, and the arrays that it closes over.

A loop needs its body as a program, and a program that holds a function of the user's
would have to be compiled again for every new closure, which `value_fn` with a new batch
is at every step, and would keep the batch alive. So the function is traced once a call,
when it sees its surroundings as they are. What it closes over becomes arguments, and
the rest, its operations, is what the compiled program is found by: another closure of
the same operations compiles nothing, and no array is kept.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import jax
import numpy as np
from jax.core import Tracer

from gradtx.common.leaves import is_array
from gradtx.lowering.evaluating import (
    Supply,
    called,
    can_be_opened,
    evaluated,
    is_free,
    is_traced_anew,
    kind_of,
)
from gradtx.lowering.jaxprs import ClosedJaxpr, Jaxpr, Literal

T = TypeVar("T")

_CONFIG: Any = jax.config  # its options are not declared


@contextmanager
def as_data(functions: T, *args: Any) -> Iterator[T]:
    """Give functions the form in which a compiled program takes them.

    What is traced already stays as it is, and so does what cannot be told apart by its
    operations: functions that print or call back to Python. The form holds within the
    context, and no derivatives go through it: trace those.

    Args:
      functions: a tree of functions.
      *args: arguments like those that all of them are going to be called with.
    """
    forms: list[_Form] = []

    def one(function: Callable[..., Any]) -> Any:
        made = _traced(function, args)
        if isinstance(made, Function):
            forms.append(made.form)
        return made

    try:
        yield jax.tree.map(one, functions)
    finally:
        for form in forms:
            form.forget()


def _traced(function: Callable[..., Any], args: Any) -> Any:
    leaves = jax.tree.leaves(args)
    # Whole models have leaves that are no data, of which no program can be made.
    data = all(is_array(x) and not isinstance(x, Tracer) for x in leaves)
    if not data or _CONFIG.jax_disable_jit:
        return function
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*args)
    try:
        form = _Form(closed, jax.tree.structure(shape))
    except _Unknowable:
        return function
    if any(isinstance(x, Tracer) for x in form.given):
        return function
    return Function(form, form.taken())


@jax.tree_util.register_pytree_node_class
class Function:
    """A function whose leaves are the arrays that it closes over."""

    def __init__(self, form: "_Form", given: Any) -> None:
        """Join the operations and the arrays."""
        self.form, self.given = form, given

    def __call__(self, *args: Any) -> Any:
        """Do the operations."""
        closed: Any = self.form.closed
        supply = Supply(*self.given)
        found = evaluated(closed.jaxpr, supply, jax.tree.leaves(args))
        return self.form.result.unflatten(found)

    def tree_flatten(self) -> tuple[tuple[Any], "_Form"]:
        """Return the arrays, and the operations as structure."""
        return (self.given,), self.form

    @classmethod
    def tree_unflatten(cls, form: "_Form", given: Any) -> "Function":
        """Join the operations and the arrays again."""
        return cls(form, given[0])


class _Unknowable(Exception):
    """Two of these functions cannot be told apart by their operations."""


class _Form:
    """The operations of a function, and what they are known by."""

    def __init__(self, closed: ClosedJaxpr, result: Any) -> None:
        self.closed: ClosedJaxpr | None = closed
        self.result = result
        self.given: list[Any] = []  # the arrays, in the order in which they are met
        self._numbers: dict[str, list[Any]] = {}  # those in the code, by their type
        if closed.effects:
            raise _Unknowable
        self._key = (self._of_program(closed, inlined=True), result)
        self._hash = hash(self._key)

    def taken(self) -> Any:
        """Return what moves, arrays and numbers, and keep none of it."""
        numbers = {kind: np.asarray(x, kind) for kind, x in self._numbers.items()}
        given, self.given, self._numbers = self.given, [], {}
        return given, numbers

    def forget(self) -> None:
        """Keep only what the operations are known by: they hold what they met."""
        self.closed = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Form) and self._key == other._key

    def __hash__(self) -> int:
        return self._hash

    # --- the key -------------------------------------------------------------

    def _of_program(self, closed: ClosedJaxpr, *, inlined: bool) -> Hashable:
        self.given += closed.consts
        return self._of_operations(closed.jaxpr, inlined=inlined)

    def _of_operations(self, jaxpr: Jaxpr, *, inlined: bool) -> Hashable:
        inputs = [*jaxpr.constvars, *jaxpr.invars]
        places: dict[Any, int] = {}

        def named(x: Any) -> Hashable:
            if not isinstance(x, Literal):
                return places.setdefault(x, len(places))
            if inlined and is_free(x):
                self._numbers.setdefault(kind_of(x), []).append(x.val)
                return kind_of(x)
            value = np.asarray(x.val)
            return value.dtype, value.shape, value.tobytes()

        key: list[Hashable] = [tuple((named(x), x.aval) for x in inputs)]
        for operation in jaxpr.eqns:
            taken = tuple(map(named, operation.invars))
            what = self._of_operation(operation, inlined=inlined)
            made = tuple((named(x), x.aval) for x in operation.outvars)
            key.append((what, taken, made))
        return (*key, tuple(map(named, jaxpr.outvars)))

    def _of_operation(self, operation: Any, *, inlined: bool) -> Hashable:
        program = called(operation)
        if not can_be_opened(operation):
            raise _Unknowable  # arrays that could not be replaced
        if inlined and program is not None:
            return self._of_program(program, inlined=True)
        derived = operation.primitive.name.startswith("custom_")
        settings = partial(
            self._of_setting,
            derived=derived,
            inlined=inlined and is_traced_anew(operation),
        )
        return operation.primitive, settings(operation.params)

    def _of_setting(self, x: Any, *, derived: bool, inlined: bool) -> Hashable:
        again = partial(self._of_setting, derived=derived, inlined=inlined)
        if isinstance(x, ClosedJaxpr):
            return self._of_program(x, inlined=inlined)
        if isinstance(x, Jaxpr):
            return self._of_operations(x, inlined=inlined)
        if isinstance(x, tuple | list):
            return type(x), *map(again, x)
        if isinstance(x, dict):
            return tuple((k, again(y)) for k, y in x.items())
        if callable(x) and not _is_constant(x):
            if derived:  # a rule for derivatives, which are taken already
                return None
            raise _Unknowable
        try:
            hash(x)
        except TypeError as error:
            raise _Unknowable from error
        return type(x), x


def _is_constant(x: Any) -> bool:
    """Whether what can be called is the same whenever it is met: a name of a module."""
    if isinstance(x, type | jax.sharding.Mesh):
        return True
    local = "<" in getattr(x, "__qualname__", "<")
    return not local and not hasattr(x, "__self__")
