"""Compile a training step as fast as the backend at hand allows."""

from collections.abc import Callable, Sequence
from functools import cache, partial, update_wrapper
from types import MappingProxyType
from typing import Any

import jax
from jax.core import Tracer

# What each compiler is asked for besides its defaults. On a CPU, XLA copies a moment
# that is both read and replaced in place unless it looks closely at which reader comes
# first: Lion and AdaBelief then need a fresh buffer as large as the parameters at every
# step, whose page faults cost more than the arithmetic.
HELPFUL = MappingProxyType(
    {"cpu": {"xla_cpu_copy_insertion_use_region_analysis": True}}
)


def jit_step(
    step: Callable[..., Any],
    *,
    donate_argnums: int | Sequence[int] = (0, 1),
    compiler_options: dict[str, Any] | None = None,
    **options: Any,
) -> "CompiledStep":
    """Compile a training step that replaces its parameters and state.

        step = jit_step(step)
        params, state, loss = step(params, state, batch)

    This is ``jax.jit`` with two habits. The first two arguments are donated: the new
    parameters and state take the place of the old ones, which must not be used again.
    And the compiler of the backend on which the arguments lie is asked for what helps:

    * on CPU, ``xla_cpu_copy_insertion_use_region_analysis``, so that a moment that is
      read and replaced in one step (Lion, AdaBelief) is not copied first;
    * on GPU and TPU nothing: their compilers bring these steps to the least traffic.

    An option that this version of the compiler does not know is left out. Results are
    those of ``jax.jit``. For what only the environment can set on CPU, see the README.

    Args:
      step: a function of arrays, such as one that calls ``tx.update`` and
        ``apply_updates``.
      donate_argnums: which arguments are replaced; 0 for a step of one train state and
        a batch, () for none. Those of a method count from its object, which is 0 and
        static: ``functools.partial(jit_step, static_argnums=0, donate_argnums=(1, 2))``
        decorates one.
      compiler_options: more options of the compiler; they win over these.
      **options: what else ``jax.jit`` takes, such as ``static_argnames``.

    Returns:
      A function that is called as ``step`` is; it has ``lower`` and ``trace`` as
      jitted functions have.

    Example:
      >>> tx, params = gradtx.sgd(0.1), jnp.ones(2)
      >>> def step(params, state):
      ...     updates, state = tx.update(params, state, params)
      ...     return gradtx.apply_updates(params, updates), state
      >>> params, state = gradtx.jit_step(step)(params, tx.init(params))
      >>> print(params)
      [0.9 0.9]
    """
    return CompiledStep(
        step, {"donate_argnums": donate_argnums, **options}, compiler_options or {}
    )


class CompiledStep:
    """What :func:`jit_step` makes: a step for whichever backend it is called on."""

    def __init__(
        self, step: Callable[..., Any], options: dict[str, Any], asked: dict[str, Any]
    ) -> None:
        """Keep the step and the options; nothing is compiled yet."""
        update_wrapper(self, step)
        self._within = jax.jit(step, **options)

        @cache
        def on(platform: str) -> Any:
            helpful = {**known_options(platform), **asked}
            return jax.jit(step, compiler_options=helpful or None, **options)

        self._on = on

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a step."""
        return self._for(args, kwargs)(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the step of an object, as for any method."""
        return self if instance is None else _Bound(self, instance)

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """Lower the step for arguments of such shapes, as jitted functions do."""
        return self._for(args, kwargs).lower(*args, **kwargs)

    def trace(self, *args: Any, **kwargs: Any) -> Any:
        """Trace the step for arguments of such shapes, as jitted functions do."""
        return self._for(args, kwargs).trace(*args, **kwargs)

    def _for(self, args: Any, kwargs: Any) -> Any:
        leaves = jax.tree.leaves((args, kwargs))
        if any(isinstance(x, Tracer) for x in leaves):
            return self._within  # the outer program's options hold for all of it
        return self._on(_platform(leaves))


class _Bound:
    """A compiled step that is given its object first."""

    def __init__(self, step: CompiledStep, instance: Any) -> None:
        update_wrapper(self, step)
        self.__func__, self.__self__ = step, instance
        for name in ("lower", "trace"):
            setattr(self, name, partial(getattr(step, name), instance))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)


def _platform(leaves: list[Any]) -> str:
    for x in leaves:
        sharding = getattr(x, "sharding", None)
        if sharding is not None:
            return next(iter(sharding.device_set)).platform
    return jax.default_backend()


@cache
def known_options(platform: str) -> dict[str, Any]:
    """Return the helpful options that the compiler of a platform knows."""
    helpful = HELPFUL.get(platform, {})
    return {k: v for k, v in helpful.items() if _known(platform, k, v)}


def _known(platform: str, name: str, value: Any) -> bool:
    try:
        with jax.default_device(jax.local_devices(backend=platform)[0]):
            jax.jit(lambda x: x, compiler_options={name: value}).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
