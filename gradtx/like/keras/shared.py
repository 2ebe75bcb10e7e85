"""The frame around every one of Keras's methods, and the arguments that all share."""

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec, TypedDict, Unpack

import jax

from gradtx.common import checks
from gradtx.common.types import (
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.apply_updates import apply_updates
from gradtx.core.leafwise import leafwise
from gradtx.core.masking import restrict
from gradtx.core.transformation import EmptyState, GradientTransformation
from gradtx.like.brought import foreign_signature, refuse
from gradtx.like.keras.accumulate import accumulated, at_steps
from gradtx.like.keras.average import averaged
from gradtx.like.keras.clip import clipped
from gradtx.like.shrink import shrink
from gradtx.optimizers.naming import names
from gradtx.primitives.scale import zeros_for
from gradtx.wrappers.chain import chain

P = ParamSpec("P")


class Frame(TypedDict, total=False):
    """The arguments that all of Keras's optimizers have, but for the decay."""

    clipnorm: Scalar | None
    clipvalue: Scalar | None
    global_clipnorm: Scalar | None
    use_ema: bool
    ema_momentum: Scalar
    ema_overwrite_frequency: int | None
    loss_scale_factor: Scalar | None
    gradient_accumulation_steps: int | None
    name: str | None
    exclude_from_weight_decay: Sequence[str] | None


class Shared(Frame, total=False):
    """The arguments that all of Keras's optimizers have."""

    weight_decay: Scalar | None


# Those that are not None by default.
_DEFAULTS = {"use_ema": False, "ema_momentum": 0.99}

# Those that Keras takes for "off" where they are 0.
_OFF_AT_ZERO = (
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "ema_overwrite_frequency",
    "gradient_accumulation_steps",
)

_DESCRIBED = {
    "weight_decay": "λ; p ← (1 - η λ) p before the step; None for none.",
    "clipnorm": "the largest norm of each leaf's gradient, at least 0; None for\n"
    "    none. At most one of the three bounds may be given.",
    "clipvalue": "the largest size of each entry of the gradients, at least 0.",
    "global_clipnorm": "the largest norm of all gradients together, at least 0; if\n"
    "    that is not finite, everything becomes NaN.",
    "use_ema": "whether to keep a running mean of the parameters, which\n"
    "    :func:`gradtx.eval_params` finds.",
    "ema_momentum": "how much of that mean is kept at each step, in [0, 1].",
    "ema_overwrite_frequency": "every how many steps the mean takes the place of the\n"
    "    parameters; None for never.",
    "loss_scale_factor": "is refused, as nothing here scales the loss.",
    "gradient_accumulation_steps": "step only every so many calls, at least 2, with\n"
    "    the mean of their gradients; None for at each call.",
    "name": "is shown when the transformation is printed, and does nothing.",
    "exclude_from_weight_decay": "regular expressions; a leaf in whose path, such as\n"
    '    "block/dense/bias", one is found does not decay. None for no such leaf.',
}


def like_keras(
    *off_at_zero: str,
) -> Callable[[Callable[P, GradientTransformation]], Callable[P, Any]]:
    """Make a factory of Keras's words; use it as a decorator.

    The ``**shared`` of the function become arguments of their own, in its signature
    and its docstring: after its own, before what it takes by keyword only.

    Args:
      *off_at_zero: the function's own arguments that are None where they are a plain 0.
    """

    def decorate(make: Callable[P, GradientTransformation]) -> Callable[P, Any]:
        own = inspect.signature(make).parameters
        added = [_parameter(k) for k in _DESCRIBED if k not in own]
        kept = [p for p in own.values() if p.kind is not p.VAR_KEYWORD]
        signature = inspect.Signature(sorted([*kept, *added], key=lambda p: p.kind))

        @functools.wraps(make)
        def spread(*args: P.args, **kwargs: P.kwargs) -> GradientTransformation:
            given: Any = signature.bind(*args, **kwargs).arguments
            return make(**given)  # type: ignore[call-arg]

        spread.__signature__ = signature  # type: ignore[attr-defined]
        # Since Python 3.13 docstrings lose their indentation where they are compiled.
        text = inspect.cleandoc(make.__doc__ or "")
        lines = [f"  {p.name}: {_DESCRIBED[p.name]}\n" for p in added]
        before, mark, after = text.partition("\nRaises:")
        spread.__doc__ = f"{before}{''.join(lines)}{mark}{after}"
        off = [name for name in _OFF_AT_ZERO if name not in own]
        return foreign_signature(*off_at_zero, *off)(spread)

    return decorate


def _parameter(name: str) -> inspect.Parameter:
    last = name == "exclude_from_weight_decay"  # in Keras it is a method
    kind = inspect.Parameter.KEYWORD_ONLY if last else _BY_PLACE
    default, annotation = _DEFAULTS.get(name), Shared.__annotations__[name]
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


_BY_PLACE = inspect.Parameter.POSITIONAL_OR_KEYWORD


def with_keras_options(
    method: Callable[[ScalarOrSchedule], GradientTransformation],
    learning_rate: ScalarOrSchedule,
    *,
    sees_decay: bool = False,
    **shared: Unpack[Shared],
) -> GradientTransformation:
    """Do what Keras does before and after every method's step.

    Args:
      method: makes the transformation to the step itself, downhill, of a rate.
      learning_rate: η, or a schedule of calls.
      sees_decay: whether the method looks at the parameters, which have decayed by
        then.
      **shared: the arguments that all share.

    Raises:
      ValueError: if a setting is out of its range.
    """
    refuse(loss_scale_factor=shared.get("loss_scale_factor"))
    checks.finite(learning_rate=learning_rate)
    every, weight_decay = (
        shared.get("gradient_accumulation_steps"),
        shared.get("weight_decay"),
    )
    calls = 1 if every is None else every
    rate = at_steps(learning_rate, calls)
    bounds = [shared.get(x) for x in ("clipnorm", "clipvalue", "global_clipnorm")]
    step = method(rate)
    if weight_decay is not None:
        excluded = shared.get("exclude_from_weight_decay")
        step = decayed(step, rate, weight_decay, excluded, sees_decay=sees_decay)
    tx = chain(clipped(*bounds), step)
    if every is not None:
        tx = accumulated(tx, every)
    if shared.get("use_ema", False):
        momentum = shared.get("ema_momentum", _DEFAULTS["ema_momentum"])
        tx = chain(tx, averaged(momentum, shared.get("ema_overwrite_frequency"), calls))
    return tx


def decayed(
    step: GradientTransformation,
    rate: ScalarOrSchedule,
    weight_decay: Scalar,
    excluded: Sequence[str] | None,
    *,
    sees_decay: bool = False,
) -> GradientTransformation:
    """Decay the parameters, and step.

    Args:
      step: a method's step.
      rate: η, or a schedule of steps.
      weight_decay: λ.
      excluded: regular expressions for the paths of leaves that do not decay.
      sees_decay: whether the method is shown what has decayed.
    """
    decay = shrink(rate, weight_decay)
    if excluded:
        patterns = (excluded,) if isinstance(excluded, str) else tuple(excluded)
        pattern = re.compile("|".join(f"(?:{x})" for x in patterns))
        decay = restrict(decay, functools.partial(_not_matched, pattern))
    if not sees_decay:
        return chain(step, decay)
    return _after(decay, step)


def _not_matched(pattern: re.Pattern[str], tree: PyTree) -> PyTree:
    def one(path: Any, _leaf: Any) -> bool:
        return pattern.search("/".join(names(path))) is None

    return jax.tree_util.tree_map_with_path(one, tree)


class DecayedState(NamedTuple):
    """What a step remembers that is shown the decayed parameters."""

    decay: OptState
    step: OptState


def _after(
    decay: GradientTransformation, step: GradientTransformation
) -> GradientTransformation:
    """Let a step see the parameters that have decayed, and add both."""
    add = leafwise(_sum, EmptyState)

    def init(params: Params) -> OptState:
        return DecayedState(decay.init(params), step.init(params))

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        nothing = zeros_for(updates, params)
        less, decay_state = decay.update(nothing, state.decay, params)
        seen = apply_updates(params, less)
        updates, step_state = step.update(updates, state.step, seen, **extra)
        total, _empty = add.update(updates, EmptyState(), less)
        return total, DecayedState(decay_state, step_state)

    return GradientTransformation(init, update)


def _sum(u: jax.Array, *, p: jax.Array) -> jax.Array:
    return u + p
