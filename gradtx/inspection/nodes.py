"""The arrays of a graph, with what must be known before each can be."""

from collections.abc import Sequence
from typing import Any

# What works on matrices, and moves arrays of its own for that.
PRODUCTS = {
    *("dot_general", "conv_general_dilated", "cholesky", "eigh", "qr", "svd", "lu"),
    *("householder_product", "triangular_solve"),
}
# What hands on factors that are numbers, so that a sum can be taken without them:
# Σ (a + c b) is Σ a + c Σ b, and Σ (c a)² is c² Σ a².
_LINEAR = {
    *("add", "add_any", "sub", "neg", "mul", "div", "square", "integer_pow", "real"),
    *("convert_element_type", "reshape", "transpose", "broadcast_in_dim", "copy"),
    *("squeeze", "expand_dims", "reduce_sum", "slice", "unstack"),
}
# Of those, what is multiplied if what it is made of is: the rest are sums.
_SCALED = _LINEAR - {"add", "add_any", "sub", "reduce_sum"} | {"select_n", "abs"}
# Of those, and of two cases, what is computed entry by entry.
_ENTRYWISE = {
    *("add", "add_any", "sub", "neg", "mul", "div", "square", "integer_pow", "real"),
    *("convert_element_type", "copy", "select_n"),
}
# The operand that must be a factor for that: a denominator, or what tells the case.
_FACTORS = {"div": 1, "select_n": 0}
# What puts an array into another form, or takes or joins parts of it.
_FORMS = {"concatenate", "stack", "split", "gather", "dynamic_slice", "rev", "pad"}


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
      varies: the axes along which its entries may differ.
      is_operand: whether a product of matrices takes it, maybe in another form or times
        a number, so that it is in memory once it is known.
      is_given: whether it is an argument, maybe in another form or times a number.
      is_scale: whether it is a largest size, which others are taken relative to.
      rest: of what is given, what is left of it where a part is replaced.
      rest_of: for such a rest, what it is of.
      replaces: the array that it is, but for a part; None if there is none.
      written: the bytes that it takes to write it in place of that array.
    """

    def __init__(
        self,
        inputs: Sequence["Node"],
        aval: Any,
        *,
        is_argument: bool = False,
        name: str = "",
        is_whole: bool = False,
        axes: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.inputs = inputs
        self.is_argument = is_argument
        size = getattr(aval, "size", 1)
        self.nbytes = size * getattr(getattr(aval, "dtype", None), "itemsize", 0)
        self.is_scalar = size == 1
        self.is_whole = is_whole
        self.is_product = name in PRODUCTS
        same = all(x.is_factor for x in inputs) and not is_whole
        self.is_factor = self.is_scalar or (bool(inputs) and same)
        self.shape: tuple[int, ...] = getattr(aval, "shape", ())
        self.varies = _varies(self, axes)
        self.is_operand = False
        forms = _same_in_another_form(self)
        self.is_given = is_argument or (bool(forms) and all(x.is_given for x in forms))
        self.rest: Node | None = None
        self.rest_of: Node | None = None
        self.replaces: Node | None = None
        self.written = self.nbytes
        self._count_levels(axes)
        if self.is_product:
            _mark_operands(inputs)

    def _count_levels(self, axes: Sequence[int]) -> None:
        inputs = self.inputs
        self.level = max((x.level for x in inputs), default=0)
        self.bare = self.level
        self.scaled = self.level
        if arrays := _without_factors(self.name, inputs):
            if self.name in _SCALED:
                self.scaled = max(x.scaled for x in arrays)
            bare = max(x.bare for x in arrays)
            self.bare = self.scaled if self.name == "abs" else bare
        self.is_scale = self.name == "reduce_max" and inputs[0].name == "abs"
        self.pass_ = self.level
        if self.name == "reduce_sum":
            self.pass_ = min([self.bare, *(_bare(inputs[0], {i}) for i in axes)])
        elif self.is_scale:  # that of the parts of a sum would do
            self.pass_ = inputs[0].inputs[0].bare
        if self.is_whole:
            self.level = max(self.level, self.pass_ + 1)
            self.bare = self.scaled = self.level


def _without_factors(name: str, inputs: Sequence[Node]) -> list[Node]:
    """Return what something is linear in; nothing if that says nothing of it."""
    arrays = [x for x in inputs if not x.is_factor]
    if name == "select_n":
        return arrays if len(arrays) == len(inputs) - 1 else []
    whole = name == "div" and not inputs[1].is_factor
    return arrays if name in _LINEAR | _SCALED and not whole else []


def _varies(x: Node, axes: Sequence[int]) -> frozenset[int]:
    """Return the axes along which an array's entries may differ."""
    shaped = [y for y in x.inputs if y.shape]
    if x.name == "broadcast_in_dim":
        return frozenset(axes[i] for y in shaped for i in y.varies)
    moves = x.is_whole or x.name in _FORMS | {"transpose", "reshape"}
    if shaped and not moves and all(len(y.shape) == len(x.shape) for y in shaped):
        return frozenset().union(*(y.varies for y in shaped))
    return frozenset(i for i, size in enumerate(x.shape) if size > 1)


def _bare(x: Node, axes: set[int]) -> int:
    """Return how many whole arrays a sum over some axes needs known.

    What is the same along them can be taken out of the sum as a number can.
    """
    found: dict[int, int] = {}

    def of(x: Node) -> int:
        if not x.level or not x.varies & axes:
            return 0
        if id(x) not in found:
            below = x.inputs[_FACTORS[x.name] :][:1] if x.name in _FACTORS else []
            plain = x.name in _ENTRYWISE and not any(y.varies & axes for y in below)
            found[id(x)] = max(map(of, x.inputs)) if plain else x.bare
        return found[id(x)]

    return of(x)


def _mark_operands(inputs: Sequence[Node]) -> None:
    """Mark what is in memory for a product of matrices, in whatever form."""
    left = list(inputs)
    while left:
        x = left.pop()
        if not (x.is_operand or x.is_factor or x.is_given):
            x.is_operand = True
            left += _same_in_another_form(x)


def _same_in_another_form(x: Node) -> list[Node]:
    """Return the arrays that something is, in another form or times a number."""
    arrays = [y for y in x.inputs if not y.is_factor]
    alone = len(arrays) == 1 and x.name in _SCALED
    return arrays if not x.is_whole and (alone or x.name in _FORMS) else []
