"""The words that the signatures of gradtx are written in."""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import jax
from jax.typing import DTypeLike as DTypeLike

# A real number of any kind, perhaps traced: every setting of this type is a leaf of the
# transformation that it makes.
Scalar: TypeAlias = float | jax.Array

# From the number of steps already taken (0 at the first) to a value.
Schedule: TypeAlias = Callable[[Any], Scalar]
ScalarOrSchedule: TypeAlias = Scalar | Schedule

PyTree: TypeAlias = Any
ArrayTree: TypeAlias = PyTree
Params: TypeAlias = PyTree
Updates: TypeAlias = PyTree
OptState: TypeAlias = PyTree
# An int32 scalar. In a NamedTuple a field `count` overrides the tuple's method of that
# name, which a type checker allows for this type only.
Count: TypeAlias = Any

# A tree of booleans shaped like the parameters (or a prefix of them), or the
# function that makes it from them.
MaskOrFn: TypeAlias = PyTree | Callable[[Params], PyTree]

# An argument that is part of the structure whatever it is: no leaf of it is a number.
Fixed: TypeAlias = Annotated[Any, "fixed"]
