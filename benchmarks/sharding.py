"""Compile steps for many devices that need not be there: bytes held, bytes sent.

    python benchmarks/sharding.py
    python benchmarks/sharding.py --rows zero1,muon --devices h200

Rows are a method, a layout of its parameters and a mesh. For eight H200 and for TPU v5e
(16 x 16 chips for the large ones) a donated step of gradient, update and apply is
compiled ahead of time. Held are the bytes of the parameters and of the state on one
device; sent is what one device sends, as rings of devices send it. Nothing is run.
"""

import argparse
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=256"

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec as P

import gradtx
from benchmarks import report
from benchmarks.audit import targets
from benchmarks.audit.sent import exchange, products
from benchmarks.options import parser, some_of
from benchmarks.sharding_rows import ROWS, Row
from gradtx.compare.plan import tree_bytes

MEGA = 1e6


class Place(NamedTuple):
    """Devices that steps are compiled for."""

    name: str
    load: Callable[[], list[Any]]
    shape: tuple[int, ...]
    names: tuple[str, ...]
    options: dict[str, Any]


PLACES = {
    "h200": Place("8 H200", lambda: targets.h200s(8), (8,), ("d",), targets.UNTIMED),
    "v5e": Place("v5e 2x4", lambda: targets.v5es("2x4"), (8,), ("d",), {}),
    "pod": Place("v5e 16x16", lambda: targets.v5es("16x16"), (16, 16), ("d", "e"), {}),
}


class Figures(NamedTuple):
    """What a compiled step holds and sends."""

    params: float
    """Bytes of the parameters in all."""
    held: float
    """Bytes of parameters and state on one device."""
    sent: dict[str, float]
    """Bytes one device sends, by kind of collective."""
    flops: float
    """Of the matrix products of one device; 0 where the compiler hides them."""
    host: float
    """The part of the state's bytes that are arguments in the host's memory."""
    temporary: float
    """Bytes of scratch memory on one device."""
    seconds: float
    """To compile."""


def figures(row: Row, place: Place) -> Figures:
    """Compile a step for devices, and return its figures."""
    devices = place.load()
    mesh = jax.make_mesh(
        place.shape, place.names, (row.kind,) * len(place.shape), devices=devices
    )
    params = {k: _leaf(s, mesh, row.cut) for k, s in row.tree().items()}
    tx = row.build(place.names)
    step = _step(tx, summed=row.summed)
    state = _state(tx, row, place, mesh)
    parts = {
        k: jax.ShapeDtypeStruct(
            (len(devices), *x.shape),
            x.dtype,
            sharding=NamedSharding(mesh, P(place.names)),
        )
        for k, x in params.items()
    }
    with jax.set_mesh(mesh):
        given = (parts if row.summed else params), params, state
        places = jax.tree.map(lambda x: x.sharding, (params, state))
        begun = time.perf_counter()
        lowered = jax.jit(step, donate_argnums=(1, 2), out_shardings=places).lower(
            *given
        )
        compiled = lowered.compile(place.options or None)
        seconds = time.perf_counter() - begun
    text = compiled.as_text() or ""
    found = exchange(text, len(devices))
    memory: Any = compiled.memory_analysis()
    on_host = getattr(memory, "host_argument_size_in_bytes", 0)
    return Figures(
        tree_bytes(params),
        _held(params) + _held(state),
        dict(found.sent),
        2 * products(text),
        on_host / _held(state),
        memory.temp_size_in_bytes,
        seconds,
    )


def _state(tx: Any, row: Row, place: Place, mesh: Any) -> Any:
    """Return what tells of a state, with the layout that processors give it."""
    kinds = (row.kind,) * len(place.shape)
    some = jax.devices()[: mesh.size]
    here = jax.make_mesh(place.shape, place.names, kinds, devices=some)
    params = {k: _leaf(s, here, row.cut) for k, s in row.tree().items()}
    state = gradtx.abstract_state(tx, params)
    return jax.tree.map(lambda x: x.update(sharding=_there(x.sharding, mesh)), state)


def _there(sharding: Any, mesh: Any) -> NamedSharding:
    return NamedSharding(mesh, sharding.spec, memory_kind=sharding.memory_kind)


def _leaf(shape: tuple[int, ...], mesh: Any, cut: bool) -> jax.ShapeDtypeStruct:
    spec = P("d") if cut else P()
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, spec))


def _step(tx: Any, *, summed: bool) -> Any:
    """Make a step whose gradients are, if summed, means over what the devices found."""

    def step(grads: Any, params: Any, state: Any) -> Any:
        if summed:
            grads = jax.tree.map(lambda x: jnp.mean(x, axis=0), grads)
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state

    return step


def _held(tree: Any) -> float:
    """Return the bytes of a tree's arrays on one device."""
    return sum(
        jnp.dtype(x.dtype).itemsize * math.prod(x.sharding.shard_shape(x.shape))
        for x in jax.tree.leaves(tree)
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    targets.only_compile()
    console = report.console()
    for name in options.devices:
        place = PLACES[name]
        rows = [_shown(label, figures(ROWS[label], place)) for label in options.rows]
        console.print(report.table(place.name, rows))


def _shown(label: str, found: Figures) -> report.Record:
    total = sum(found.sent.values())
    kinds = [f"{k} {x / MEGA:.0f}" for k, x in found.sent.items() if x > MEGA / 2]
    return {
        "step": label,
        "held MB": f"{found.held / MEGA:,.0f}",
        "sent MB": f"{total / MEGA:,.0f}",
        "of params": f"{total / found.params:.2f}",
        "GFLOP": f"{found.flops / 1e9:,.0f}" if found.flops else "-",
        "host": f"{found.host:.0%}",
        "temp MB": f"{found.temporary / MEGA:,.0f}",
        "s": f"{found.seconds:.0f}",
        "collectives, MB sent": ", ".join(kinds) or "-",
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    default = [name for name in ROWS if not name.startswith(("XL", "adamw, offload"))]
    add("--rows", type=_rows, default=default, metavar="A;B")
    add("--devices", type=some_of(PLACES), default=["h200"], metavar="A,B")
    return reader.parse_args(arguments)


def _rows(text: str) -> list[str]:
    """Read rows by the words that their names begin with or hold, parted by ``;``."""
    wanted = [part.strip() for part in text.split(";")]
    found = [name for name in ROWS if any(part in name for part in wanted)]
    if not found:
        raise argparse.ArgumentTypeError(f"no row has {text!r}: {', '.join(ROWS)}")
    return found


if __name__ == "__main__":
    main()
