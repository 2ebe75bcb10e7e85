"""SOAP, Shampoo, PSGD and SPlus: how recorded cases are run with gradtx."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from frontier import driver

import gradtx

Case = dict[str, Any]


def _descend_then_decay(direction: Any, rate: float, decay: float) -> Any:
    """Make the optimizer of a program whose first step only looks at the gradient."""
    return gradtx.chain(
        direction,
        gradtx.scale_by_learning_rate(rate),
        gradtx.decay_after_step(rate, lambda count: jnp.where(count == 0, 0.0, decay)),
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
    direction = gradtx.scale_by_soap(b1, b2, beta if beta >= 0 else None, **s)
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
        direction = gradtx.scale_by_kl_soap(b1, b2, beta, **shared)
    else:
        direction = gradtx.scale_by_kl_shampoo(b1, beta, **shared)
    tx = _descend_then_decay(direction, s["lr"], s["weight_decay"])
    return driver.run(tx, case, p0, grads)


def shampoo(case: Case, p0: Any, grads: Any) -> Any:
    """Run the distributed Shampoo program, with any of its preconditioners."""
    s = {
        "lr": 1e-2,
        "betas": (0.9, 1.0),
        "beta3": -1.0,
        "epsilon": 1e-12,
        "weight_decay": 0.0,
        "weight_decay_type": "DECOUPLED",
        "max_preconditioner_dim": 1024,
        "precondition_frequency": 1,
        "start_preconditioning_step": -1,
        "use_bias_correction": True,
        "target_parameter_dimensionality": 1,
        "preconditioner": "root_inv",
        "preconditioner_kwargs": {},
        "grafting": None,
        **case["settings"],
    }
    (b1, b2), target = s["betas"], s["target_parameter_dimensionality"]
    start, kwargs = s["start_preconditioning_step"], s["preconditioner_kwargs"]
    kind = case["method"].removeprefix("shampoo_") + "," + s["preconditioner"]
    shared = {
        "b1": b1,
        "b2": b2,
        "b3": None if s["beta3"] == -1 else s["beta3"],
        "eps": s["epsilon"],
        "precondition_frequency": s["precondition_frequency"],
        "start_preconditioning_step": None if start == -1 else start,
        "max_preconditioner_dim": s["max_preconditioner_dim"],
        "target_dims": None if float(target) == float("inf") else int(target),
        "exponents": _by_order(kwargs.get("inverse_exponent_override", {})),
        "bias_correction": s["use_bias_correction"],
        "graft": _graft(s["grafting"]),
    }
    if "corrected" in kind:
        ignored = _by_order(kwargs.get("ignored_basis_change_dims", {}))
        direction = gradtx.scale_by_corrected_shampoo(**shared, ignored_dims=ignored)
    else:
        direction = gradtx.scale_by_shampoo(**shared, whiten_others="kl" in kind)
    return driver.run(_with_decay(direction, s), case, p0, grads)


def _by_order(given: dict[str, Any]) -> Any:
    """Return a mapping whose keys are numbers, which JSON writes as strings."""
    return {
        int(k): _by_order(x) if isinstance(x, dict) else x for k, x in given.items()
    } or None


def _graft(given: dict[str, Any] | None) -> Any:
    if given is None or given["kind"] == "none":
        return None
    kind = given["kind"].lower()
    if kind == "sgd":
        return gradtx.graft_by_mean()
    b2 = (
        1.0
        if kind == "adagrad"
        else given.get("beta2", 0.999 if "rms" not in kind else 0.99)
    )
    eps = given.get("epsilon", 1e-10 if kind == "adagrad" else 1e-8)
    return gradtx.graft_by_rms(b2, eps, bias_correction=kind == "adam")


def _with_decay(direction: Any, s: dict[str, Any]) -> Any:
    rate, decay, kind = s["lr"], s["weight_decay"], s["weight_decay_type"].upper()
    peak = s.get("peak_lr", rate)
    if kind == "L2":
        links = [gradtx.add_decayed_weights(decay), direction]
    else:
        factor = {"DECOUPLED": 1, "CORRECTED": rate / peak, "INDEPENDENT": 1 / peak}
        links = [direction, gradtx.add_decayed_weights(decay * factor[kind])]
    return gradtx.chain(*links, gradtx.scale_by_learning_rate(rate))


def psgd_kron(case: Case, p0: Any, grads: Any) -> Any:
    """Run psgd-jax, each array alone, with the random numbers that it had."""
    s = dict(case["settings"])
    rate, decay = s.pop("learning_rate", 1e-3), s.pop("weight_decay", 0.0)
    balanced = case.get("balance_at", [])

    def extra(i: int) -> dict[str, Any]:
        drawn = {
            name: jnp.zeros_like(x) if v[i] is None else jnp.asarray(v[i], x.dtype)
            for name, v in case["V"].items()
            for x in (jnp.asarray(p0[name], jnp.float64),)
        }
        return {"probes": drawn, "balance": jnp.asarray(i + 1 in balanced)}

    tx = gradtx.chain(
        gradtx.scale_by_psgd_kron(**s),
        gradtx.add_decayed_weights(decay),
        gradtx.scale_by_learning_rate(rate),
    )
    return driver.run(tx, case, p0, grads, extra=extra)


def splus(case: Case, p0: Any, grads: Any) -> Any:
    """Run SPlus, and what it would evaluate with."""
    s = dict(case["settings"])
    s.pop("eps", None)  # too small for any eigenvector
    rate = s.pop("lr", 0.1)
    shown = {"eval_params": gradtx.eval_params}
    return driver.run(
        gradtx.splus(rate, **s),
        case,
        p0,
        grads,
        shown=shown,
    )


METHODS: dict[str, Callable[..., Any]] = {
    "soap": soap,
    "splus": splus,
    "kl_shampoo": kl,
    "kl_soap": kl,
    "kl_shampoo_fb": shampoo,
    "psgd_kron": psgd_kron,
    "shampoo": shampoo,
    "shampoo_eigenvalue_corrected": shampoo,
}
