"""Optimizers by their names."""

from fnmatch import fnmatchcase
from typing import Any

from gradtx.core.transformation import GradientTransformation
from gradtx.saving.addresses import by_address, factory_at
from gradtx.saving.calls import called


class OptimizerList(dict[str, str]):
    """Names of optimizers, each with a line of what it is; printed a line each."""

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name.ljust(width)}  {line}" for name, line in self.items())


def get(name: str, **settings: Any) -> GradientTransformation:
    """Make a transformation by its name: ``get("adamw", learning_rate=1e-3)``.

    Args:
      name: as one would write it after ``gradtx.``, such as ``"adamw"`` or
        ``"like.torch.AdamW"``; :func:`list_optimizers` lists the optimizers.
      **settings: the arguments.

    Raises:
      ValueError: for an unknown name of a transformation or an argument, with the
        closest ones, and for an argument that is missing.

    Example:
      >>> tx, params = gradtx.get("sgd", learning_rate=0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    return called(factory_at(name), settings, name)


def list_optimizers(filter: str = "*") -> OptimizerList:  # noqa: A002
    """List the optimizers: what takes a learning rate and returns a transformation.

    Args:
      filter: which names to list, as a pattern with ``*`` and ``?``: ``"*muon*"``.

    Returns:
      A dictionary from names to the first lines of their documentation, printed a line
      each.

    Example:
      >>> print("adamw" in str(gradtx.list_optimizers("adam*")))
      True
    """
    found = {
        name: " ".join((x.__doc__ or "").strip().split("\n\n")[0].split())
        for name, x in sorted(by_address().items())
        if "." not in name and _is_optimizer(x) and fnmatchcase(name, filter)
    }
    return OptimizerList(found)


def _is_optimizer(x: Any) -> bool:
    factory = getattr(x, "factory", None)
    parameters = getattr(getattr(factory, "signature", None), "parameters", {})
    return "learning_rate" in parameters and ".optimizers." in x.__module__
