"""What other libraries need from gradtx, or hold its arrays in, where they are loaded.

gradtx imports none of them: each is looked for among the modules that the program has
imported already.
"""

import sys
from typing import Any

import jax

from gradtx.common.types import PyTree


def is_instance(x: Any, module: str, name: str) -> bool:
    """Whether ``x`` is of a class of another library, which may not be loaded.

    Args:
      x: anything.
      module: the module that the class is reached by, such as ``"optax"``.
      name: the name of the class.
    """
    cls = getattr(sys.modules.get(module), name, None)
    return isinstance(cls, type) and isinstance(x, cls)


class OptaxTransformation:
    """A pair that ``isinstance`` takes for a transformation of optax's too.

    optax gives extra arguments, such as ``value=``, only to instances of its own class
    ``GradientTransformationExtraArgs``, and many a program asks whether it was given an
    ``optax.GradientTransformation``. Both are named tuples of ``init`` and ``update``,
    which ours is in all but descent, and cannot be told of other classes. But
    ``isinstance(x, C)`` asks for ``x.__class__`` where ``type(x)`` is no C; proxies and
    :mod:`unittest.mock` rest on that. So the attribute answers optax's class as soon as
    a program has imported optax. ``type(x)`` stays ours, and so does all that goes by
    it: pytrees, copies, hashes. What goes by the attribute is given here: pickling and
    the printed form of a named tuple.
    """

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        """Return optax's class with extra arguments if there is one, else our own."""
        optax = sys.modules.get("optax")
        return getattr(optax, "GradientTransformationExtraArgs", type(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), tuple(self)  # type: ignore[call-overload]

    def __repr__(self) -> str:
        fields = ", ".join(f"{k}={x!r}" for k, x in self._asdict().items())  # type: ignore[attr-defined]
        return f"{type(self).__name__}({fields})"


def optax_placeholder() -> type[Any] | None:
    """Return the class that stands for all parameters in optax, if it is loaded."""
    utilities = sys.modules.get("optax.tree_utils._state_utils")
    return getattr(utilities, "_ParamsPlaceholder", None)


def is_variable(x: Any) -> bool:
    """Whether this is what ``nnx`` of Flax keeps an array in."""
    return is_instance(x, "flax.nnx", "Variable")


def plain(tree: PyTree) -> PyTree:
    """Return the tree without the variables of Flax, in which ``nnx`` keeps arrays."""
    return jax.tree.map(
        lambda x: x.get_value() if is_variable(x) else x, tree, is_leaf=is_variable
    )
