"""A donated step of gradtx or optax, what it cost to make, and PyTorch's."""

import inspect
import math
import time
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from benchmarks.methods import RATE, Method
from benchmarks.trees import nbytes

ROUNDS, ENOUGH = 3, 5.0  # how often the stages are timed, unless they take seconds
DEVICES = {"cpu": "cpu", "gpu": "cuda"}  # JAX's platform, and torch's device for it


class Program:
    """One library's step on one tree; called with a number, it makes so many steps."""

    kernel = "jit"

    def __init__(self, lib: ModuleType, tx: Any, params: Any, grads: Any) -> None:
        self.lib, self.tx, self.grads = lib, tx, grads
        # Nothing may be donated twice, nor taken from the other programs.
        self.params, self.state = jax.tree.map(jnp.copy, (params, tx.init(params)))
        self.compiled: Any = None

    def stages(self) -> dict[str, float]:
        """Trace, lower and compile from nothing, by the clock.

        Returns:
          The seconds; the equations of the jaxpr with all calls written out, as XLA
          gets it; the bytes that it moves by XLA's own count; the state, which is all
          that is carried besides the parameters; the scratch memory, and the memory
          that the donated arguments share with the results.
        """
        # gradtx has a compiler of steps of its own, which its users are told to use.
        jit = getattr(self.lib, "jit_step", jax.jit)
        trees = self.grads, self.params, self.state
        traced, self.compiled, seconds = timing.stages(
            self.lib, self.tx, *trees, jit=jit
        )
        memory = self.compiled.memory_analysis()
        moved = (self.compiled.cost_analysis() or {}).get("bytes accessed", math.nan)
        grads = nbytes(self.grads)  # 4 bytes for a parameter
        return {
            **{name: seconds[name] for name in ("trace s", "lower s", "compile s")},
            "equations": count_equations(traced.jaxpr),
            "XLA B/param": 4 * moved / grads,
            "state B/param": 4 * (nbytes((self.params, self.state)) / grads - 1),
            "temp bytes": getattr(memory, "temp_size_in_bytes", 0),
            "alias bytes": getattr(memory, "alias_size_in_bytes", 0),
        }

    def __call__(self, steps: int) -> None:
        """Make so many steps with the same gradients."""
        for _ in range(steps):
            self.params, self.state = self.compiled(self.grads, self.params, self.state)
        jax.block_until_ready((self.params, self.state))


class Eager(Program):
    """One call of ``update`` after the other, as in a shell; the parameters stay.

    Nothing is compiled but what the library compiles by itself.
    """

    kernel = "eager"

    def __call__(self, steps: int) -> None:
        """Make so many updates with the same gradients."""
        updates = None
        for _ in range(steps):
            updates, self.state = self.tx.update(self.grads, self.state, self.params)
        jax.block_until_ready((updates, self.state))


def program_of(
    method: Method, lib: ModuleType, params: Any, grads: Any, make: Any = Program
) -> Program:
    """Return a library's step of a method."""
    if method.period > 1 and lib.__name__ == "optax":  # Lookahead's pairs of weights
        params = lib.LookaheadParams.init_synced(params)
    return make(lib, method.build(lib), params, grads)


def all_stages(programs: dict[str, Program]) -> dict[str, dict[str, float]]:
    """Time the stages of the programs in turn; of each stage the shortest time counts.

    Seconds spent once are not spent again.
    """
    rounds: list[dict[str, dict[str, float]]] = []
    begun = time.perf_counter()
    while len(rounds) < ROUNDS and time.perf_counter() - begun <= ENOUGH:
        rounds.append({name: program.stages() for name, program in programs.items()})
    return {
        name: {key: min(each[name][key] for each in rounds) for key in figures}
        for name, figures in rounds[0].items()
    }


def count_equations(jaxpr: Any) -> int:
    """Count the equations of a jaxpr, with those of the functions that it calls."""
    held = jax.tree.leaves([list(equation.params.values()) for equation in jaxpr.eqns])
    inside = sum(count_equations(x) for x in held if hasattr(x, "eqns"))
    return len(jaxpr.eqns) + inside


class Copy:
    """Reads an array and writes it back with the signs turned: 8 bytes per float32.

    In place, as an optimizer works: the yardstick of its bytes per second.
    """

    bytes_per_number, kernel = 8, "jit"

    def __init__(self, count: int) -> None:
        self._turn = jax.jit(jnp.negative, donate_argnums=0)
        self._array = jnp.ones(count, jnp.float32)

    def __call__(self, steps: int) -> None:
        """Turn the signs so many times."""
        for _ in range(steps):
            self._array = self._turn(self._array)
        self._array.block_until_ready()


# --- PyTorch -------------------------------------------------------------------


def load_torch() -> tuple[ModuleType | None, str]:
    """Return torch, or None and the reason why it is left out."""
    platform = jax.default_backend()
    try:
        import torch  # noqa: PLC0415  (it may be missing)
    except ImportError:
        return None, "PyTorch is left out: it is not installed"
    if platform not in DEVICES or (platform == "gpu" and not torch.cuda.is_available()):
        return None, f"PyTorch is left out: this one cannot use the {platform}"
    return torch, ""


class TorchProgram:
    """One optimizer of PyTorch, fused where it has that, else foreach."""

    def __init__(
        self, torch: ModuleType, method: Method, params: Any, grads: Any
    ) -> None:
        device = DEVICES[jax.default_backend()]
        kind = getattr(torch.optim, method.torch)
        fused = "fused" in inspect.signature(kind).parameters
        self.kernel = "fused" if fused else "foreach"
        self._wait = torch.cuda.synchronize if device == "cuda" else lambda: None

        def placed(x: Any) -> Any:
            return torch.from_numpy(np.array(x)).to(device)

        weights = [placed(params[name]).requires_grad_() for name in params]
        for weight, name in zip(weights, params, strict=True):
            weight.grad = placed(grads[name])
        settings = {**method.settings, self.kernel: True}
        self._optimizer = kind(weights, lr=RATE, **settings)

    def __call__(self, steps: int) -> None:
        """Make so many steps with the same gradients."""
        for _ in range(steps):
            self._optimizer.step()
        self._wait()
