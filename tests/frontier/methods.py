"""Methods elementwise or of low rank: how recorded cases are run with gradtx."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from frontier.decay import OUT_IN
from frontier.driver import run

import gradtx
from gradtx.like import authors


def laprop(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """LaProp of its authors, who decay after the step and whatever the rate."""
    s = case["settings"]
    direction = gradtx.scale_by_laprop(
        *s.get("betas", (0.9, 0.999)),
        s.get("eps", 1e-15),
        amsgrad=s.get("amsgrad", False),
        centered_after=10 if s.get("centered", False) else None,
    )
    tx = gradtx.chain(
        direction,
        gradtx.scale_by_learning_rate(s.get("lr", 4e-4)),
        gradtx.decay_after_step(1.0, s.get("weight_decay", 0.0)),
    )
    return run(tx, case, p0, grads)


def stable_adamw(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """StableAdamW of optimi, or of pytorch_optimizer, which differ in ε."""
    s = case["settings"]
    eps = 1e-8 if case["method"] == "stable_adamw_po" else 1e-6
    tx = gradtx.stable_adamw(
        s.get("lr", 1e-3),
        *s.get("betas", (0.9, 0.99)),
        s.get("eps", eps),
        s.get("weight_decay", 0.01),
    )
    return run(tx, case, p0, grads)


def came(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """CAME of its authors."""
    s = case["settings"]
    tx = gradtx.came(
        s["lr"],
        *s.get("betas", (0.9, 0.999, 0.9999)),
        *s.get("eps", (1e-30, 1e-16)),
        s.get("clip_threshold", 1.0),
        s.get("weight_decay", 0.0),
    )
    return run(tx, case, p0, grads)


def adabelief_rectified(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """AdaBelief of its authors' package."""
    return run(authors.AdaBelief(**case["settings"]), case, p0, grads)


def schedule_free_radam(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Schedule-free RAdam of its authors, and what it would evaluate with."""
    s = case["settings"]
    tx = gradtx.schedule_free_radam(
        s.get("lr", 0.0025),
        *s.get("betas", (0.9, 0.999)),
        s.get("eps", 1e-8),
        s.get("weight_decay", 0.0),
        s.get("weight_lr_power", 2.0),
        weight_step_power=s.get("r", 0.0),
        silent_sgd_phase=s.get("silent_sgd_phase", True),
    )
    return run(tx, case, p0, grads, shown={"eval_params": gradtx.eval_params})


def apollo(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """APOLLO of its authors, whose projections are given."""
    s = case["settings"]
    gap = s.get("update_proj_gap", 200)
    direction = gradtx.scale_by_apollo(
        s["rank"],
        gap,
        s.get("scale", 1.0),
        scale_type=s["scale_type"],
        weight_dimension_numbers=OUT_IN,
    )
    rate = s["lr"]
    tx = gradtx.chain(
        direction,
        gradtx.scale_by_learning_rate(rate),
        gradtx.decay_after_step(rate, s.get("weight_decay", 0.0)),
    )

    def extra(i: int) -> dict[str, Any]:
        given = {k: jnp.asarray(p[i // gap]) for k, p in case["projections"].items()}
        # The program has (r, in) for tall matrices, and (out, r) for wide ones.
        wide = {k for k in given if np.shape(p0[k])[0] < np.shape(p0[k])[1]}
        return {"projections": {k: p.T if k in wide else p for k, p in given.items()}}

    return run(tx, case, p0, grads, extra=extra)


def adam_mini(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Adam-mini of its authors: the names that arrays went by stand in the case."""
    s = case["settings"]
    names = {name: text.split(":")[0] for name, text in case["blocks"].items()}
    kinds = {
        "q_proj": gradtx.MiniBlocks(0, s.get("n_heads")),
        "mlp": gradtx.MiniBlocks(0),
        "embedding": gradtx.MiniBlocks(0),
        "bias": gradtx.MiniBlocks(0),
        "norm": gradtx.MiniBlocks(),
        "unknown name": gradtx.MiniBlocks(),
    }
    tx = gradtx.adam_mini(
        s["lr"],
        *s.get("betas", (0.9, 0.999)),
        weight_decay=s.get("weight_decay", 0.0),
        mask={name: kind not in ("bias", "norm") for name, kind in names.items()},
        blocks={name: kinds[kind] for name, kind in names.items()},
    )
    return run(tx, case, p0, grads)


METHODS: dict[str, Callable[..., Any]] = {
    "adabelief_rectified": adabelief_rectified,
    "adam_mini": adam_mini,
    "apollo": apollo,
    "came": came,
    "laprop": laprop,
    "schedule_free_radam": schedule_free_radam,
    "stable_adamw": stable_adamw,
    "stable_adamw_po": stable_adamw,
}
