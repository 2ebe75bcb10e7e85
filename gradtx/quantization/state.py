"""State in few bits, around any transformation."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
from jax.core import Tracer

from gradtx.codecs import Codec, Encoded, is_encoded
from gradtx.codecs.sharding import put_like
from gradtx.common import checks, numerics
from gradtx.common.foreign import is_variable
from gradtx.common.types import Count, OptState, Params, Updates
from gradtx.core.apply_updates import remember
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.control_flow import platform_dependent
from gradtx.lowering.sharding import zero_count
from gradtx.quantization.selection import Choice, Step, Where
from gradtx.tree.roles import parts
from gradtx.wrappers.step import params_after

# Those for which there are kernels.
DEVICES = ("cuda", "tpu")

# By the identity of a decoded array: it, and what it was decoded from.
Kept = dict[int, tuple[Any, Encoded]]


class QuantizedState(NamedTuple):
    """What :func:`quantize_state` remembers."""

    inner_state: OptState  # with :class:`gradtx.codecs.Encoded` for what is in few bits
    roundings: Count  # so far: what the next one is seeded with


@transformation
def quantize_state(
    tx: GradientTransformation,
    codec: Codec | Mapping[str, Codec | None] | None = None,
    where: Where | None = None,
    min_size: int = 4096,
    kernel: bool | str = False,
) -> GradientTransformation:
    """Keep the state of any transformation in few bits.

        s = decode(e),    u, s = tx(g, s, p),    e ← encode(s)

    Only real floats of at least ``min_size`` numbers are encoded; scalars, counts,
    random keys and complex arrays stay as they are. What else is done follows from what
    a slot of state is declared as, by the types of the fields of its class or by the
    function that makes it (``gradtx.leafwise(..., nu=gradtx.slots.squares)``):

    * :data:`gradtx.SecondMoment`: encoded without signs, by the unsigned form of a
      codec with signs;
    * :data:`gradtx.Weights`, such as the slow ones of :func:`gradtx.lookahead`, and
      :data:`gradtx.Exact`: left as they are, unless a mapping names them;
    * nothing: encoded by the codec that is given.

    :func:`gradtx.tree.get` returns arrays, not codes. ``init`` makes the state of
    ``tx`` before it is encoded; jitted it never holds it. Where blocks have scales, a
    jitted step computes the new state twice, for the scales and for the codes, rather
    than to write it out in between.

    Args:
      tx: any transformation.
      codec: what to encode with; None means ``int8()``. Or a mapping from keys as
        :func:`gradtx.tree.get` takes them, ``"mu"``, ``"ScaleByAdamState.nu"``,
        ``"0/mu"``, or the name of a layer, to codecs, or to None for what stays; the
        first key that names an array or something around it counts, and what none
        names stays as it is.
      where: ``where(path, leaf)`` says which arrays are encoded, of those that would
        be; all, if None.
      min_size: the least size of an array that is encoded.
      kernel: True makes every array's step one kernel on a GPU of NVIDIA's and on a
        TPU, where it can: what is made entry by entry, with blocks that are equal
        pieces of the rows. It moves the parameters too, which
        :func:`gradtx.apply_updates` then takes from it, and so do wrappers such as
        :func:`gradtx.with_compensation`. Whoever else adds the updates gets there too:
        they are the distance from p to the rounded p + u, so what is chained behind
        must not enlarge them. For one device, or within
        ``shard_map(..., check_vma=False)``; not differentiable. ``"cuda"`` and
        ``"tpu"`` imitate the kernel of such a device anywhere, slowly, for tests.

    Raises:
      ValueError: from ``init``, if a key names nothing in the state, for a codec in
        which a mean of squares would stall, and for an unsigned one where nothing
        declares that there are no signs.

    Reference: Dettmers et al., 2022, https://arxiv.org/abs/2110.02861

    Example:
      >>> tx, params = gradtx.quantize_state(gradtx.adam(0.1), min_size=1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    checks.at_least(0, min_size=min_size)
    if kernel not in (False, True, *DEVICES):
        raise checks.InvalidArgument(
            f"kernel must be True, False or one of {', '.join(DEVICES)}, got {kernel!r}"
        )
    inner = with_extra_args_support(tx)
    choose = Choice(inner.init, codec, where, min_size)

    def init(params: Params) -> QuantizedState:
        state = inner.init(params)
        choose.check(state)
        seed = zero_count(params)
        # Without the barrier XLA would fold the codes of zeros, one by one.
        still = jax.tree.map(_opaque, state)
        return QuantizedState(_encoded(choose, still, seed, {}), seed)

    def update(
        updates: Updates,
        state: QuantizedState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, QuantizedState]:
        step = partial(inner.update, **extra)
        known = _is_compiled(updates, state, extra)
        if not (kernel and known):
            return _step(step, choose, updates, state, params, measured=known)
        updates, state, sums = _step_in_kernels(
            step, choose, kernel, updates, state, params
        )
        remember(params, updates, sums)
        return updates, state

    return GradientTransformation(init, update)


def _step(
    step: Step,
    choose: Choice,
    updates: Updates,
    state: QuantizedState,
    params: Params | None,
    *,
    measured: bool,
) -> tuple[Updates, QuantizedState]:
    """Decode, step, encode; if ``measured`` once for the scales, and then once more.

    A compiler would do the step once, write what comes of it in float32, and read that
    again for the codes.
    """

    def decoded_step(updates: Updates, state: QuantizedState) -> tuple[Any, ...]:
        kept: Kept = {}
        old = _decoded(state.inner_state, kept)
        return *step(updates, old, params), kept

    scales = None
    if measured:
        _, new, kept = decoded_step(updates, state)
        scales = _scales(choose, new, kept)
        updates, state, scales = jax.tree.map(
            jax.lax.optimization_barrier, (updates, state, scales)
        )
    updates, new, kept = decoded_step(updates, state)
    seed = numerics.safe_increment(state.roundings)
    return updates, QuantizedState(_encoded(choose, new, seed, kept, scales), seed)


def _step_in_kernels(
    step: Step, choose: Choice, kernel: bool | str, *given: Any
) -> tuple[Updates, QuantizedState, Params | None]:
    """Do the same, and move the parameters, in one kernel for every array."""
    from gradtx.kernels import Kernels  # noqa: PLC0415, as it takes a while
    from gradtx.quantization.pallas import in_kernels  # noqa: PLC0415

    def without(*given: Any) -> tuple[Any, ...]:
        updates, state = _step(step, choose, *given, measured=True)
        return updates, state, params_after(given[2], updates)

    def within(
        updates: Any, state: Any, params: Any, *, kernels: Kernels
    ) -> tuple[Any, ...]:
        u, new = _step(step, choose, updates, state, params, measured=True)
        given = updates, state.inner_state, params
        codecs, plain = partial(_codecs, choose), (u, new.inner_state)
        u, made, sums = in_kernels(step, codecs, given, plain, new.roundings, kernels)
        return u, new._replace(inner_state=made), sums

    if isinstance(kernel, str):
        return within(*given, kernels=Kernels(kernel, interpret=True))
    on = {x: partial(within, kernels=Kernels(x)) for x in DEVICES}
    return platform_dependent(*given, **on, default=without)


def _is_compiled(
    updates: Updates, state: QuantizedState, extra: Mapping[str, Any]
) -> bool:
    """Whether a step may be written more than once, for what is then left of it.

    Not where nothing is compiled, nor has blocks, nor where a function of the user's
    would be called twice.
    """
    leaves = jax.tree.leaves((updates, state), is_leaf=is_encoded)
    blocks = [x for x in leaves if is_encoded(x) and x.codec.format.measure]
    traced = any(isinstance(x, Tracer) for x in jax.tree.leaves(leaves))
    return traced and bool(blocks) and not any(map(callable, extra.values()))


# --- decoded and encoded -----------------------------------------------------


def _opaque(x: Any) -> Any:
    return jax.lax.optimization_barrier(x) if isinstance(x, Tracer) else x


def _decoded(state: OptState, kept: Kept) -> OptState:
    """Decode, and note what came of what."""

    def one(x: Any) -> Any:
        if not is_encoded(x):
            return x
        bare = jax.tree.map(_bare, x, is_leaf=is_variable)
        array = bare.decode()
        array = x.codes.replace(array) if is_variable(x.codes) else array
        kept[id(array)] = array, x
        return array

    return jax.tree.map(one, state, is_leaf=is_encoded)


def _encoded(
    choose: Choice, state: OptState, seed: Count, kept: Kept, scales: Any = None
) -> OptState:
    """Encode, but for the arrays that the transformation has left as they were."""
    new = []
    slots = _slots(choose, state)
    scales = scales or [None] * len(slots)
    for salt, ((leaf, codec), known) in enumerate(zip(slots, scales, strict=True)):
        if codec is None:
            new.append(leaf)
        elif id(leaf) in kept:
            new.append(kept[id(leaf)][1])
        else:
            array = _bare(leaf)
            made = codec.encode(array, seed, salt, known)
            new.append(jax.tree.map(partial(_held_like, leaf, array), made))
    return jax.tree.structure(state, is_leaf=_is_whole).unflatten(new)


def _scales(choose: Choice, state: OptState, kept: Kept) -> list[jax.Array | None]:
    """Return the scales with which the arrays of a state are going to be encoded."""
    return [
        None if codec is None or id(leaf) in kept else codec.scales_of(_bare(leaf))
        for leaf, codec in _slots(choose, state)
    ]


def _codecs(choose: Choice, state: OptState) -> list[Codec | None]:
    """Return with what each leaf of a state is encoded."""
    return [codec for _, codec in _slots(choose, state)]


def _slots(choose: Choice, state: OptState) -> list[tuple[Any, Codec | None]]:
    """Return the leaves, and with what each is encoded."""
    return [
        (part.leaf, choose(part._replace(leaf=_bare(part.leaf))))
        for part in parts(choose.init, state, _is_whole)
    ]


def _held_like(leaf: Any, array: jax.Array, made: jax.Array) -> Any:
    """Put codes or scales where their array lies, and into a variable if it is in one.

    A variable of Flax holds arrays and no trees, so that the tree goes around it.
    """
    made = put_like(array, made)
    return leaf.replace(made) if is_variable(leaf) else made


def _bare(x: Any) -> Any:
    return x.get_value() if is_variable(x) else x


def _is_whole(x: Any) -> bool:
    return is_encoded(x) or (is_variable(x) and x.get_value() is not None)
