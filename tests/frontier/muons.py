"""Muon and its family, Dion and Scion: how recorded cases are run with gradtx.

The recordings are of shape (out, in): the rows are outputs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from frontier.driver import arrays, run

import gradtx
from gradtx import MatrixAxes, like

ROWS = MatrixAxes(-1, -2)  # rows are outputs, and axes before them count matrices
SHAPE_FACTORS = {"spectral_norm": "spectral", "rms_norm": "moonlight", None: "none"}
POLAR_MARGIN = 1.02  # of Polar Express: in the programs it does not stand before ε


def of(make: Callable[..., Any]) -> Callable[..., Any]:
    """Run cases with what is made of their settings and their dimension numbers."""

    def follow(case: dict[str, Any], p0: Any, grads: Any) -> dict[str, Any]:
        return run(make(case["settings"], cut(case, p0)), case, p0, grads)

    return follow


def descend(direction: Any, rate: float, decay: float, *, cautious: bool) -> Any:
    """Step along a direction, and let decay all, or what the step makes smaller."""
    if not cautious:
        return gradtx.descend(direction, rate, weight_decay=decay)

    def rule(u: jax.Array, *, p: jax.Array) -> jax.Array:
        return u + decay * jnp.where(u * p >= 0, p, 0)

    shrink = gradtx.leafwise(rule, gradtx.EmptyState)
    return gradtx.chain(direction, shrink, gradtx.scale_by_learning_rate(rate))


def cut(case: dict[str, Any], p0: dict[str, Any]) -> dict[str, MatrixAxes]:
    """Return the dimension numbers of every array, with its heads or its splits."""
    s, numbers = case["settings"], dict.fromkeys(case["arrays"], ROWS)
    for name, which in numbers.items():
        if name in (s.get("num_heads") or {}):
            numbers[name] = which._replace(heads=s["num_heads"][name])
        if name in s:
            numbers[name] = which._replace(splits=tuple(s[name]))
        if s.get("flatten"):
            numbers[name] = MatrixAxes(tuple(range(1, np.ndim(p0[name]))), 0)
    return numbers


# --- Muon ---


def muon_torch(s: dict[str, Any], _: Any) -> Any:
    """Return ``torch.optim.Muon``."""
    return like.torch.Muon(**s)


def muon_keller(s: dict[str, Any], _: Any) -> Any:
    """Return Keller Jordan's Muon."""
    return like.authors.Muon(**s)


def muon_dion(s: dict[str, Any], numbers: Any) -> Any:
    """Return dion's Muon, perhaps of heads or of splits."""
    taken = ("lr", "mu", "weight_decay", "cautious_wd", "epsilon", "nesterov")
    taken = (*taken, "adjust_lr", "use_polar_express")
    settings = {k: x for k, x in s.items() if k in taken}
    return like.authors.DionMuon(**settings, weight_dimension_numbers=numbers)


def normuon_dion(s: dict[str, Any], numbers: Any) -> Any:
    """Return dion's NorMuon, perhaps of heads or of splits."""
    direction = gradtx.scale_by_normuon(
        beta=s.get("mu", 0.95),
        b2=s.get("muon_beta2", 0.95),
        eps=1e-8,
        nesterov=s.get("nesterov", False),
        momentum="sum",
        weight_dimension_numbers=numbers,
        **dion_iteration(s),
    )
    return dion_step(direction, s, numbers, s.get("weight_decay", 0.01))


def dion_iteration(s: dict[str, Any]) -> dict[str, Any]:
    """Return how dion's programs orthogonalize."""
    eps = s.get("epsilon", 1e-8)
    if s.get("use_polar_express", True):
        return {"ns_coeffs": "polar_express", "ns_eps": eps / POLAR_MARGIN}
    return {"ns_coeffs": "quintic", "ns_eps": eps}


def dion_step(direction: Any, s: dict[str, Any], numbers: Any, decay: float) -> Any:
    """Step along a direction as dion's programs do."""
    name = SHAPE_FACTORS[s.get("adjust_lr", "spectral_norm")]
    factor = gradtx.scale_by_shape(numbers, shape_factor=name)
    direction = gradtx.chain(direction, factor)
    cautious = s.get("cautious_wd", False)
    return descend(direction, s.get("lr", 0.01), decay, cautious=cautious)


def normuon(s: dict[str, Any], _: Any) -> Any:
    """Return the authors' NorMuon."""
    return gradtx.descend(
        gradtx.chain(
            gradtx.scale_by_normuon(
                beta=s.get("momentum", 0.95),
                b2=s.get("beta2", 0.95),
                weight_dimension_numbers=ROWS,
            ),
            gradtx.scale_by_shape(ROWS),
        ),
        s.get("lr", 0.02),
        weight_decay=s.get("weight_decay", 0.0),
    )


def adamuon(s: dict[str, Any], _: Any) -> Any:
    """Return the authors' AdaMuon."""
    direction = gradtx.scale_by_adamuon(
        ns_steps=s.get("ns_steps", 5),
        beta=s.get("momentum", 0.95),
        eps=s.get("eps", 1e-8),
        nesterov=s.get("nesterov", True),
        weight_dimension_numbers=ROWS,
    )
    decay = s.get("weight_decay", 0.01)
    return gradtx.descend(direction, s.get("lr", 0.02), weight_decay=decay)


def muon_squared(s: dict[str, Any], _: Any) -> Any:
    """Return Muon² of modded-nanogpt's third track."""
    direction = gradtx.scale_by_muon_squared(
        "exact",
        beta=s.get("mu", 0.95),
        b2=s.get("beta2", 0.95),
        eps=s.get("eps", 1e-10),
        nesterov=s.get("nesterov", True),
        weight_dimension_numbers=ROWS,
    )
    return gradtx.descend(
        gradtx.chain(direction, gradtx.scale_by_shape(ROWS)),
        s.get("lr", 0.02),
        weight_decay=s.get("weight_decay", 0.0),
    )


def soap_muon(s: dict[str, Any], _: Any) -> Any:
    """Return SOAP-Muon of modded-nanogpt's third track, part by part."""
    rate, floor = s["lr"], s.get("target_uw", 0.3825)
    per = "neuron" if s.get("ROWFLOOR", True) else "matrix"
    how = {"weight_dimension_numbers": ROWS}
    return gradtx.chain(
        gradtx.scale_by_soap_muon(
            s.get("mu", 0.95),
            s.get("beta2", 0.9),
            precondition_frequency=s.get("precondition_frequency", 1),
            **how,
        ),
        gradtx.scale_by_shape(ROWS),
        gradtx.scale_radial_part(0.5, **how),
        gradtx.floor_by_weights(floor, per, **how),
        gradtx.scale_by_learning_rate(rate),
        gradtx.keep_radial_step(rate, s.get("CWD", 0.025), **how),
    )


# --- Muown ---

# Emerging-Optimizers' own tables, and what is done to make so many steps of them.
POLAR_EXPRESS = (
    (8.2051, -22.9019, 16.4607),
    (4.0664, -2.8612, 0.5184),
    (3.9096, -2.8234, 0.5250),
    (3.2856, -2.4153, 0.4853),
    (2.2779, -1.6198, 0.3985),
    (1.8726, -1.2307, 0.3585),
    (1.8564, -1.2132, 0.3568),
    (1.875, -1.25, 0.375),
)
EMERGING = {
    "simple": gradtx.linalg.presets.PRESETS["keller"],
    "quintic": gradtx.linalg.presets.PRESETS["quintic"],
    "cans": gradtx.linalg.presets.PRESETS["cans"],
    "polar_express": POLAR_EXPRESS,
}
SCALE_MODES = {
    "spectral": ("moonlight", 5.0),
    "shape_scaling": ("keller", 1.0),
    "unit_rms_norm": ("spectral", 1.0),
}


def emerging_coefficients(name: str, steps: int) -> Any:
    """Return the triples of so many steps, as Emerging-Optimizers makes them."""
    table = EMERGING[name]
    rows = table if isinstance(table[0], tuple) else (table,)
    settles = name in ("polar_express", "cans")
    last = len(rows) - 1
    return tuple(rows[min(i, last) if settles else i % len(rows)] for i in range(steps))


def muown(s: dict[str, Any], _: Any) -> Any:
    """Return Muown of Emerging-Optimizers."""
    b1, b2 = s.get("betas", (0.9, 0.95))
    factor, scale = SCALE_MODES[s.get("scale_mode", "spectral")]
    steps = s.get("num_ns_steps", 5)
    return gradtx.muown(
        s.get("lr", 3e-4),
        emerging_coefficients(s.get("coefficient_type", "quintic"), steps),
        beta=s.get("momentum", 0.95),
        b1=b1,
        b2=b2,
        eps=s.get("adam_eps", 1e-8),
        weight_decay=s.get("weight_decay", 0.0),
        shape_factor=factor,
        scale=scale * s.get("extra_scale_factor", 1.0),
        weight_dimension_numbers=ROWS,
    )


# --- QK-clip ---


def qk_clip(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Run the clip of pytorch_optimizer's MuonClip behind updates of zero."""
    s = case["settings"]
    clip = gradtx.qk_clip(
        s.get("threshold", 100.0),
        s.get("alpha", 0.5),
        {name: gradtx.QKProjection(name, "a", 0) for name in case["arrays"]},
    )
    rows = case["max_logits"]
    still = [jax.tree.map(np.zeros_like, p0)] * len(rows)
    logits = np.asarray(rows)

    def extra(t: int) -> dict[str, Any]:
        return {"attention_max_logits": {"a": jnp.asarray(logits[t])}}

    del grads
    return run(clip, case, p0, still, extra=extra)


# --- Dion ---


def dion(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Run dion's reference program, whose first Q is given."""
    s = case["settings"]
    direction = gradtx.scale_by_dion(
        s.get("rank", 768),
        s.get("mu", 0.95),
        s.get("epsilon", 1e-8),
        weight_dimension_numbers=ROWS,
    )
    given = arrays(case, case["Q0"])
    begun = gradtx.GradientTransformation(
        lambda params: direction.init(params)._replace(basis=_transposed(given)),
        direction.update,
    )
    tx = dion_step(begun, {"lr": s["lr"]}, ROWS, s.get("weight_decay", 0.01))
    return run(tx, case, p0, grads)


def _transposed(tree: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Put the rank where the output axis of (out, in) is."""
    return {name: x.T for name, x in tree.items()}


def dion2(s: dict[str, Any], numbers: Any, *, third: bool = False) -> Any:
    """Return dion's Dion2, or Dion3."""
    direction = gradtx.scale_by_dion2(
        s.get("fraction", 0.25),
        s.get("mu" if third else "ef_decay", 0.95),
        s.get("muon_beta2", 0.95) if third else None,
        1e-8,
        weight_dimension_numbers=numbers,
        **dion_iteration(s),
    )
    return dion_step(direction, s, numbers, s.get("weight_decay", 0.01))


# --- Scion ---

NORMS = {
    "Auto": "auto",
    "Spectral": "spectral",
    "SpectralConv": "spectral_conv",
    "Sign": "sign",
    "ColNorm": "col_norm",
    "RowNorm": "row_norm",
    "BiasRMS": "bias_rms",
}


def scion(case: dict[str, Any], p0: Any, grads: Any) -> Any:
    """Run the authors' Scion."""
    s, how = case["settings"], case["settings"].get("norm_kwargs") or {}
    alpha = s.get("momentum", 1.0)
    norm = NORMS[s.get("norm", "Auto")]
    normalized = how.get("normalized")
    if norm == "bias_rms":  # along axis 0 alone: as a norm of columns
        norm, normalized = "col_norm", False
    direction = gradtx.scale_by_scion(
        norm,
        s.get("scale", 1.0),
        None if alpha == 1 else 1 - alpha,
        normalized=normalized,
        at_least_one=how.get("max", False),
        ns_steps=how.get("steps", 5),
        weight_dimension_numbers={
            name: _scion_axes(np.ndim(p0[name]), turned=how.get("transpose", False))
            for name in case["arrays"]
        },
    )
    decay = None if s.get("unconstrained", False) else 1.0
    tx = gradtx.descend(direction, s.get("lr", 1e-3), weight_decay=decay)
    return run(tx, case, p0, grads)


def _scion_axes(n: int, *, turned: bool) -> MatrixAxes | None:
    if n < 2:
        return None
    window = tuple(range(2, n))
    return MatrixAxes(0, 1) if turned else MatrixAxes((*window, 1), 0, window)


METHODS: dict[str, Callable[..., Any]] = {
    "adamuon": of(adamuon),
    "dion": dion,
    "dion2": of(dion2),
    "dion3": of(partial(dion2, third=True)),
    "muon_dion": of(muon_dion),
    "muon_dion_heads": of(muon_dion),
    "muon_dion_split": of(muon_dion),
    "muon_keller": of(muon_keller),
    "muon_squared": of(muon_squared),
    "muon_torch": of(muon_torch),
    "muown": of(muown),
    "normuon": of(normuon),
    "normuon_dion": of(normuon_dion),
    "normuon_dion_heads": of(normuon_dion),
    "normuon_dion_split": of(normuon_dion),
    "qk_clip": qk_clip,
    "scion": scion,
    "soap_muon": of(soap_muon),
}
