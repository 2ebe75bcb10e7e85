"""A function of arrays as a graph: what each result is computed from, calls opened."""

from collections.abc import Sequence
from typing import Any

from gradtx.inspection.nodes import PRODUCTS, Node

# What reads all of an array before it can say anything, besides "reduce_" and "arg".
_WHOLE = {
    *PRODUCTS,
    *("sort", "top_k", "fft", "cumsum", "cumprod", "cummax", "cummin"),
    *("cumlogsumexp",),
}
# Groups of so few numbers, none from different rows, stay where they are computed,
_NEAR = 512
# and so do columns of so few rows.
_FEW = 16


def graph_of(program: Any) -> tuple[list[Node], list[Node]]:
    """Return the arguments and the results of a traced function, leaf by leaf.

    A result that is an argument as it came is the same node. Of a loop one turn is
    taken. Of the branches of a condition that is taken which does most; where only
    numbers come out, as of a norm that is taken again where it overflows, the least; of
    two cases that one number decides between, the one that more must be known for.

    Args:
      program: its equations, as ``jax.make_jaxpr`` returns them.
    """
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
    if name == "optimization_barrier":
        return args
    if name == "dynamic_update_slice" and args[0].is_argument:
        return [_replaced(args, equation)]
    if name == "select_n" and args[0].is_factor:
        last = max(x.level for x in args[1:])
        args = [args[0], *(x for x in args[1:] if x.level == last)]
    is_whole = _is_whole(name, params, equation)
    if name == "dot_general" and not (is_whole and equation.outvars[0].aval.size > 1):
        name = "reduce_sum" if is_whole else "mul"  # of two arrays, entry by entry
    axes = params.get({"broadcast_in_dim": "broadcast_dimensions"}.get(name, "axes"))
    known = axes if isinstance(axes, tuple) else ()
    return [
        Node(args, x.aval, name=name, is_whole=is_whole, axes=known)
        for x in equation.outvars
    ]


def _replaced(args: list[Node], equation: Any) -> Node:
    """Return an array that is given, with something else in place of a part of it."""
    old, new, *place = args
    if old.rest is None:
        old.rest = Node((), None, is_argument=True)
        old.rest.rest_of, old.rest.is_scalar, old.rest.is_factor = old, False, False
        old.rest.nbytes = max(old.nbytes - new.nbytes, 0)
    node = Node((old.rest, new, *place), equation.outvars[0].aval)
    node.replaces, node.written = old, new.nbytes
    return node


def _program(x: Any) -> Any:
    inner = getattr(x, "jaxpr", x)
    return inner if hasattr(inner, "eqns") else None


def _condition(branches: Sequence[Any], args: list[Node]) -> list[Node]:
    index, *rest = args
    programs = [_program(branch) for branch in branches]
    small = all(getattr(x.aval, "size", 1) == 1 for x in programs[0].outvars)
    chosen = min(programs, key=_length) if small else max(programs, key=_work)
    return _known_after(index, _run(chosen, rest), rest)


def _length(program: Any) -> int:
    return len(program.eqns)


def _work(program: Any) -> tuple[int, int]:
    """Return what a branch reads and changes, in bytes, and how much it computes."""
    used = {id(x) for equation in program.eqns for x in equation.invars}
    given = {id(x) for x in program.invars}
    read = [x for x in program.invars if id(x) in used]
    new = [x for x in program.outvars if id(x) not in given]
    moved = sum(Node((), x.aval).nbytes for x in (*read, *new))
    return moved, _length(program)


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
    node.nbytes, node.is_scalar, node.is_factor = x.nbytes, x.is_scalar, x.is_factor
    node.shape, node.varies, node.is_operand = x.shape, x.varies, x.is_operand
    node.replaces, node.written = x.replaces, x.written
    return node


def _is_whole(name: str, params: dict[str, Any], equation: Any) -> bool:
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return any(equation.invars[0].aval.shape[axis] > 1 for axis in contracted)
    if name in _WHOLE:
        return True
    if name == "reduce_precision" or not name.startswith(("reduce", "arg")):
        return False
    before, after = (x[0].aval for x in (equation.invars, equation.outvars))
    axes = params["axes"] if "axes" in params else params["dimensions"]
    group = before.size // max(after.size, 1)
    near = group <= (_FEW if 0 in axes else _NEAR)
    return not near and before.size != after.size
