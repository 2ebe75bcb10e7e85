"""SOAP, Shampoo, PSGD and SPlus: how recorded cases are run with gradtx."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

import gradtx
from frontier import driver
from gradtx.optimizers.kl_shampoo import scale_by_kl_shampoo
from gradtx.optimizers.kl_soap import scale_by_kl_soap
from gradtx.optimizers.soap import scale_by_soap
from gradtx.primitives.decay_after import decay_after_step

Case = dict[str, Any]


def _descend_then_decay(direction: Any, rate: float, decay: float) -> Any:
    """Make the optimizer of a program whose first step only looks at the gradient."""
    return gradtx.chain(
        direction,
        gradtx.scale_by_learning_rate(rate),
        decay_after_step(rate, lambda count: jnp.where(count == 0, 0.0, decay)),
    )


def soap(case: Case, p0: Any, grads: Any) -> Any:
    """Run SOAP's official program."""
    s = {
        "lr": 3e-3,
        "betas": (0.95, 0.95),
        "shampoo_beta": -1,
        "eps": 1e-8,
        "weight_decay": 0.01,
        **case["settings"],
    }
    rate, decay, beta = s.pop("lr"), s.pop("weight_decay"), s.pop("shampoo_beta")
    b1, b2 = s.pop("betas")
    s.pop("data_format", None)
    direction = scale_by_soap(b1, b2, beta if beta >= 0 else None, **s)
    return driver.run(_descend_then_decay(direction, rate, decay), case, p0, grads)


def kl(case: Case, p0: Any, grads: Any) -> Any:
    """Run the official program of KL-Shampoo and KL-SOAP."""
    s = {
        "lr": 1e-4,
        "betas": (0.9, 0.98),
        "shampoo_beta": -1,
        "eps": 1e-8,
        "weight_decay": 0.01,
        "precondition_frequency": 10,
        "using_klsoap": False,
        "normalize_grads": False,
        "init_factor": 0.1,
        "using_damping": False,
        "using_clamping": True,
        "max_clamp_value": 4000,
        **case["settings"],
    }
    (b1, b2), beta = s["betas"], s["shampoo_beta"]
    beta = beta if beta >= 0 else b2
    shared = {
        "eps": s["eps"],
        "precondition_frequency": s["precondition_frequency"],
        "normalize_grads": s["normalize_grads"],
        "init_factor": s["init_factor"],
        "damping": s["eps"] if s["using_damping"] else 0.0,
        "clamp": s["max_clamp_value"] if s["using_clamping"] else None,
    }
    if s["using_klsoap"] or case["method"] == "kl_soap":
        direction = scale_by_kl_soap(b1, b2, beta, **shared)
    else:
        direction = scale_by_kl_shampoo(b1, beta, **shared)
    tx = _descend_then_decay(direction, s["lr"], s["weight_decay"])
    return driver.run(tx, case, p0, grads)


METHODS: dict[str, Callable[..., Any]] = {
    "soap": soap,
    "kl_shampoo": kl,
    "kl_soap": kl,
}
