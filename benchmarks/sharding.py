"""Compile steps for many devices that need not be there: bytes held, bytes sent.

    python benchmarks/sharding.py
    python benchmarks/sharding.py --rows zero1,muon --devices h200

Rows are a method, a layout of its parameters and a mesh. For eight H200 and for TPU v5e
(16 x 16 chips for the large ones) a donated step of gradient, update and apply is
compiled ahead of time. Held are the bytes of the parameters and of the state on one
device; sent is what one device sends, as rings of devices send it. Nothing is run.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

# Absent devices are compiled for, and one that is there is left alone.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=256"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec as P
from rich import box
from rich.console import Console
from rich.table import Table

import gradtx
from benchmarks.audit import targets
from benchmarks.audit.sent import exchange, products
from benchmarks.options import parser, some_of
from benchmarks.sharding_rows import ROWS, Row

WIDE, MEGA = 120, 1e6


class Place(NamedTuple):
    """Devices that steps are compiled for."""

    name: str
    load: Callable[[], list[Any]]
    shape: tuple[int, ...]
    names: tuple[str, ...]
    options: dict[str, Any]


def _h200() -> list[Any]:
    targets.load("cuda")
    return topologies.get_topology_desc(
        platform="cuda", topology="1x1x8", target_config=targets.H200
    ).devices


def _v5e(size: str) -> Callable[[], list[Any]]:
    def load() -> list[Any]:
        targets.load("tpu")
        return topologies.get_topology_desc(f"v5e:{size}", "tpu").devices

    return load


PLACES = {
    "h200": Place("8 H200", _h200, (8,), ("d",), {"xla_gpu_autotune_level": 0}),
    "v5e": Place("v5e 2x4", _v5e("2x4"), (8,), ("d",), {}),
    "pod": Place("v5e 16x16", _v5e("16x16"), (16, 16), ("d", "e"), {}),
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
    step = _summed(tx) if row.summed else _plain(tx)
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
    whole = sum(x.size * x.dtype.itemsize for x in params.values())
    return Figures(
        whole,
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


def _plain(tx: Any) -> Any:
    def step(grads: Any, params: Any, state: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state

    return step


def _summed(tx: Any) -> Any:
    """Make a step whose gradients are means over what the devices have found."""

    def step(parts: Any, params: Any, state: Any) -> Any:
        grads = jax.tree.map(lambda x: jnp.mean(x, axis=0), parts)
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state

    return step


def _held(tree: Any) -> float:
    """Return the bytes of a tree's arrays on one device."""
    shards = [
        jnp.dtype(x.dtype).itemsize * _entries(x.sharding.shard_shape(x.shape))
        for x in jax.tree.leaves(tree)
    ]
    return sum(shards)


def _entries(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parse(arguments)
    jax.config.update("jax_enable_compilation_cache", False)  # noqa: FBT003
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    for name in options.devices:
        table = _table(PLACES[name].name)
        for label in options.rows:
            _put(table, label, figures(ROWS[label], PLACES[name]))
        console.print(table)


def _table(title: str) -> Table:
    table = Table(title=title, box=box.MARKDOWN, title_justify="left")
    table.add_column("step", no_wrap=True)
    for heading in ("held MB", "sent MB", "of params", "GFLOP", "host", "temp MB", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("collectives, MB sent")
    return table


def _put(table: Table, label: str, found: Figures) -> None:
    total = sum(found.sent.values())
    kinds = [f"{k} {x / MEGA:.0f}" for k, x in found.sent.items() if x > MEGA / 2]
    table.add_row(
        label,
        f"{found.held / MEGA:,.0f}",
        f"{total / MEGA:,.0f}",
        f"{total / found.params:.2f}",
        f"{found.flops / 1e9:,.0f}" if found.flops else "-",
        f"{found.host:.0%}",
        f"{found.temporary / MEGA:,.0f}",
        f"{found.seconds:.0f}",
        ", ".join(kinds) or "-",
    )


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
