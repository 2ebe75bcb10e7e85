"""The elementwise parts of a program, which a kernel can compute in tiles."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.lowering.jaxprs import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

Var = Any  # a variable of a program, or, as an operand, a number that stands in it
Values = dict[Var, Any]

_ENTRYWISE = re.compile(
    "abs|add|and|ceil|convert_element_type|copy|cos|div|eq|exp|exp2|expm1|floor|ge|gt|"
    "integer_pow|is_finite|le|log|log1p|logistic|lt|max|min|mul|ne|neg|not|or|pow|"
    "rsqrt|select_n|sign|sin|sqrt|square|sub|tanh|xor"
)

# What is only a call is written out, and by which of its settings.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}


class Program(NamedTuple):
    """A function as its equations, and the value of every variable in them."""

    jaxpr: Jaxpr
    values: Values

    def read(self, var: Any) -> Any:
        """Return the value of a variable."""
        return _read(self.values, var)


class Piece(NamedTuple):
    """Results of one shape that are elementwise functions of arrays of that shape.

    Args:
      equations: the equations that compute them, in order.
      arrays: the input arrays of that shape.
      scalars: the input scalars.
      results: the output variables.
    """

    equations: tuple[JaxprEqn, ...]
    arrays: tuple[Var, ...]
    scalars: tuple[Var, ...]
    results: tuple[Var, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all arrays."""
        return self.results[0].aval.shape

    @property
    def signature(self) -> Any:
        """What is equal in two pieces that compute the same of different arrays."""
        made = [e.outvars[0] for e in self.equations]
        places = {v: i for i, v in enumerate([*self.scalars, *self.arrays, *made])}

        def told(v: Var) -> Any:
            return places[v] if _is_var(v) else repr(v.val)

        return (
            tuple(str(v.aval) for v in places),
            tuple(
                (e.primitive.name, repr(e.params), *map(told, e.invars))
                for e in self.equations
            ),
            tuple(map(told, self.results)),
        )

    def run(self, values: Values, tile: tuple[int, ...]) -> list[jax.Array]:
        """Return the results for a tile, from tiles of the arrays and the scalars."""
        values = dict(values)
        for equation in self.equations:
            read = [_read(values, v) for v in equation.invars]
            if equation.primitive.name == "broadcast_in_dim":
                made = jnp.broadcast_to(read[0], tile)
            else:
                made = equation.primitive.bind(*read, **equation.params)
            values[equation.outvars[0]] = made
        return [values[v] for v in self.results]


def written_out(f: Callable[..., Any], *args: Any) -> Program:
    """Trace a function of flat arguments, inline the calls in it, and run it.

    A compiler drops the values that are not used.

    Args:
      f: a function of arrays, which returns a tree of arrays.
      *args: the arrays that it is called with.
    """
    nested = jax.make_jaxpr(f)(*args)
    flat = jax.make_jaxpr(lambda *xs: _evaluated(nested, xs))(*args)
    return Program(flat.jaxpr, _run(flat.jaxpr, flat.consts, args))


def pieces(jaxpr: Jaxpr, wanted: Iterable[Var]) -> list[Piece]:
    """Return the elementwise pieces among the wanted results of a program.

    Results that have an array in common are in one piece.

    Args:
      jaxpr: the program, without calls in it, as :func:`written_out` makes it.
      wanted: its variables that are to be computed; those that are not elementwise
        functions of arrays of their shape are left out.
    """
    makers = {e.outvars[0]: e for e in jaxpr.eqns if _is_elementwise(e)}
    groups: list[tuple[set[Var], set[Var]]] = []  # results, and all that they are of
    for result in dict.fromkeys(wanted):
        if not _is_var(result) or result not in makers:
            continue
        results, behind = {result}, _behind(result, makers)
        arrays = {v for v in behind if v.aval.shape}
        for group in [g for g in groups if g[1] & arrays]:
            groups.remove(group)
            results, behind = results | group[0], behind | group[1]
        groups.append((results, behind))
    return [_piece(jaxpr, makers, *group) for group in groups]


def _behind(result: Var, makers: dict[Var, JaxprEqn]) -> set[Var]:
    """Return a result and all that it depends on, back to the inputs."""
    shape, found, ahead = result.aval.shape, set(), [result]
    while ahead:
        var = ahead.pop()
        if not _is_var(var) or var in found:
            continue
        found.add(var)
        if var.aval.shape == shape and var in makers:
            ahead.extend(makers[var].invars)
    return found


def _piece(
    jaxpr: Jaxpr, makers: dict[Var, JaxprEqn], results: set[Var], behind: set[Var]
) -> Piece:
    shape = next(iter(results)).aval.shape
    made = {v for v in behind if v.aval.shape == shape and v in makers}
    every: list[Var] = [
        *jaxpr.constvars,
        *jaxpr.invars,
        *(v for e in jaxpr.eqns for v in e.outvars),
    ]
    enters = [v for v in every if v in behind - made]
    return Piece(
        tuple(e for e in jaxpr.eqns if e.outvars[0] in made),
        tuple(v for v in enters if v.aval.shape),
        tuple(v for v in enters if not v.aval.shape),
        tuple(v for v in every if v in results),
    )


def _is_elementwise(equation: JaxprEqn) -> bool:
    if len(equation.outvars) != 1:
        return False
    operands: list[Var] = [*equation.outvars, *equation.invars]
    shape, *given = (v.aval.shape for v in operands)
    if equation.primitive.name == "broadcast_in_dim":
        return bool(shape) and given == [()]
    known = _ENTRYWISE.fullmatch(equation.primitive.name)
    return bool(known and shape) and set(given) <= {(), shape}


# --- running equations -------------------------------------------------------


def _evaluated(program: ClosedJaxpr, args: Sequence[Any]) -> list[Any]:
    values = _run(program.jaxpr, program.consts, args)
    return [_read(values, v) for v in program.jaxpr.outvars]


def _run(jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any]) -> Values:
    """Return the values of all variables."""
    inputs = [*jaxpr.constvars, *jaxpr.invars]
    values: Values = dict(zip(inputs, [*consts, *args], strict=True))
    for equation in jaxpr.eqns:
        read = [_read(values, v) for v in equation.invars]
        values.update(zip(equation.outvars, _made(equation, read), strict=True))
    return values


def _made(equation: JaxprEqn, inputs: list[Any]) -> Sequence[Any]:
    name = equation.primitive.name
    if name in _CALLS:
        return _evaluated(_closed(equation.params[_CALLS[name]]), inputs)
    made = equation.primitive.bind(*inputs, **equation.params)
    return made if equation.primitive.multiple_results else [made]


def _closed(jaxpr: Any) -> ClosedJaxpr:
    return jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, ())


def _read(values: Values, var: Any) -> Any:
    return values[var] if _is_var(var) else var.val


def _is_var(x: Any) -> bool:
    return not isinstance(x, Literal)
