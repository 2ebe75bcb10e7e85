"""What a transformation costs: bytes kept, bytes moved, products of matrices."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from gradtx.common.numerics import is_differentiable
from gradtx.common.types import Params
from gradtx.core.apply_updates import apply_updates
from gradtx.inspection import passes, paths, products, tables
from gradtx.inspection.describe import Group, groups
from gradtx.inspection.storage import arrays_of, nbytes, storage


@dataclass(frozen=True)
class Memory:
    """What the compiler says of the jitted step, in bytes.

    Attributes:
      arguments: of gradients, state and parameters.
      results: of the new state and parameters.
      in_place: of those results that take the place of an argument.
      scratch: of what is needed besides, while the step runs.
    """

    arguments: int
    results: int
    in_place: int
    scratch: int

    @property
    def most(self) -> int:
        """What the step takes at most."""
        return self.arguments + self.results - self.in_place + self.scratch


@dataclass(frozen=True)
class Report(tables.Shown):
    """What :func:`report` returns.

    Attributes:
      groups: the leaves that are treated alike, with the bytes of their state.
      params_bytes: the bytes of the parameters.
      gradient_bytes: the bytes of their gradients, in the parameters' types.
      state_bytes: the bytes of the state.
      moved_bytes: what a step has to read and write: what it needs is read once, what
        it changes is written once, and what is multiplied by a number that is known
        only when all has been read, such as the norm of all gradients, is read once
        more; or an array in between is written and read, where that is less. Numbers
        that sums are multiplied by are taken out of them, and so is what is the same
        along a row or column. Of the branches of a condition it is the one that does
        most, of two cases that one number decides between the one that more must be
        known for, of a loop one turn. A lower bound of what a compiled step moves:
        compilers read more often, and products of matrices move what they take and
        give besides.
      products: the products of matrices in a step; of a loop whose length is not known,
        those of one turn, and of the branches of a condition those of the longest.
      flops: the additions and multiplications in them.
      memory: what the compiler says; None if it was not asked.

    Example:
      >>> found = gradtx.report(gradtx.adam(0.1), jnp.ones(8), compiled=False)
      >>> found.params_bytes, found.moved_bytes
      (32, 224)
    """

    groups: tuple[Group, ...]
    params_bytes: int
    gradient_bytes: int
    state_bytes: int
    moved_bytes: int
    products: int
    flops: int
    memory: Memory | None

    def page(self) -> Iterator[Any]:
        """Return the tables."""
        rows = [
            (x.pattern, f"{x.parameters:,}", slot, kind, tables.size(n))
            for x in self.groups
            for (slot, kind), n in (x.state or {("none", ""): 0}).items()
        ]
        head = ("leaves", ">parameters", "slot", "type", ">bytes")
        yield tables.Table(head, tuple(rows), "State")
        yield tables.Table(("", ">"), tuple(self._sums()), "A step")

    def _sums(self) -> Iterator[tuple[str, str]]:
        yield "parameters", tables.size(self.params_bytes)
        yield "gradients", tables.size(self.gradient_bytes)
        yield "state", tables.size(self.state_bytes)
        yield "moved at least", tables.size(self.moved_bytes)
        yield "products of matrices", f"{self.products:,}"
        yield "operations in them", f"{self.flops:.3g}"
        if self.memory:
            yield "scratch memory, compiled", tables.size(self.memory.scratch)
            yield "all memory, compiled", tables.size(self.memory.most)


def report(
    tx: Any,
    params: Params,
    *,
    extra: Mapping[str, Any] | None = None,
    compiled: bool = True,
) -> Report:
    """Report what a step of a transformation costs.

    Nothing is computed: shapes of parameters suffice, as ``jax.eval_shape`` gives them.
    The step is ``update`` and :func:`gradtx.apply_updates`, jitted, with state and
    parameters donated.

    Args:
      tx: a transformation.
      params: the parameters, or their shapes.
      extra: the extra arguments that ``update`` needs, or their shapes; functions as
        they are.
      compiled: whether to compile the step, for this machine's default device, and ask
        the compiler for the memory. That takes as long as the first step would.

    Returns:
      A :class:`Report`: numbers by name, and with ``print`` a table.

    Raises:
      ValueError: what ``init`` and ``update`` refuse, they refuse here too.

    Example:
      >>> print(
      ...     "8" in str(gradtx.report(gradtx.adam(0.1), jnp.ones(8), compiled=False))
      ... )
      True
    """
    shapes = jax.tree.map(_shape, arrays_of(params))
    grads = jax.tree.map(lambda x: x if is_differentiable(x) else None, shapes)
    state = jax.eval_shape(tx.init, shapes)
    stored = storage(tx, shapes)
    found = tuple(groups(tx, shapes, stored.by_leaf))
    given = dict(extra or {})
    functions = {name: x for name, x in given.items() if callable(x)}
    arrays = {name: x for name, x in given.items() if name not in functions}

    def step(params: Any, state: Any, grads: Any, arrays: Any) -> Any:
        updates, state = tx.update(grads, state, params, **arrays, **functions)
        return apply_updates(params, updates), state

    args = (shapes, state, grads, arrays)
    program = jax.make_jaxpr(step)(*args).jaxpr
    many, flops = products.count(program)
    return Report(
        groups=found,
        params_bytes=nbytes(shapes),
        gradient_bytes=nbytes(grads),
        state_bytes=stored.total,
        moved_bytes=passes.moved(program, _still(shapes, found)),
        products=many,
        flops=flops,
        memory=_memory(step, args) if compiled else None,
    )


def _shape(x: Any) -> Any:
    is_array = hasattr(x, "shape") and hasattr(x, "dtype")
    return jax.ShapeDtypeStruct(x.shape, x.dtype) if is_array else x


def _still(params: Params, found: tuple[Group, ...]) -> set[int]:
    """Return the numbers of the leaves that are frozen."""
    frozen = {path for group in found if group.frozen for path in group.paths}
    return {i for i, path in enumerate(paths.leaves(params)) if path in frozen}


def _memory(step: Any, args: Any) -> Memory | None:
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(*args).compile()
    found = compiled.memory_analysis()
    if found is None:  # the compiler of this device does not say
        return None
    return Memory(
        arguments=found.argument_size_in_bytes,
        results=found.output_size_in_bytes,
        in_place=found.alias_size_in_bytes,
        scratch=found.temp_size_in_bytes,
    )
