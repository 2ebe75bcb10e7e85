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
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import gradtx
from benchmarks import report
from benchmarks.audit import targets
from benchmarks.options import parser, some_of

WHOLE = "whole on every device"
SMALLEST = 2**14  # what factors the rows and columns of the weights have less than
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
TARGETS: dict[str, Callable[[], list[Any]]] = {
    "cuda": lambda: targets.h200s(8),
    "tpu": lambda: targets.v5es("2x4"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile every `init` for every target, and say where its arrays are."""
    options = parse(arguments)
    targets.only_compile()
    console, whole = report.console(), 0
    for target in options.target:
        params = weights(TARGETS[target]())
        rows = [
            {"method": name, **row}
            for name in options.methods
            for row in placed(METHODS[name](), params)
        ]
        console.print(report.table(target, rows, names=4))
        whole += sum(row["sharding"] == WHOLE for row in rows)
    return int(whole > 0)


def placed(tx: Any, params: Any) -> Iterator[report.Record]:
    """Yield path, shape and sharding of all arrays of state that are not small."""
    made = jax.tree_util.tree_leaves_with_path(jax.eval_shape(tx.init, params))
    places = jax.jit(tx.init).lower(params).compile().output_shardings
    for (path, x), place in zip(made, jax.tree.leaves(places), strict=True):
        if x.size >= SMALLEST:
            whole = place.shard_shape(x.shape) == x.shape
            yield {
                "array": jax.tree_util.keystr(path),
                "shape": str(x.shape),
                "sharding": WHOLE if whole else str(tuple(place.spec)),
            }


def weights(devices: Sequence[Any]) -> Any:
    """Return the shapes of weights: sharded by rows, by columns, and by entries."""
    mesh = Mesh(np.array(devices), ("d",), axis_types=(AxisType.Auto,))

    def weight(shape: tuple[int, ...], *spec: str | None) -> jax.ShapeDtypeStruct:
        sharding = NamedSharding(mesh, PartitionSpec(*spec))
        return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)

    matrix = (512, 1024)
    return {
        "rows": weight(matrix, "d", None),
        "columns": weight(matrix, None, "d"),
        "b": weight((2**15,), "d"),
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; end with status 2 and a sentence where one is wrong."""
    reader = parser(__doc__)
    add = reader.add_argument
    add("--target", type=some_of(TARGETS), default=list(TARGETS), metavar="A,B")
    add("--methods", type=some_of(METHODS), default=list(METHODS), metavar="A,B")
    return reader.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
