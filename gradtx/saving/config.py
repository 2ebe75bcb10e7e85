"""Transformations and schedules as plain data, and back."""

from typing import Any

from gradtx.common import arguments, checks, spec
from gradtx.saving import data
from gradtx.saving.addresses import address_of, factory_at
from gradtx.saving.calls import called
from gradtx.wrappers.hyperparams import Injected, inject_hyperparams

_CALL = frozenset({"name", "arguments"})
_INJECTED = frozenset({"inject_hyperparams", "arguments"})
RESERVED = (_CALL, _INJECTED)


def to_config(tx: Any) -> dict[str, Any]:
    """Write a transformation or a schedule as plain data, for JSON, YAML and the like.

        {"name": "sgd", "arguments": {"learning_rate": 0.1, "momentum": None, ...}}

    All arguments are written, defaults too, so that the same is read back when the
    defaults of a later version are others. What is no number, text, list or dictionary
    stands in an object with one key that tells, such as ``{"dtype": "bfloat16"}``.

    Args:
      tx: what a factory of this library made, or one of your own that is decorated with
        :func:`gradtx.transformation` and stands at the top of a module.

    Raises:
      ValueError: for what is not known by a name: a pair made by hand, a function, a
        traced number. The argument is named, and what to do.

    Example:
      >>> print(gradtx.to_config(gradtx.sgd(0.1))["name"])
      sgd
    """
    return _written(tx, "this")


def from_config(config: dict[str, Any]) -> Any:
    """Make what :func:`to_config` has written: equal to what was written.

    Nothing is imported or run but the factories that are named.

    Args:
      config: the dictionary, perhaps by way of JSON.

    Raises:
      ValueError: for an unknown name or argument, with the closest ones, and for what
        a factory refuses.

    Example:
      >>> tx, params = (
      ...     gradtx.from_config(gradtx.to_config(gradtx.sgd(0.1))),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    if not isinstance(config, dict) or frozenset(config) not in RESERVED:
        raise checks.InvalidArgument(
            "from_config takes what to_config returned, a dictionary of 'name' and "
            f"'arguments', got {config!r}"
        )
    return _read(config)


# --- written -------------------------------------------------------------------


def _written(x: Any, where: str) -> Any:
    if spec.is_value(x):
        return _call(x.recipe, where)
    return data.written(x, where, _written, RESERVED)


def _call(recipe: spec.Recipe, where: str) -> dict[str, Any]:
    factory = recipe.factory
    if isinstance(factory.public, Injected):
        inner, still, dtype = factory.origin  # type: ignore[attr-defined]
        head: dict[str, Any] = {
            "inject_hyperparams": {
                "inner_factory": _address(inner, where),
                "static_args": sorted(still),
                "hyperparam_dtype": data.written(dtype, where, _written, RESERVED),
            }
        }
    else:
        head = {"name": _address(factory.public, where)}
    return {**head, "arguments": _arguments(recipe)}


def _address(make: Any, where: str) -> str:
    address = address_of(make) if hasattr(make, "factory") else None
    if address is None:
        raise checks.InvalidArgument(
            f"to_config: {where} is made by {getattr(make, '__qualname__', make)}, "
            "which is not found by a name: define it at the top of a module, decorated "
            "with gradtx.transformation or gradtx.schedules.schedule"
        )
    return address


def _arguments(recipe: spec.Recipe) -> dict[str, Any]:
    written = {}
    for name, parameter in recipe.factory.signature.parameters.items():
        value = recipe.arguments[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            value = list(value)
        elif name in recipe.factory.ordered:
            value = _as_lists(value)
        where = f"the argument {name!r} of {recipe.factory.name}"
        try:
            written[name] = _written(value, where)
        except checks.InvalidArgument:
            if not arguments.same(recipe.arguments[name], parameter.default):
                raise
    return written


def _as_lists(value: Any) -> Any:
    """Write pairs as lists."""
    if type(value) is not tuple:
        return value
    return [list(x) if type(x) is tuple else x for x in value]


# --- read ----------------------------------------------------------------------


def _read(x: Any) -> Any:
    kind = frozenset(x) if isinstance(x, dict) else None
    if kind == _INJECTED:
        return _called(inject_hyperparams(**_injected(x["inject_hyperparams"])), x)
    if kind == _CALL:
        return _called(data.class_at(x["name"]) or factory_at(x["name"]), x)
    return data.read(x, _read)


def _injected(given: dict[str, Any]) -> dict[str, Any]:
    read = {name: _read(x) for name, x in given.items()}
    return {**read, "inner_factory": factory_at(read["inner_factory"])}


def _called(make: Any, config: dict[str, Any]) -> Any:
    if not isinstance(config["arguments"], dict):
        raise checks.InvalidArgument(
            f"'arguments' must be a dictionary, got {config['arguments']!r}"
        )
    given = {name: _read(x) for name, x in config["arguments"].items()}
    return called(make, given, str(config.get("name", "inject_hyperparams")))
