"""Which ways of keeping an optimizer's state fit a number of bytes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import OptState, Params, PyTree
from gradtx.core.transformation import GradientTransformation
from gradtx.inspection import tables
from gradtx.inspection.places import in_host_memory, on_devices, spread_over
from gradtx.inspection.storage import arrays_of, nbytes
from gradtx.optimizers.adafactor import adafactor
from gradtx.optimizers.adam import adamw
from gradtx.optimizers.lion import lion
from gradtx.optimizers.low_bit import adamw4bit, adamw8bit, lion8bit
from gradtx.optimizers.sign_sgd import sign_sgd
from gradtx.wrappers.weights import with_stochastic_rounding

Place = Callable[[OptState], OptState]


@dataclass(frozen=True)
class Option:
    """One way of keeping the state.

    Attributes:
      name: what it is.
      make: from the learning rate, or a schedule, to the transformation.
      place: puts a state, as ``init`` made it, where this way keeps it: on the device,
        in the host's memory, or spread over devices.
      fetch: brings it to where a step can read it, before every step; what the step
        returns goes through ``place`` again.
      params_dtype: the type that the parameters are kept in; None for their own.
      params_bytes: the bytes of the parameters on one device.
      gradient_bytes: the bytes of their gradients.
      state_bytes: the bytes of the state that one device keeps between steps.
      moved_bytes: what a step reads and writes in the device's memory at least, with
        every array once; :func:`gradtx.report` knows what is read again.
      over_a_link: the least that a step sends to or from the host or other devices,
        for the sake of the state.
      fits: whether parameters, gradients and state fit the budget.
      cost: what one pays, in words.

    Example:
      >>> found = gradtx.plan(jnp.ones(8), budget=1e3)["8-bit state"]
      >>> print(found.fits, found.make(0.1))
      True adamw8bit(learning_rate=0.1)
    """

    name: str
    make: Callable[[Any], GradientTransformation]
    place: Place
    fetch: Place
    params_dtype: Any
    params_bytes: int
    gradient_bytes: int
    state_bytes: int
    moved_bytes: int
    over_a_link: int
    fits: bool
    cost: str

    @property
    def total_bytes(self) -> int:
        """What one device keeps at the end of a backward pass, without activations."""
        return self.params_bytes + self.gradient_bytes + self.state_bytes


@dataclass(frozen=True)
class Plan(tables.Shown):
    """What :func:`plan` returns.

    Attributes:
      budget: the bytes that there are.
      options: the ways, from the one that keeps most to the one that keeps least.

    Example:
      >>> found = gradtx.plan(jnp.ones(8), budget=1e3)
      >>> found.options[0].name, found["factored"].fits
      ('8-bit state', True)
    """

    budget: int
    options: tuple[Option, ...]

    def __getitem__(self, name: str) -> Option:
        for option in self.options:
            if option.name == name:
                return option
        names = ", ".join(repr(x.name) for x in self.options)
        raise checks.InvalidArgument(
            f"plan: there is no option {name!r}; there are {names}"
        )

    def page(self) -> Iterator[Any]:
        """Return the table."""
        head = ("option", "fits", ">total", ">state", ">moved", ">over a link", "cost")
        rows = tuple(
            (
                x.name,
                "yes" if x.fits else "no",
                *map(tables.size, (x.total_bytes, x.state_bytes, x.moved_bytes)),
                tables.size(x.over_a_link),
                x.cost,
            )
            for x in self.options
        )
        title = f"Parameters, gradients and state in {tables.size(self.budget)}"
        yield tables.Table(head, rows, title)


def plan(params: Params, budget: float, *, devices: int = 1) -> Plan:
    """Tell which ways of keeping AdamW's state, or less, fit a number of bytes.

    What counts is what one device holds at the end of a backward pass: parameters,
    gradients in the parameters' types, and state. Activations and what a compiler needs
    besides are not known here; :func:`gradtx.report` asks the compiler for the latter.

    Args:
      params: the parameters, or their shapes, which suffice.
      budget: the bytes of one device that there are for this, above 0.
      devices: the number of devices over which the state may be spread, every device
        holding all parameters (known as ZeRO-1); at least 1.

    Returns:
      A :class:`Plan`, whose options are ready to call::

          option = gradtx.plan(params, 16e9)["8-bit state"]
          tx = option.make(learning_rate)
          state = option.place(tx.init(params))
          updates, state = step(grads, option.fetch(state), params)
          state = option.place(state)

      and with ``print`` a table.

    Raises:
      ValueError: if the budget is not above 0, or there is no device.

    Example:
      >>> params = {"kernel": jax.ShapeDtypeStruct((1000, 1000), jnp.float32)}
      >>> print(len(gradtx.plan(params, budget=1e9).options) > 1)
      True
    """
    checks.positive(budget=budget)
    checks.positive_int(devices=devices)
    shapes = arrays_of(params)
    found = [_option(way, shapes, budget, devices) for way in _ways(devices)]
    found.sort(key=lambda option: -option.total_bytes)
    return Plan(int(budget), tuple(found))


@dataclass(frozen=True)
class _Way:
    name: str
    make: Callable[[Any], GradientTransformation]
    cost: str
    kept: str = "device"
    params_dtype: Any = None


def _ways(devices: int) -> Iterator[_Way]:
    half = partial(adamw, mu_dtype=jnp.bfloat16)
    yield _Way("float32 state", partial(adamw, mu_dtype=jnp.float32), "none: AdamW")
    yield _Way("bfloat16 mean", half, "the mean is rounded to 8 bits of mantissa")
    yield _Way("8-bit state", adamw8bit, "the means are rounded to 8 bits")
    yield _Way("4-bit state", adamw4bit, "the means are rounded to 4 bits")
    yield _Way(
        "bfloat16 parameters",
        _rounded,
        "parameters of 8 bits of mantissa, rounded at random",
        params_dtype=jnp.bfloat16,
    )
    yield _Way("factored", adafactor, "squares by row and column, no mean: Adafactor")
    yield _Way("sign, float32 mean", lion, "another method, Lion: tune the rate anew")
    yield _Way("sign, 8-bit mean", lion8bit, "Lion, its mean rounded to 8 bits")
    yield _Way("sign, no state", sign_sgd, "no mean at all: noisy signs")
    yield _Way(
        "offloaded",
        partial(adamw, mu_dtype=jnp.float32),
        "every step sends the state from the host and back",
        kept="host",
    )
    if devices > 1:
        yield _Way(
            f"spread over {devices}",
            partial(adamw, mu_dtype=jnp.float32),
            "every step gathers the updates",
            kept="spread",
        )


def _rounded(learning_rate: Any) -> GradientTransformation:
    return with_stochastic_rounding(adamw(learning_rate, mu_dtype=jnp.bfloat16))


def _option(way: _Way, params: Params, budget: float, devices: int) -> Option:
    shapes = jax.tree.map(partial(_typed, way.params_dtype), params)
    own = nbytes(shapes)
    grads = nbytes([x for x in jax.tree.leaves(shapes) if is_differentiable(x)])
    state = nbytes(jax.eval_shape(way.make(1e-3).init, shapes))
    part = -(-state // devices) if way.kept == "spread" else state
    kept = 0 if way.kept == "host" else part
    sent = {"device": 0, "host": 2 * state, "spread": grads}[way.kept]
    places: dict[str, Place] = {
        "device": _as_it_is,
        "host": in_host_memory,
        "spread": partial(spread_over, devices),
    }
    return Option(
        name=way.name,
        make=way.make,
        place=places[way.kept],
        fetch=on_devices if way.kept == "host" else _as_it_is,
        params_dtype=way.params_dtype,
        params_bytes=own,
        gradient_bytes=grads,
        state_bytes=kept,
        moved_bytes=own + own + grads + 2 * part,
        over_a_link=sent,
        fits=own + grads + kept <= budget,
        cost=way.cost,
    )


def _typed(dtype: Any, x: Any) -> Any:
    """Return the shape of a parameter in the type that it is kept in."""
    if not (hasattr(x, "shape") and hasattr(x, "dtype")):
        return x
    changes = dtype is not None and jnp.issubdtype(x.dtype, jnp.floating)
    return jax.ShapeDtypeStruct(x.shape, dtype if changes else x.dtype)


def _as_it_is(state: PyTree) -> PyTree:
    return state
