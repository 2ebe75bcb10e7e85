"""Where optax's optimizers have other numbers than gradtx's: `python` writes the table.

`tests/like/test_optax.py` compares every optimizer of optax with the one of that name
here, and finds just these.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from gradtx import contrib, like

PAGE = Path(__file__).parent.parent / "docs" / "optax-differences.md"
STEPS = 4


class Difference(NamedTuple):
    """A function whose numbers are others, and when they are."""

    ours: str  # what gradtx does
    theirs: str  # what optax does
    when: str = "always"
    settings: dict[str, Any] = {}  # noqa: RUF012  # which show it


def falling(count: Any) -> Any:
    """Return a learning rate that falls."""
    return 0.1 / (1 + count)


_SF = (
    "the weight of a step is that of its own rate",
    "of the rate of the next step, as it counts from 1",
    "with a rate that rises",
)
DIFFERENCES = {
    "adan": Difference(
        "looks ahead by β₂, and decays by (p - η u) / (1 + η λ), as in the paper",
        "by 1 - β₂, and p - η (u + λ p)",
    ),
    "amsgrad": Difference(
        "w ← max(w, v), corrected afterwards, as in PyTorch",
        "w ← max(w, v̂), which the first steps set for ever",
    ),
    "rprop": Difference(
        "takes the step of this gradient", "takes the step of the gradient before"
    ),
    "lars": Difference(
        "divides by ‖g‖ + λ ‖p‖, as in the paper",
        "by ‖g + λ p‖",
        "with weight decay",
        {"weight_decay": 0.1},
    ),
    "momo": Difference(
        "divides the step by 1 + η λ, as in the paper",
        "does not",
        "with weight decay",
        {"weight_decay": 0.1},
    ),
    "momo_adam": Difference(
        "divides the step by 1 + η λ, as in the paper",
        "does not",
        "with weight decay",
        {"weight_decay": 0.1},
    ),
    "polyak_sgd": Difference(
        "measures the gradient, then scales it",
        "scales it first, so that less makes more",
        "with scaling",
        {"scaling": 0.5, "max_learning_rate": 10.0},
    ),
    "schedule_free_sgd": Difference(*_SF, {"warmup_steps": 3}),
    "schedule_free_adamw": Difference(*_SF, {"warmup_steps": 3}),
}
# What wants more than gradients, or is no optimizer; their own tests compare them.
ELSEWHERE = {
    "dpsgd": "per-example gradients",
    "galore": "its random subspaces are compared in tests/optimizers",
    "lbfgs": "a line search, compared in tests/optimizers",
    "scale_by_learning_rate": "no optimizer",
    "schedule_free": "around an optimizer; as schedule_free_sgd",
}


def optimizers() -> Iterator[str]:
    """Yield the names of what takes a learning rate in optax and its contrib."""
    for module in (optax, optax.contrib):
        for name, function in vars(module).items():
            code = getattr(function, "__code__", None)
            known = code.co_varnames[: code.co_argcount] if code else ()
            rated = {"learning_rate", "max_learning_rate"} & set(known)
            if rated and name not in ELSEWHERE and not name.startswith(("_", "scale_")):
                yield name


def made(library: str, name: str, settings: dict[str, Any]) -> Any:
    """Make an optimizer of "optax", "gradtx" or "like"."""
    rooms = {
        "optax": (optax, optax.contrib),
        "gradtx": (gradtx, contrib),
        "like": (like.optax,),
    }[library]
    make = next(getattr(room, name) for room in rooms if hasattr(room, name))
    code = getattr(optax, name, None) or getattr(optax.contrib, name)
    required = code.__code__.co_argcount - len(code.__defaults__ or ())
    rate = {"learning_rate": 0.1} if required else {}
    return make(**(rate | settings))


def start() -> Any:
    """Return parameters of two shapes."""
    rng = np.random.default_rng(5)
    return {
        k: jnp.asarray(rng.normal(size=n)) for k, n in {"b": 3, "w": (4, 2)}.items()
    }


def loss(params: Any, t: int) -> Any:
    """Return the loss of a step, whose least point moves about."""
    rng = np.random.default_rng(t)
    parts = [jnp.sum((p - rng.normal(size=p.shape)) ** 2) for p in params.values()]
    return sum(parts) + 1.0


def steps(tx: Any, params: Any, state: Any, begin: int, end: int) -> tuple[Any, Any]:
    """Return the parameters and the state after some steps."""
    for t in range(begin, end):
        value, grads = jax.value_and_grad(loss)(params, t)
        extra = {"value": value, "obj_fn": lambda p, t=t: loss(p, t)}
        update = optax.with_extra_args_support(tx).update
        updates, state = update(grads, state, params, **extra)
        params = gradtx.apply_updates(params, updates)
    return params, state


def distance(one: Any, other: Any) -> float:
    """Return how far two transformations are apart after some steps, relatively."""
    p, q = (steps(tx, start(), tx.init(start()), 0, STEPS)[0] for tx in (one, other))
    apart = [jnp.abs(p[k] - q[k]).max() / jnp.abs(q[k]).max() for k in p]
    return float(max(apart))


def table() -> str:
    """Write the table of differences."""
    rows = ["| optimizer | gradtx | optax 0.2.8 | differs |", "|---|---|---|---|"]
    for name, x in DIFFERENCES.items():
        rows.append(f"| `{name}` | {x.ours} | {x.theirs} | {x.when} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Write the table between its marks."""
    block = f"<!-- differences -->\n{table()}<!-- /differences -->"
    pattern = "<!-- differences -->.*?<!-- /differences -->"
    text = re.sub(pattern, lambda _: block, PAGE.read_text(), flags=re.DOTALL)
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
