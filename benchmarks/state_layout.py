"""Tell where state made under `jit` is placed, by the compilers for GPUs and TPUs.

    python benchmarks/state_layout.py
    python benchmarks/state_layout.py --target tpu --methods adamw,muon

On a mesh of automatic axes the compiler chooses how state is sharded. Here `init` is
compiled for eight devices that are not there, with weights sharded over them, and the
sharding of every array of state that is not small is told: by rows for the weights
"rows", by columns for "columns". Ends with status 1 if one is whole on every device.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P
from rich.console import Console
from rich.table import Table

import gradtx
from benchmarks.audit.targets import H200
from benchmarks.options import parser, some_of

DEVICES = 8
METHODS: dict[str, Callable[[], Any]] = {
    "adamw": lambda: gradtx.adamw(1e-3),
    "muon": lambda: gradtx.muon(1e-3),
    "adafactor": lambda: gradtx.adafactor(1e-3, momentum=0.9),
    "galore": lambda: gradtx.contrib.galore(1e-3, rank=8),
    "adamw8bit": lambda: gradtx.adamw8bit(1e-3),
    "adamw4bit": lambda: gradtx.quantize_state(
        gradtx.adamw(1e-3), gradtx.codecs.int4()
    ),
}
TARGETS: dict[str, Callable[[], Any]] = {
    "cuda": lambda: topologies.get_topology_desc(
        platform="cuda", topology=f"1x1x{DEVICES}", target_config=H200
    ),
    "tpu": lambda: topologies.get_topology_desc("v5e:2x4", "tpu"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile every `init` for every target, and say where its arrays are."""
    options = parse(arguments)
    console, whole = Console(), 0
    for target in options.target:
        table = Table("method", "array", "shape", "sharding", title=target)
        for name in options.methods:
            for row in placed(METHODS[name](), weights(TARGETS[target]().devices)):
                table.add_row(name, *row)
                whole += row[-1] == WHOLE
        console.print(table)
    return int(whole > 0)


WHOLE = "whole on every device"


def placed(tx: Any, params: Any) -> list[tuple[str, str, str]]:
    """Return path, shape and sharding of all arrays of state that are not small."""
    made = jax.eval_shape(tx.init, params)
    places = jax.jit(tx.init).lower(params).compile().output_shardings
    rows = []
    for (path, x), place in zip(
        jax.tree_util.tree_leaves_with_path(made), jax.tree.leaves(places), strict=True
    ):
        if x.size >= SMALLEST:
            whole = place.shard_shape(x.shape) == x.shape
            shown = WHOLE if whole else str(tuple(place.spec))
            rows.append((jax.tree_util.keystr(path), str(x.shape), shown))
    return rows


SMALLEST = 2**14  # what factors the rows and columns of the weights have less than


def weights(devices: Sequence[Any]) -> Any:
    """Return the shapes of weights: sharded by rows, by columns, and by entries."""
    mesh = Mesh(np.array(devices), ("d",), axis_types=(AxisType.Auto,))
    shapes = {"rows": P("d", None), "columns": P(None, "d")}
    made = {
        name: jax.ShapeDtypeStruct(
            (512, 1024), jnp.float32, sharding=NamedSharding(mesh, spec)
        )
        for name, spec in shapes.items()
    }
    vector = NamedSharding(mesh, P("d"))
    return made | {"b": jax.ShapeDtypeStruct((2**15,), jnp.float32, sharding=vector)}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--target", type=some_of(TARGETS), default=list(TARGETS), metavar="A,B")
    add("--methods", type=some_of(METHODS), default=list(METHODS), metavar="A,B")
    return reader.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
