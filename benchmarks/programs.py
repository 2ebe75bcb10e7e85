"""The ten methods as donated steps of each library, and what they cost to make."""

import importlib.util
import inspect
import math
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from benchmarks.timing import STAGES, compile_step
from gradtx.compare.plan import tree_bytes

RATE = 1e-4
PERIOD = 5
ROUNDS, ENOUGH = 3, 5.0  # how often the stages are timed, unless they take seconds
DEVICES = {"cpu": "cpu", "gpu": "cuda"}  # JAX's platform, and torch's device for it


class Method(NamedTuple):
    """One row of a benchmark."""

    name: str  # of gradtx and optax
    bound: float  # bytes per float32 parameter and step, each array moved only once
    settings: dict[str, Any] = {}  # noqa: RUF012  (nothing changes them)
    torch: str = ""  # the class of ``torch.optim``, where PyTorch has the method
    period: int = 1  # after so many steps it has done all that it does

    def build(self, lib: Any) -> Any:
        """Make the optimizer out of gradtx or of optax."""
        if self.name == "lookahead":
            return lib.lookahead(lib.adam(RATE), PERIOD, 0.5)
        return getattr(lib, self.name)(RATE, **self.settings)


METHODS = {
    "sgd": Method("sgd", 12, torch="SGD"),
    "momentum": Method("sgd", 20, {"momentum": 0.9}, "SGD"),
    "nesterov": Method("sgd", 20, {"momentum": 0.9, "nesterov": True}, "SGD"),
    "adam": Method("adam", 28, torch="Adam"),
    "adamw": Method("adamw", 28, {"weight_decay": 0.01}, "AdamW"),
    "adabelief": Method("adabelief", 28),
    "lookahead": Method("lookahead", 28 + 8 / PERIOD, period=PERIOD),
    "rmsprop": Method("rmsprop", 20, torch="RMSprop"),
    "adagrad": Method("adagrad", 20, torch="Adagrad"),
    "lion": Method("lion", 20),
}


class Loop:
    """Makes as many steps as it is called with, each from where the last one ended."""

    def __init__(self, how: str, step: Callable[..., Any], *carry: Any) -> None:
        self.how, self.step, self.carry = how, step, carry

    def __call__(self, steps: int) -> None:
        """Make so many steps."""
        for _ in range(steps):
            self.carry = self.step(*self.carry)
        jax.block_until_ready(self.carry)


class Program(Loop):
    """One library's step on one tree, always with the same gradients."""

    def __init__(self, lib: ModuleType, tx: Any, params: Any, grads: Any) -> None:
        # Nothing may be donated twice, nor taken from the other programs.
        carry = jax.tree.map(jnp.copy, (params, tx.init(params)))
        super().__init__("jit", lambda *_: None, *carry)
        self.lib, self.tx, self.grads = lib, tx, grads

    def stages(self) -> dict[str, float]:
        """Compile from nothing; return the seconds, and what the compiler tells.

        Which are bytes moved by its own count, scratch memory, and the memory that
        donated arguments share with results. The equations are those that it gets.
        """
        # gradtx has a compiler of steps of its own, which its users are told to use.
        jit = getattr(self.lib, "jit_step", jax.jit)
        made = compile_step(self.lib, self.tx, *self.carry, self.grads, jit=jit)
        self.step = lambda *carry: made.compiled(*carry, self.grads)
        memory = made.compiled.memory_analysis()
        moved = (made.compiled.cost_analysis() or {}).get("bytes accessed", math.nan)
        count = sum(x.size for x in jax.tree.leaves(self.grads))
        return {
            **{stage: made.seconds[stage] for stage in STAGES},
            "equations": count_equations(made.traced.jaxpr),
            "XLA B/param": moved / count,
            "state B/param": tree_bytes(self.carry[1]) / count,
            "temp bytes": getattr(memory, "temp_size_in_bytes", 0),
            "alias bytes": getattr(memory, "alias_size_in_bytes", 0),
        }


def count_equations(jaxpr: Any) -> int:
    """Count the equations of a jaxpr, with those of the functions that it calls."""
    held = jax.tree.leaves([list(equation.params.values()) for equation in jaxpr.eqns])
    inside = sum(count_equations(x) for x in held if hasattr(x, "eqns"))
    return len(jaxpr.eqns) + inside


def contestants(
    method: Method, params: Any, grads: Any, *, eager: bool, torch: bool
) -> dict[str, Any]:
    """Return a method's step in every library, and a copy of as many numbers.

    PyTorch's is left out where it is not installed, or not for this device. The copy,
    in place and with the signs turned, is the yardstick of bytes per second.
    """
    programs: dict[str, Any] = {
        lib.__name__: program_of(method, lib, params, grads, eager=eager)
        for lib in (gradtx, optax)
    }
    found = load_torch() if torch and method.torch and not eager else None
    if found is not None:
        programs["torch"] = TorchProgram(found, method, params, grads)
    turn = jax.jit(jnp.negative, donate_argnums=0)
    numbers = jnp.ones(sum(x.size for x in params.values()), jnp.float32)
    return programs | {"copy": Loop("jit", lambda x: (turn(x),), numbers)}


def program_of(
    method: Method, lib: ModuleType, params: Any, grads: Any, *, eager: bool = False
) -> Loop:
    """Return a library's step of a method.

    An eager one is one call of ``update`` after the other, as in a shell, where nothing
    is compiled but what the library compiles by itself; the parameters stay.
    """
    tx = method.build(lib)
    if method.period > 1 and lib.__name__ == "optax":  # Lookahead's pairs of weights
        params = lib.LookaheadParams.init_synced(params)
    if not eager:
        return Program(lib, tx, params, grads)
    update = lambda _, state: tx.update(grads, state, params)  # noqa: E731
    return Loop("eager", update, None, tx.init(params))


def all_stages(programs: dict[str, Any]) -> dict[str, dict[str, float]]:
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


def load_torch() -> Any:
    """Return torch, or None where it is not installed, or not for this device."""
    platform = jax.default_backend()
    if platform not in DEVICES or importlib.util.find_spec("torch") is None:
        return None
    torch = importlib.import_module("torch")
    return torch if platform == "cpu" or torch.cuda.is_available() else None


class TorchProgram:
    """One optimizer of PyTorch, fused where it has that, else foreach."""

    def __init__(self, torch: Any, method: Method, params: Any, grads: Any) -> None:
        device = DEVICES[jax.default_backend()]
        kind = getattr(torch.optim, method.torch)
        fused = "fused" in inspect.signature(kind).parameters
        self.how = "fused" if fused else "foreach"
        self._wait = torch.cuda.synchronize if device == "cuda" else lambda: None
        weights = []
        for name in params:
            p, g = (torch.from_numpy(np.array(x[name])) for x in (params, grads))
            weights.append(p.to(device).requires_grad_())
            weights[-1].grad = g.to(device)
        settings = {**method.settings, self.how: True}
        self._optimizer = kind(weights, lr=RATE, **settings)

    def __call__(self, steps: int) -> None:
        """Make so many steps."""
        for _ in range(steps):
            self._optimizer.step()
        self._wait()
