"""What one process of tests/sharding/test_processes.py runs.

    python processes.py PORT PROCESSES NUMBER DEVICES FOLDER STEPS

With one process there is no other to speak to, and PORT is not used. Each process holds
DEVICES devices of the mesh. It goes on from the last checkpoint in FOLDER, if there is
one, writes one after every step, and ends by writing the final arrays as one file.
"""

import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

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


def start(port: str, count: int, number: int, devices: int, folder: Path) -> None:
    """Join the other processes, by collectives of the CPU.

    Programs run a few times on a few numbers: compiling them takes longer. All runs of
    a test share them.
    """
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_disable_most_optimizations", True)  # noqa: FBT003
    jax.config.update("jax_compilation_cache_dir", str(folder.parent / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
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


def laid(spec: P) -> NamedSharding:
    """Return a layout on the mesh of the devices of all processes."""
    mesh = jax.make_mesh((jax.device_count(),), ("d",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, spec)


def on_mesh(tree: Tree, spec: P) -> Tree:
    """Return arrays of which every process holds its devices' parts."""
    to = laid(spec)
    return jax.tree.map(
        lambda x: jax.make_array_from_callback(x.shape, to, lambda i: x[i]), tree
    )


def train(folder: Path, steps: int) -> None:
    """Train with all methods at once, a checkpoint after each step."""
    # Parameters that every device holds whole, for ZeRO-1; in parts for the others.
    params = {
        name: on_mesh(values(0), P() if name == "zero1" else P("d")) for name in METHODS
    }
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
            grads = {
                k: jax.tree.map(
                    lambda x, p: on_mesh(x, p.sharding.spec), values(t), params[k]
                )
                for k in METHODS
            }
            params, state = run(grads, params, state)
            saved = {"params": params, "state": state}
            manager.save(t, args=ocp.args.StandardSave(saved))
            manager.wait_until_finished()
            say(f"step {t}")
            time.sleep(0.1)
    finish(folder, params, state)


def step(grads: Tree, params: Tree, state: Tree) -> tuple[Tree, Tree]:
    """Take one step of every method."""
    new_params, new_state = {}, {}
    for name, tx in METHODS.items():
        updates, new_state[name] = tx.update(grads[name], state[name], params[name])
        new_params[name] = gradtx.apply_updates(params[name], updates)
    return new_params, new_state


def finish(folder: Path, params: Tree, state: Tree) -> None:
    """Write the arrays, whole, from the first process."""
    whole = jax.jit(
        lambda tree: jax.tree.map(jnp.asarray, tree),
        out_shardings=laid(P()),
    )((params, state))
    if jax.process_index() == 0:
        arrays = [np.asarray(x.addressable_data(0)) for x in jax.tree.leaves(whole)]
        np.savez(folder / "final.npz", *arrays)


def say(line: str) -> None:
    """Tell the test how far this process is."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    port, count, number, devices, folder, steps = sys.argv[1:]
    start(port, int(count), int(number), int(devices), Path(folder))
    train(Path(folder), int(steps))
