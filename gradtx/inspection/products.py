"""How many products of matrices a function takes, counted in its equations."""

import math
from collections.abc import Iterator
from typing import Any

# The number of products, and the additions and multiplications in them.
Cost = tuple[int, int]


def count(program: Any) -> Cost:
    """Return how many products of matrices a function takes, and their operations.

    Args:
      program: its equations, as ``jax.make_jaxpr`` returns them.
    """
    return _sum(_one(equation) for equation in program.eqns)


def _one(equation: Any) -> Cost:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        return _product(equation)
    within = [count(x) for x in _programs(params)]
    if name == "cond":
        return max(within, key=lambda cost: cost[1])
    times = params["length"] if name == "scan" else 1
    many, flops = _sum(within)
    return times * many, times * flops


def _product(equation: Any) -> Cost:
    """Return what one product costs; with vectors it is none of matrices."""
    left, right = (x.aval for x in equation.invars)
    (contracted, _), (batch, _) = equation.params["dimension_numbers"]
    inner = math.prod(left.shape[i] for i in contracted)
    outer = math.prod(left.shape[i] for i in batch)
    rows, columns = (x.size // max(inner * outer, 1) for x in (left, right))
    if min(rows, columns, inner) <= 1:
        return 0, 0
    return outer, 2 * outer * rows * columns * inner


def _programs(params: dict[str, Any]) -> Iterator[Any]:
    """Yield the programs within an equation."""
    for value in params.values():
        for x in value if isinstance(value, tuple | list) else [value]:
            inner = getattr(x, "jaxpr", x)
            if hasattr(inner, "eqns"):
                yield inner


def _sum(costs: Any) -> Cost:
    many = flops = 0
    for one, operations in costs:
        many, flops = many + one, flops + operations
    return many, flops
