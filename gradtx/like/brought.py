"""What all the functions that speak another library's words have in common."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import jax
import numpy as np

from gradtx.common import checks
from gradtx.core.transformation import GradientTransformation, transformation

P = ParamSpec("P")

_INSTEAD = {
    "params": "leave it out, and give the parameters to tx.init(params)",
    "foreach": "leave it out: under jax.jit the compiler fuses the update",
    "fused": "leave it out: under jax.jit the compiler fuses the update",
    "capturable": "leave it out, and put jax.jit around the training step",
    "differentiable": "leave it out: every transformation can be differentiated",
    "use_triton": "leave it out: under jax.jit the compiler fuses the update",
    "loss_scale_factor": "leave it out, multiply the loss by the factor yourself, and "
    "begin with its inverse: chain(scale(1 / factor), ...)",
}


def foreign_signature(
    *off_at_zero: str,
) -> Callable[[Callable[P, GradientTransformation]], Callable[P, Any]]:
    """Make a factory that speaks another library's words; use it as a decorator.

    There 0 often means that a part is left out. Here a number may be traced, so that
    nothing can depend on its being 0; therefore a plain 0 is turned into None, which is
    part of the structure, before the transformation is made.

    Args:
      *off_at_zero: names of the arguments that are None in the factory where they are a
        plain 0 outside.
    """

    def decorate(make: Callable[P, GradientTransformation]) -> Callable[P, Any]:
        public: Any = transformation(make)
        factory = public.factory
        factory.signature = factory.signature.replace(
            parameters=[
                p.replace(default=None)
                if p.name in off_at_zero and _is_plain_zero(p.default)
                else p
                for p in factory.signature.parameters.values()
            ]
        )

        @functools.wraps(public)
        def face(*args: Any, **kwargs: Any) -> GradientTransformation:
            if args and "params" in factory.signature.parameters:
                _no_parameters(factory.name, args[0])
            given = factory.signature.bind(*args, **kwargs).arguments
            for name in off_at_zero:
                if _is_plain_zero(given.get(name)):
                    given[name] = None
            return public(**given)

        factory.public = face
        return face

    return decorate


def refuse(**arguments: Any) -> None:
    """Refuse arguments that mean nothing here, unless they are off.

    Raises:
      ValueError: that says what to do instead.
    """
    for name, value in arguments.items():
        if value is not None and value is not False:
            raise checks.InvalidArgument(
                f"{name} means nothing in gradtx: {_INSTEAD[name]}"
            )


def _no_parameters(owner: str, first: Any) -> None:
    """Refuse what is no learning rate: most likely it is the model's parameters."""
    number = isinstance(first, int | float | np.generic | jax.Array | np.ndarray)
    if (number or callable(first)) and not _holds_arrays(first):
        return
    raise checks.InvalidArgument(
        f"the first argument is the learning rate, got {type(first).__name__}: "
        f"if these are the parameters, {_INSTEAD['params']}"
    ).within(owner)


def _holds_arrays(x: Any) -> bool:
    """Whether ``x`` is a model: one may be callable, as a schedule is."""
    return any(np.ndim(leaf) > 0 for leaf in jax.tree.leaves(x) if not callable(leaf))


def _is_plain_zero(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.generic):
        return False
    return bool(value == 0)
