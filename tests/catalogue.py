"""The table: one row for every optimizer and configuration that the tests know.

Every property of `test_contract.py` meets every row, `test_papers.py` holds each to its
paper, and the README's table of methods is made from the rows that have a card. To add
an optimizer, append a row.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import papers
from methods import modifiers
from methods.rows import Card as Card, Row as Row

import gradtx
from gradtx import contrib

Rate = Any  # a number, or a schedule


def lookahead(fast: Callable[..., Any], learning_rate: Rate, **settings: Any) -> Any:
    """Make a Lookahead around a method."""
    inner = {k: settings.pop(k) for k in ("momentum",) if k in settings}
    return gradtx.lookahead(fast(learning_rate, **inner), **settings)


def clipped_adamw(learning_rate: Rate, max_norm: float, **settings: Any) -> Any:
    """Make the line that most programs begin with."""
    clip = gradtx.clip_by_global_norm(max_norm)
    return gradtx.chain(clip, gradtx.adamw(learning_rate, **settings))


def masked_adamw(learning_rate: Rate) -> Any:
    """Make an optimizer whose parts are masked, by a prefix of the tree."""
    return gradtx.chain(
        gradtx.masked(gradtx.scale_by_adam(), mask=True),
        gradtx.masked(gradtx.scale(2.0), mask=False),
        gradtx.add_decayed_weights(1e-2, mask=True),
        gradtx.scale_by_learning_rate(learning_rate),
    )


def wrapped(wrap: Callable[[Any], Any], **inner: Any) -> Any:
    """Make a wrapper around Adam."""
    return wrap(gradtx.adam(**inner))


def mechanized(learning_rate: Rate, **settings: Any) -> Any:
    """Make a Mechanic around gradient descent."""
    return gradtx.mechanize(gradtx.sgd(learning_rate), **settings)


def distance_over_gradients(learning_rate: Rate, **settings: Any) -> Any:
    """Make an optimizer of the part that finds its own step size."""
    direction = gradtx.scale_by_distance_over_gradients(**settings)
    return gradtx.chain(direction, gradtx.scale_by_learning_rate(learning_rate))


def of_one(updates: Any, params: Any) -> Any:
    """Take a gradient for the gradients of one example."""
    del params
    return jax.tree.map(lambda g: jnp.asarray(g)[None], updates)


def privately(**settings: Any) -> Any:
    """Make DP-SGD for batches of one example."""
    return gradtx.chain(gradtx.stateless(of_one), contrib.dpsgd(**settings))


def polyak(learning_rate: Rate, **settings: Any) -> Any:
    """Make Polyak's SGD with a rate beside its own."""
    step = gradtx.scale_by_polyak(**settings)
    return gradtx.chain(step, gradtx.scale_by_learning_rate(learning_rate))


ROWS: list[Row] = [
    Row(
        "sgd",
        gradtx.sgd,
        {"learning_rate": 0.1},
        papers.sgd,
        state_bytes=0,
        card=Card(
            "SGD",
            "u = -η g",
            "little memory matters most, or a convex problem of one scale",
            "Robbins and Monro, 1951",
        ),
    ),
    Row(
        "momentum",
        gradtx.sgd,
        {"learning_rate": 0.05, "momentum": 0.9},
        papers.sgd,
        state_bytes=4,
        card=Card(
            "Momentum",
            "b ← g + μ b, u = -η b",
            "convolutional networks with a tuned schedule",
            "Polyak, 1964",
        ),
    ),
    Row(
        "nesterov",
        gradtx.sgd,
        {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
        papers.sgd,
        state_bytes=4,
        card=Card(
            "Nesterov",
            "b ← g + μ b, u = -η (g + μ b)",
            "where momentum works, a little steadier at large μ",
            "Nesterov, 1983; Sutskever et al., 2013",
        ),
    ),
    Row(
        "adam",
        gradtx.adam,
        {"learning_rate": 0.1},
        papers.adam,
        state_bytes=8,
        card=Card(
            "Adam",
            "m ← β₁ m + (1-β₁) g, v ← β₂ v + (1-β₂) g², u = -η m̂ / (√v̂ + ε)",
            "the first thing to try, without weight decay",
            "Kingma and Ba, 2015",
        ),
    ),
    Row(
        "adam, eps_root",
        gradtx.adam,
        {"learning_rate": 0.1, "b1": 0.8, "b2": 0.99, "eps": 1e-3, "eps_root": 1e-4},
        papers.adam,
        state_bytes=8,
    ),
    Row(
        "adamw",
        gradtx.adamw,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        papers.adamw,
        state_bytes=8,
        card=Card(
            "AdamW",
            "u = Adam's - η λ p",
            "transformers, and most else: the default choice",
            "Loshchilov and Hutter, 2019",
        ),
    ),
    # In the tests their states are small, and so stay as they are: what few bits do to
    # them, and to every row, is seen in tests/wrappers/test_quantize.py.
    Row(
        "adamw8bit",
        gradtx.adamw8bit,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        papers.adamw,
        state_bytes=8,
    ),
    Row(
        "adamw4bit",
        gradtx.adamw4bit,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        papers.adamw,
        state_bytes=8,
    ),
    Row(
        "lion8bit",
        gradtx.lion8bit,
        {"learning_rate": 0.05},
        papers.lion,
        state_bytes=4,
    ),
    Row("nadam", gradtx.nadam, {"learning_rate": 0.1}, papers.nadam, state_bytes=8),
    Row(
        "nadamw",
        gradtx.nadamw,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        papers.nadamw,
        state_bytes=8,
    ),
    Row(
        "adabelief",
        gradtx.adabelief,
        {"learning_rate": 0.1},
        papers.adabelief,
        state_bytes=8,
        card=Card(
            "AdaBelief",
            "s ← β₂ s + (1-β₂) (g-m)² + ε, u = -η m̂ / (√ŝ + ε)",
            "where Adam is too cautious on steady gradients",
            "Zhuang et al., 2020",
        ),
    ),
    Row(
        "adabelief, decay",
        gradtx.adabelief,
        {
            "learning_rate": 0.1,
            "weight_decay": 1e-2,
            "eps": 1e-8,
            "eps_root": 1e-4,
            "nesterov": True,
        },
        papers.adabelief,
        state_bytes=8,
    ),
    Row(
        "lookahead, adam",
        partial(lookahead, gradtx.adam),
        {"learning_rate": 0.1, "sync_period": 3, "slow_step_size": 0.5},
        partial(papers.lookahead, fast=papers.adam),
        state_bytes=12,
        card=Card(
            "Lookahead",
            "every k steps: φ ← φ + α (θ-φ), θ ← φ",  # noqa: RUF001
            "around another method, to steady it and to evaluate at φ",
            "Zhang et al., 2019",
        ),
    ),
    Row(
        "lookahead, reset",
        partial(lookahead, gradtx.sgd),
        {
            "learning_rate": 0.1,
            "momentum": 0.9,
            "sync_period": 4,
            "slow_step_size": 0.8,
            "reset_state": True,
        },
        partial(papers.lookahead, fast=papers.sgd),
        state_bytes=8,
    ),
    Row(
        "rmsprop",
        gradtx.rmsprop,
        {"learning_rate": 0.05},
        papers.rmsprop,
        state_bytes=4,
        card=Card(
            "RMSProp",
            "v ← β v + (1-β) g², u = -η g / √(v + ε)",
            "recurrent networks, and targets that move",
            "Hinton, 2012",
        ),
    ),
    Row(
        "rmsprop, momentum",
        gradtx.rmsprop,
        {"learning_rate": 0.01, "momentum": 0.9},
        papers.rmsprop,
        state_bytes=8,
    ),
    Row(
        "rmsprop, centered",
        gradtx.rmsprop,
        {
            "learning_rate": 0.05,
            "centered": True,
            "eps": 1e-2,
            "eps_in_sqrt": False,
            "momentum": 0.5,
        },
        papers.rmsprop,
        state_bytes=12,
    ),
    Row(
        "rmsprop, eps outside",
        gradtx.rmsprop,
        {"learning_rate": 0.05, "eps_in_sqrt": False, "initial_scale": 1.0},
        papers.rmsprop,
        state_bytes=4,
    ),
    Row(
        "rmsprop, unbiased",
        gradtx.rmsprop,
        {
            "learning_rate": 0.02,
            "bias_correction": True,
            "momentum": 0.8,
            "nesterov": True,
        },
        papers.rmsprop,
        state_bytes=8,
    ),
    Row(
        "rmsprop, centered, unbiased",
        gradtx.rmsprop,
        {
            "learning_rate": 0.02,
            "bias_correction": True,
            "centered": True,
            "eps": 1e-2,
        },
        papers.rmsprop,
        state_bytes=8,
    ),
    Row(
        "adagrad",
        gradtx.adagrad,
        {"learning_rate": 0.5},
        papers.adagrad,
        state_bytes=4,
        card=Card(
            "Adagrad",
            "G ← G + g², u = -η g / √(G + ε)",
            "sparse features, and convex problems",
            "Duchi et al., 2011",
        ),
    ),
    Row(
        "lion",
        gradtx.lion,
        {"learning_rate": 0.05},
        papers.lion,
        state_bytes=4,
        card=Card(
            "Lion",
            "u = -η (sign(β₁ m + (1-β₁) g) + λ p), m ← β₂ m + (1-β₂) g",
            "large batches, with half of Adam's memory",
            "Chen et al., 2023",
        ),
    ),
    Row(
        "chain",
        clipped_adamw,
        {"learning_rate": 0.1, "max_norm": 1.0, "weight_decay": 1e-2},
        papers.clipped_adamw,
        state_bytes=8,
        leafwise=False,
    ),
    Row(
        "masked",
        masked_adamw,
        {"learning_rate": 0.1},
        partial(papers.adamw, weight_decay=1e-2),
        state_bytes=8,
    ),
    Row(
        "accumulate",
        partial(wrapped, lambda tx: gradtx.accumulate(tx, 1)),
        {"learning_rate": 0.1},
        papers.adam,
        state_bytes=12,
    ),
    Row(
        "apply_if_finite",
        partial(wrapped, lambda tx: gradtx.apply_if_finite(tx, 3)),
        {"learning_rate": 0.1},
        papers.adam,
        state_bytes=8,
        leafwise=False,
    ),
    Row(
        "partition",
        partial(wrapped, lambda tx: gradtx.partition({"all": tx}, "all")),
        {"learning_rate": 0.1},
        papers.adam,
        state_bytes=8,
    ),
    Row(
        "inject_hyperparams",
        gradtx.inject_hyperparams(gradtx.adam),
        {"learning_rate": 0.1},
        papers.adam,
        state_bytes=8,
    ),
    Row(
        "flatten",
        partial(wrapped, gradtx.flatten),
        {"learning_rate": 0.1},
        papers.adam,
        state_bytes=8,
    ),
    Row(
        "mechanize",
        mechanized,
        {"learning_rate": 1.0, "s_init": 0.1},
        partial(papers.mechanic, base=papers.sgd),
        state_bytes=16,  # the start, and four vectors of six numbers
        leafwise=False,
    ),
    Row(
        "schedule_free_sgd",
        gradtx.schedule_free_sgd,
        {"learning_rate": 0.5, "warmup_steps": 3, "weight_decay": 1e-2},
        papers.schedule_free,
        state_bytes=4,
        card=Card(
            "Schedule-Free SGD",
            "z ← z - η g, x ← (1-c) x + c z, p = (1-β) z + β x",
            "the number of steps is not known; evaluate with `eval_params`",
            "Defazio et al., 2024",
        ),
    ),
    Row(
        "schedule_free_adamw",
        gradtx.schedule_free_adamw,
        {"learning_rate": 0.1, "warmup_steps": 3, "b2": 0.99, "weight_decay": 1e-2},
        papers.schedule_free,
        state_bytes=8,
        card=Card(
            "Schedule-Free AdamW",
            "z ← z - η (g / (√v̂ + ε) + λ p), x ← (1-c) x + c z, p = (1-β) z + β x",
            "AdamW without a schedule; evaluate with `eval_params`",
            "Defazio et al., 2024",
        ),
    ),
    Row(
        "adadelta",
        gradtx.adadelta,
        {"learning_rate": 20.0, "weight_decay": 1e-3},
        papers.adadelta,
        state_bytes=8,
    ),
    Row(
        "adafactor",
        gradtx.adafactor,
        {"learning_rate": 0.1, "min_dim_size_to_factor": 2},
        papers.adafactor,
        state_bytes=5,
        shape=(4, 3),
    ),
    Row(
        "adafactor, momentum",
        gradtx.adafactor,
        {
            "learning_rate": 0.1,
            "factored": False,
            "momentum": 0.9,
            "dtype_momentum": None,
            "weight_decay_rate": 1e-4,
        },
        papers.adafactor,
        state_bytes=10,
    ),
    Row("adamax", gradtx.adamax, {"learning_rate": 0.1}, papers.adamax, state_bytes=8),
    Row(
        "adamaxw",
        gradtx.adamaxw,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        papers.adamax,
        state_bytes=8,
    ),
    Row(
        "adan",
        gradtx.adan,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        papers.adan,
        state_bytes=16,
    ),
    Row(
        "amsgrad",
        gradtx.amsgrad,
        {"learning_rate": 0.1},
        papers.amsgrad,
        state_bytes=12,
    ),
    Row(
        "amsgrad, not corrected",
        gradtx.amsgrad,
        {
            "learning_rate": 0.05,
            "b2": 0.99,
            "bias_correction_mu": False,
            "bias_correction_nu": False,
        },
        papers.amsgrad,
        state_bytes=12,
    ),
    Row(
        "distance over gradients",
        distance_over_gradients,
        {"learning_rate": 1.0, "reps_rel": 1e-2},
        papers.distance_over_gradients,
        state_bytes=5,
    ),
    Row(
        "fromage",
        gradtx.fromage,
        {"learning_rate": 0.05},
        papers.fromage,
        state_bytes=0,
    ),
    Row(
        "lamb",
        gradtx.lamb,
        {"learning_rate": 0.05, "weight_decay": 1e-3},
        papers.lamb,
        state_bytes=8,
    ),
    Row(
        "lars",
        gradtx.lars,
        {"learning_rate": 1.0, "trust_coefficient": 0.01, "weight_decay": 1e-3},
        papers.lars,
        state_bytes=4,
    ),
    Row(
        "novograd",
        gradtx.novograd,
        {"learning_rate": 0.02, "weight_decay": 1e-3},
        papers.novograd,
        state_bytes=4,
    ),
    Row(
        "optimistic gradient descent",
        gradtx.optimistic_gradient_descent,
        {"learning_rate": 0.1, "beta": 0.5},
        papers.optimistic,
        state_bytes=4,
    ),
    Row(
        "optimistic adam",
        gradtx.optimistic_adam_v2,
        {"learning_rate": 0.05},
        partial(papers.optimistic_adam, nesterov=True),
        state_bytes=12,
    ),
    Row("radam", gradtx.radam, {"learning_rate": 0.1}, papers.radam, state_bytes=8),
    Row(
        "rprop",
        gradtx.rprop,
        {"learning_rate": 0.1},
        papers.rprop,
        state_bytes=8,
        complex=False,
        paper_complex=False,
    ),
    Row(
        "sign_sgd",
        gradtx.sign_sgd,
        {"learning_rate": 0.05},
        papers.signum,
        state_bytes=0,
    ),
    Row(
        "signum",
        gradtx.signum,
        {"learning_rate": 0.05, "beta": 0.8},
        papers.signum,
        state_bytes=4,
    ),
    Row(
        "sm3",
        gradtx.sm3,
        {"learning_rate": 0.5},
        papers.sm3,
        state_bytes=7.5,
        shape=(4, 3),
        complex=False,
        paper_complex=False,
    ),
    Row("yogi", gradtx.yogi, {"learning_rate": 0.1}, papers.yogi, state_bytes=8),
    Row(
        "ademamix",
        contrib.ademamix,
        {"learning_rate": 0.1, "b3": 0.99, "weight_decay": 1e-2},
        papers.ademamix,
        state_bytes=12,
    ),
    Row(
        "ademamix, eps_root",
        contrib.ademamix,
        {"learning_rate": 0.05, "b3": 0.9, "alpha": 2.0, "eps_root": 1e-4},
        papers.ademamix,
        state_bytes=12,
    ),
    Row(
        "simplified_ademamix",
        contrib.simplified_ademamix,
        {"learning_rate": 0.02, "b1": 0.9, "alpha": 2.0, "weight_decay": 1e-2},
        papers.simplified_ademamix,
        state_bytes=8,
    ),
    Row(
        "adopt",
        contrib.adopt,
        {"learning_rate": 0.1},
        papers.adopt,
        state_bytes=8,
        waits=True,
    ),
    Row(
        "adopt, unclipped",
        contrib.adopt,
        {"learning_rate": 0.1, "eps": 1e-2, "nesterov": True, "use_clipping": False},
        papers.adopt,
        state_bytes=8,
        waits=True,
    ),
    Row(
        "acprop",
        contrib.acprop,
        {"learning_rate": 0.1, "eps": 1e-2, "weight_decay": 1e-2},
        papers.acprop,
        state_bytes=8,
    ),
    Row(
        "acprop, new mean",
        contrib.acprop,
        {"learning_rate": 0.1, "eps": 1e-2, "centre_on_new_mean": True},
        papers.acprop,
        state_bytes=8,
    ),
    Row(
        "madgrad",
        contrib.madgrad,
        {"learning_rate": 0.3, "weight_decay": 1e-3},
        papers.madgrad,
        state_bytes=12,
    ),
    Row(
        "madgrad, steady",
        contrib.scale_by_madgrad,
        {"learning_rate": 0.3, "momentum": 0.5, "eps": 1e-4},
        papers.madgrad,
        state_bytes=12,
    ),
    Row(
        "cocob",
        contrib.cocob,
        {"learning_rate": 1.0, "alpha": 10.0, "weight_decay": 1e-3},
        papers.cocob,
        state_bytes=20,
        complex=False,
        paper_complex=False,
    ),
    Row(
        "dog",
        contrib.dog,
        {"learning_rate": 1.0, "init_step": ("heuristic", 1e-2)},
        papers.dog,
        state_bytes=4,
        leafwise=False,
    ),
    Row(
        "dog, learning rate",
        contrib.dog,
        {
            "learning_rate": 1.0,
            "init_step": ("learning_rate", 0.1),
            "weight_decay": 1e-3,
        },
        papers.dog,
        state_bytes=4,
        leafwise=False,
    ),
    Row(
        "dowg",
        contrib.dowg,
        {"learning_rate": 1.0, "init_estim_sq_dist": 0.1, "weight_decay": 1e-3},
        papers.dowg,
        state_bytes=4,
        leafwise=False,
    ),
    Row(
        "dadapt_adamw",
        contrib.dadapt_adamw,
        {
            "learning_rate": 1.0,
            "betas": (0.8, 0.99),
            "estim_lr0": 1e-2,
            "weight_decay": 1e-2,
        },
        papers.dadapt_adamw,
        state_bytes=12,
        leafwise=False,
    ),
    Row(
        "prodigy",
        contrib.prodigy,
        {"learning_rate": 1.0, "estim_lr0": 1e-2},
        papers.prodigy,
        state_bytes=16,
        leafwise=False,
    ),
    Row(
        "prodigy, as in the paper",
        contrib.prodigy,
        {
            "learning_rate": 0.5,
            "beta3": 0.9,
            "estim_lr0": 1e-2,
            "estim_lr_coef": 0.5,
            "weight_decay": 1e-2,
            "safeguard_warmup": True,
            "use_bias_correction": False,
        },
        papers.prodigy,
        state_bytes=16,
        leafwise=False,
    ),
    Row(
        "momo",
        contrib.momo,
        {"learning_rate": 1.0, "weight_decay": 1e-3},
        None,
        state_bytes=4,
        needs=("value",),
        leafwise=False,
    ),
    Row(
        "momo, adapted",
        contrib.momo,
        {"learning_rate": 0.1, "lower_bound": -1.0, "adapt_lower_bound": True},
        None,
        state_bytes=4,
        needs=("value",),
        steps=300,
        leafwise=False,
    ),
    Row(
        "momo_adam",
        contrib.momo_adam,
        {"learning_rate": 0.2, "weight_decay": 1e-3},
        None,
        state_bytes=8,
        needs=("value",),
        leafwise=False,
    ),
    Row(
        "momo_adam, adapted",
        contrib.momo_adam,
        {"learning_rate": 0.1, "lower_bound": -1.0, "adapt_lower_bound": True},
        None,
        state_bytes=8,
        needs=("value",),
        steps=300,
        leafwise=False,
    ),
    Row(
        "sophia",
        contrib.sophia,
        {"learning_rate": 0.1, "gamma": 0.5},
        None,
        state_bytes=8,
        needs=("obj_fn",),
    ),
    Row(
        "sophia, as in the paper",
        contrib.sophia,
        {
            "learning_rate": 0.1,
            "gamma": 0.5,
            "update_interval": 3,
            "bias_correction": False,
            "curvature_first": True,
        },
        None,
        state_bytes=8,
        needs=("obj_fn",),
    ),
    Row(
        "dpsgd",
        privately,
        {
            "learning_rate": 0.2,
            "l2_norm_clip": 1.0,
            "noise_multiplier": 0.0,
            "momentum": 0.5,
        },
        papers.dpsgd,
        state_bytes=4,
        leafwise=False,
    ),
    Row(
        "muon",
        contrib.muon,
        {"learning_rate": 0.05, "consistent_rms": 0.8, "weight_decay": 0.01},
        papers.muon,
        state_bytes=6.5,
        shape=(4, 3),
        tolerance=1e-9,
    ),
    Row(
        "lbfgs",
        gradtx.lbfgs,
        {"learning_rate": 0.5, "memory_size": 3, "linesearch": None},
        None,
        state_bytes=33.5,
        leafwise=False,
    ),
    Row(
        "noisy_sgd",
        gradtx.noisy_sgd,
        {"learning_rate": 0.1, "eta": 1e-4},
        None,
        state_bytes=0,
    ),
    Row(
        "polyak_sgd",
        polyak,
        {"learning_rate": 1.0},
        None,
        state_bytes=0,
        needs=("value",),
        leafwise=False,
    ),
    *modifiers.ROWS,
]

NAMES = [row.name for row in ROWS]
METHODS = [row for row in ROWS if row.card]


def row(name: str) -> Row:
    """Return the row of that name."""
    return ROWS[NAMES.index(name)]
