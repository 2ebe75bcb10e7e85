"""A donated step of gradtx or optax, what it cost to make, and PyTorch's."""

import inspect
import math
import time
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

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

        def step(grads: Any, params: Any, state: Any) -> tuple[Any, Any]:
            updates, state = self.tx.update(grads, state, params)
            return self.lib.apply_updates(params, updates), state

        # gradtx has a compiler of steps of its own, which its users are told to use.
        jit = getattr(self.lib, "jit_step", jax.jit)
        arguments = (self.grads, self.params, self.state)
        found = timing.stages(jit(step, donate_argnums=(1, 2)), arguments)
        self.compiled = found.compiled
        memory = self.compiled.memory_analysis()
        moved = (self.compiled.cost_analysis() or {}).get("bytes accessed", math.nan)
        grads = nbytes(self.grads)  # 4 bytes for a parameter
        return {
            "trace s": found.trace,
            "lower s": found.lower,
            "compile s": found.compile,
            "equations": count_equations(found.traced.jaxpr.jaxpr),
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
    """The same without ``jit``: one call of ``update`` after the other, as in a shell.

    The parameters stay; nothing is compiled but what the library compiles by itself.
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
    if method.paired and lib.__name__ == "optax":
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


def count_equations(jaxpr: Jaxpr) -> int:
    """Count the equations of a jaxpr and of those inside it."""

    def inside(equation: Any) -> int:
        # Parameters, and tuples of them, hold the jaxprs of functions that are called.
        values = jax.tree.leaves(
            list(equation.params.values()),
            is_leaf=lambda x: isinstance(x, Jaxpr | ClosedJaxpr),
        )
        called = [x for x in values if isinstance(x, Jaxpr | ClosedJaxpr)]
        return sum(count_equations(getattr(x, "jaxpr", x)) for x in called)

    return sum(1 + inside(equation) for equation in jaxpr.eqns)


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
        self, torch: ModuleType, name: str, settings: Any, params: Any, grads: Any
    ) -> None:
        self._torch, self._device = torch, DEVICES[jax.default_backend()]
        kind = getattr(torch.optim, name)
        fused = "fused" in inspect.signature(kind).parameters
        self.kernel = "fused" if fused else "foreach"
        weights = [self._weight(params[key], grads[key]) for key in params]
        self._optimizer = kind(weights, lr=RATE, **settings, **{self.kernel: True})

    def _weight(self, value: Any, gradient: Any) -> Any:
        p, g = (
            self._torch.from_numpy(np.array(x)).to(self._device)
            for x in (value, gradient)
        )
        p.requires_grad_().grad = g
        return p

    def __call__(self, steps: int) -> None:
        """Make so many steps with the same gradients."""
        for _ in range(steps):
            self._optimizer.step()
        if self._device == "cuda":
            self._torch.cuda.synchronize()
