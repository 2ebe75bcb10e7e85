"""The encoded form of an array: its codes, its scales and the codec that reads them."""

import sys
from typing import Any

import jax

from gradtx.common.types import PyTree

_FIELDS = ("codes", "scales")
_TOLD: list[Any] = []


@jax.tree_util.register_pytree_with_keys_class
class Encoded:
    """A quantized array, as a pytree of the arrays that hold it.

    Attributes:
      codes: the quantized entries. Codes of whole bytes have the array's shape, so that
        they are sharded as the array is.
      scales: the largest size in each block; None where there are no blocks.
      codec: what reads them.
      shape: the shape of the array.
      dtype: the type of the array.

    Example:
      >>> encoded = gradtx.codecs.int8().encode(jnp.ones(4), 0)
      >>> print(encoded.codes.dtype, encoded.shape, encoded.dtype)
      int8 (4,) float32
    """

    def __init__(
        self, codes: Any, scales: Any, codec: Any, shape: tuple[int, ...], dtype: Any
    ) -> None:
        self.codes, self.scales = codes, scales
        self.codec, self.shape, self.dtype = codec, shape, dtype
        _make_known_to_flax()

    def decode(self) -> jax.Array:
        """Return the array."""
        return self.codec.decode(self)

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        return sum(x.nbytes for x in jax.tree.leaves(self))

    def __repr__(self) -> str:
        return f"Encoded({self.codec!r}, shape={self.shape}, dtype={self.dtype})"

    def tree_flatten_with_keys(self) -> tuple[Any, Any]:
        """Return the arrays with their names, and the static parts."""
        keys = map(jax.tree_util.GetAttrKey, _FIELDS)
        fixed = (self.codec, self.shape, self.dtype)
        return tuple(zip(keys, (self.codes, self.scales), strict=True)), fixed

    @classmethod
    def tree_unflatten(cls, fixed: Any, arrays: Any) -> "Encoded":
        """Put the parts together again."""
        return cls(*arrays, *fixed)


def _make_known_to_flax() -> None:
    """Tell Flax, if it is in use, how to save this; it asks for that of every class."""
    serialization = sys.modules.get("flax.serialization")
    if serialization is None or serialization in _TOLD:
        return
    _TOLD.append(serialization)
    serialization.register_serialization_state(
        Encoded,
        lambda x: {name: getattr(x, name) for name in _FIELDS},
        lambda x, kept: Encoded(
            kept["codes"], kept["scales"], x.codec, x.shape, x.dtype
        ),
    )


def is_encoded(x: Any) -> bool:
    """Whether this is a quantized array.

    Args:
      x: anything.

    Example:
      >>> encoded = gradtx.codecs.int8().encode(jnp.array([0.5, -1.0]), 0)
      >>> print(
      ...     gradtx.codecs.is_encoded(encoded), gradtx.codecs.is_encoded(jnp.ones(2))
      ... )
      True False
    """
    return isinstance(x, Encoded)


def decoded(tree: PyTree) -> PyTree:
    """Return the tree with every encoded array decoded; itself if there is none.

    Args:
      tree: a tree in which some arrays may be an :class:`Encoded`; the others stay.

    Example:
      >>> encoded = gradtx.codecs.int8().encode(jnp.array([0.5, -1.0]), 0)
      >>> print(gradtx.codecs.decoded({"a": encoded})["a"].round(1))
      [ 0.5 -1. ]
    """
    if not any(map(is_encoded, jax.tree.leaves(tree, is_leaf=is_encoded))):
        return tree
    return jax.tree.map(
        lambda x: x.decode() if is_encoded(x) else x, tree, is_leaf=is_encoded
    )


def encoded_like(like: PyTree, tree: PyTree) -> PyTree:
    """Return the tree with arrays encoded where another tree has them encoded.

    Args:
      like: a tree with encoded arrays.
      tree: a tree of the same structure, of plain arrays or of encoded ones.

    Example:
      >>> encoded = gradtx.codecs.int8().encode(jnp.array([0.5, -1.0]), 0)
      >>> print(
      ...     gradtx.codecs.is_encoded(gradtx.codecs.encoded_like(encoded, jnp.ones(2)))
      ... )
      True
    """
    return jax.tree.map(
        lambda old, x: old.codec.encode(x) if is_encoded(old) else x,
        like,
        decoded(tree),
        is_leaf=is_encoded,
    )
