"""A function of arrays as a graph: what each result is computed from, calls opened."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

# What reads all of an array before it can say anything, besides "reduce_" and "arg".
_WHOLE = {
    *("dot_general", "conv_general_dilated", "sort", "top_k", "fft", "cumsum"),
    *("cumprod", "cummax", "cummin", "cumlogsumexp", "cholesky", "eigh", "qr", "svd"),
    *("lu", "householder_product", "triangular_solve"),
}
# Groups of so few numbers, none from different rows, stay where they are computed.
_NEAR = 512


class Node:
    """An array: an argument, or computed.

    Attributes:
      inputs: what it is computed from.
      is_argument: whether it is given.
      nbytes: its bytes.
      is_scalar: whether it is one number.
      is_whole: whether all of its inputs must be read before it is known.
      level: how many such arrays there are on the way to it, at most.
    """

    def __init__(
        self,
        inputs: Sequence["Node"],
        aval: Any,
        *,
        is_argument: bool = False,
        is_whole: bool = False,
    ) -> None:
        self.inputs = inputs
        self.is_argument = is_argument
        size = getattr(aval, "size", 1)
        self.nbytes = size * getattr(getattr(aval, "dtype", None), "itemsize", 0)
        self.is_scalar = size == 1
        self.is_whole = is_whole
        self.level = max((x.level for x in inputs), default=0) + is_whole


def graph_of(f: Callable[..., Any], *args: Any) -> tuple[list[Node], list[Node]]:
    """Return the arguments and the results of a function, leaf by leaf.

    A result that is an argument as it came is the same node. Of a loop one turn is
    taken. Of the branches of a condition that is taken which does most; where only
    numbers come out, as of a norm that is taken again where it overflows, the least.

    Args:
      f: a function of arrays.
      *args: its arguments, or their shapes.
    """
    program = jax.make_jaxpr(f)(*args).jaxpr
    start = [Node((), x.aval, is_argument=True) for x in program.invars]
    return start, _run(program, start)


def _run(program: Any, args: Sequence[Node]) -> list[Node]:
    known = {id(x): arg for x, arg in zip(program.invars, args, strict=True)}
    constant = Node((), None)

    def nodes(variables: Sequence[Any]) -> list[Node]:
        return [known.get(id(x), constant) for x in variables]

    for equation in program.eqns:
        results = _equation(equation, nodes(equation.invars))
        known.update(zip(map(id, equation.outvars), results, strict=True))
    return nodes(program.outvars)


def _equation(equation: Any, args: list[Node]) -> list[Node]:
    name, params = equation.primitive.name, equation.params
    if name == "cond":
        return _condition(params["branches"], args)
    if name == "while":
        return _loop(params, args)
    inner = next(filter(None, map(_program, params.values())), None)
    opens = not name.startswith("reduce")
    if inner is not None and opens and len(inner.invars) == len(args):
        return _run(inner, args)  # of a call, or of a turn of a scan
    is_whole = _is_whole(name, params, equation)
    return [Node(args, x.aval, is_whole=is_whole) for x in equation.outvars]


def _program(x: Any) -> Any:
    inner = getattr(x, "jaxpr", x)
    return inner if hasattr(inner, "eqns") else None


def _condition(branches: Sequence[Any], args: list[Node]) -> list[Node]:
    index, *rest = args
    programs = [_program(branch) for branch in branches]
    small = all(getattr(x.aval, "size", 1) == 1 for x in programs[0].outvars)
    chosen = (min if small else max)(programs, key=lambda x: len(x.eqns))
    return _known_after(index, _run(chosen, rest), rest)


def _loop(params: dict[str, Any], args: list[Node]) -> list[Node]:
    first, second = params["cond_nconsts"], params["body_nconsts"]
    asked, given, carry = args[:first], args[first : first + second], args[first:]
    carry = carry[second:]
    (goes_on,) = _run(_program(params["cond_jaxpr"]), [*asked, *carry])
    return _known_after(
        goes_on, _run(_program(params["body_jaxpr"]), [*given, *carry]), carry
    )


def _known_after(flag: Node, results: list[Node], args: list[Node]) -> list[Node]:
    """Return results that are known when a flag is; what only comes through stays."""
    return [x if x in args else _with(x, flag) for x in results]


def _with(x: Node, flag: Node) -> Node:
    node = Node((x, flag), None)
    node.nbytes, node.is_scalar = x.nbytes, x.is_scalar
    return node


def _is_whole(name: str, params: dict[str, Any], equation: Any) -> bool:
    if name in _WHOLE:
        return True
    if name == "reduce_precision" or not name.startswith(("reduce", "arg")):
        return False
    before, after = (x[0].aval for x in (equation.invars, equation.outvars))
    axes = params["axes"] if "axes" in params else params["dimensions"]
    near = 0 not in axes and before.size <= _NEAR * after.size
    return not near
