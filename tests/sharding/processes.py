"""What one process of tests/sharding/test_processes.py runs.

    python processes.py PORT PROCESSES NUMBER DEVICES COLUMNS FOLDER STEPS

With one process there is no other to speak to, and PORT is not used. Each process holds
DEVICES devices of the mesh, which has two axes, the second over COLUMNS of them. It
goes on from the last checkpoint in FOLDER, if there is one, writes one after every
step, and ends by writing the final arrays as one file.
"""

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import compiling
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

import gradtx
from gradtx.sharding import abstract_state, zero1

RATE = 0.1
METHODS = {
    "adamw": gradtx.adamw(RATE),
    "clipped": gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.lion(RATE)),
    "muon": gradtx.contrib.muon(RATE),
    "factored": gradtx.adafactor(RATE),
    "8 bits": gradtx.adamw8bit(RATE),
    "schedule free": gradtx.schedule_free_adamw(RATE),
    "zero1": zero1(gradtx.adamw(RATE), "d"),
}
Tree = Any
# A matrix is in parts along both axes of the mesh, and a vector over both.
IN_PARTS = {"w": P("d", "e"), "b": P(("d", "e"))}
WHOLE = {"w": P(), "b": P()}


def start(port: str, count: int, number: int, devices: int, folder: Path) -> None:
    """Join the other processes, by collectives of the CPU.

    All runs of a test share their programs.
    """
    jax.config.update("jax_platforms", "cpu")
    compiling.compile_quickly()
    compiling.keep_programs(folder.parent / "programs")
    jax.config.update("jax_num_cpu_devices", devices)
    if count > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{port}", count, number)


def values(t: int) -> Tree:
    """Return the gradients of one step, the same in all processes."""
    rng = np.random.default_rng(t)
    return {
        "w": rng.normal(size=(8, 64)).astype(np.float32),
        "b": rng.normal(size=16).astype(np.float32),
    }


def mesh_of(columns: int) -> Mesh:
    """Return a mesh of the devices of all processes."""
    shape = (jax.device_count() // columns, columns)
    return jax.make_mesh(shape, ("d", "e"), axis_types=(AxisType.Auto,) * 2)


def on_mesh(mesh: Mesh, tree: Tree, specs: Tree) -> Tree:
    """Return arrays of which every process holds its devices' parts."""

    def one(x: Any, spec: P) -> Any:
        to = NamedSharding(mesh, spec)
        return jax.make_array_from_callback(x.shape, to, lambda i: x[i])

    return jax.tree.map(one, tree, specs)


def train(folder: Path, steps: int, mesh: Mesh) -> None:
    """Train with all methods at once, a checkpoint after each step."""
    # Parameters that every device holds whole, for ZeRO-1; in parts for the others.
    specs = {name: WHOLE if name == "zero1" else IN_PARTS for name in METHODS}
    params = {name: on_mesh(mesh, values(0), specs[name]) for name in METHODS}
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), params
    )
    wanted = {
        "params": abstract,
        "state": {k: abstract_state(tx, abstract[k]) for k, tx in METHODS.items()},
    }
    with ocp.CheckpointManager(folder / "checkpoints") as manager:
        last = manager.latest_step()
        if last is None:
            state = {k: jax.jit(tx.init)(params[k]) for k, tx in METHODS.items()}
            last = 0
        else:
            restored = manager.restore(last, args=ocp.args.StandardRestore(wanted))
            params, state = restored["params"], restored["state"]
        say(f"from {last}")
        # Every array comes back as it is known to lie, and a step leaves it there.
        layout = jax.tree.map(lambda x: x.sharding, (wanted["params"], wanted["state"]))
        run = jax.jit(step, out_shardings=layout)
        for t in range(last + 1, steps + 1):
            grads = {k: on_mesh(mesh, values(t), specs[k]) for k in METHODS}
            params, state = run(grads, params, state)
            saved = {"params": params, "state": state}
            manager.save(t, args=ocp.args.StandardSave(saved))
            manager.wait_until_finished()
            say(f"step {t}")
            time.sleep(0.1)
    finish(folder, NamedSharding(mesh, P()), (params, state))


def step(grads: Tree, params: Tree, state: Tree) -> tuple[Tree, Tree]:
    """Take one step of every method."""
    new_params, new_state = {}, {}
    for name, tx in METHODS.items():
        updates, new_state[name] = tx.update(grads[name], state[name], params[name])
        new_params[name] = gradtx.apply_updates(params[name], updates)
    return new_params, new_state


def finish(folder: Path, whole: NamedSharding, tree: Tree) -> None:
    """Write the arrays, whole, from the first process."""
    copied = jax.jit(partial(jax.tree.map, jnp.asarray), out_shardings=whole)(tree)
    if jax.process_index() == 0:
        arrays = [np.asarray(x.addressable_data(0)) for x in jax.tree.leaves(copied)]
        np.savez(folder / "final.npz", *arrays)


def say(line: str) -> None:
    """Tell the test how far this process is."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    port, count, number, devices, columns, folder, steps = sys.argv[1:]
    start(port, int(count), int(number), int(devices), Path(folder))
    train(Path(folder), int(steps), mesh_of(int(columns)))
