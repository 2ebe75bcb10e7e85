"""A function of arrays as a graph: what each result is computed from, calls opened."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

# What works on matrices, and moves arrays of its own for that.
_PRODUCTS = {
    *("dot_general", "conv_general_dilated", "cholesky", "eigh", "qr", "svd", "lu"),
    *("householder_product", "triangular_solve"),
}
# What reads all of an array before it can say anything, besides "reduce_" and "arg".
_WHOLE = {
    *_PRODUCTS,
    *("sort", "top_k", "fft", "cumsum", "cumprod", "cummax", "cummin"),
    *("cumlogsumexp",),
}
# What hands on factors that are numbers, so that a sum can be taken without them:
# Σ (a + c b) is Σ a + c Σ b, and Σ (c a)² is c² Σ a².
_LINEAR = {
    *("add", "add_any", "sub", "neg", "mul", "div", "square", "integer_pow", "real"),
    *("convert_element_type", "reshape", "transpose", "broadcast_in_dim", "copy"),
    *("squeeze", "expand_dims", "reduce_sum", "slice"),
}
# Of those, what is multiplied if what it is made of is: the rest are sums.
_SCALED = _LINEAR - {"add", "add_any", "sub", "reduce_sum"} | {"select_n"}
# Groups of so few numbers, none from different rows, stay where they are computed.
_NEAR = 512


class Node:
    """An array: an argument, or computed.

    Attributes:
      inputs: what it is computed from.
      is_argument: whether it is given.
      nbytes: its bytes.
      is_scalar: whether it is one number.
      is_factor: whether it is one number, maybe repeated.
      is_whole: whether all of its inputs must be read before it is known.
      is_product: whether that is as a matrix method's: what is read for it once more
        is of the arrays that it moves itself.
      level: how many such arrays there are on the way to it, at most.
      bare: the same, without numbers that are factors in sums and products only.
      scaled: the same, without numbers that all of it is multiplied by.
      pass_: for what reads all of its inputs, how many must be known before.
    """

    def __init__(
        self,
        inputs: Sequence["Node"],
        aval: Any,
        *,
        is_argument: bool = False,
        name: str = "",
        is_whole: bool = False,
    ) -> None:
        self.inputs = inputs
        self.is_argument = is_argument
        size = getattr(aval, "size", 1)
        self.nbytes = size * getattr(getattr(aval, "dtype", None), "itemsize", 0)
        self.is_scalar = size == 1
        self.is_whole = is_whole
        self.is_product = name in _PRODUCTS
        same = all(x.is_factor for x in inputs) and not is_whole
        self.is_factor = self.is_scalar or (bool(inputs) and same)
        self.level = max((x.level for x in inputs), default=0)
        self.bare = self.level
        self.scaled = self.level
        if arrays := _without_factors(name, inputs):
            self.bare = max(x.bare for x in arrays)
            if name in _SCALED:
                self.scaled = max(x.scaled for x in arrays)
        self.pass_ = self.bare if name == "reduce_sum" else self.level
        if is_whole:
            self.level = max(self.level, self.pass_ + 1)
            self.bare = self.scaled = self.level


def _without_factors(name: str, inputs: Sequence[Node]) -> list[Node]:
    """Return what something is linear in; nothing if that says nothing of it."""
    arrays = [x for x in inputs if not x.is_factor]
    if name == "select_n":
        return arrays if len(arrays) == len(inputs) - 1 else []
    whole = name == "div" and not inputs[1].is_factor
    return arrays if name in _LINEAR and not whole else []


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
    if name == "dot_general" and not (is_whole and equation.outvars[0].aval.size > 1):
        name = "reduce_sum" if is_whole else "mul"  # of two arrays, entry by entry
    return [Node(args, x.aval, name=name, is_whole=is_whole) for x in equation.outvars]


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
    node.nbytes, node.is_scalar, node.is_factor = x.nbytes, x.is_scalar, x.is_factor
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
    near = 0 not in axes and before.size <= _NEAR * after.size
    return not near and before.size != after.size
