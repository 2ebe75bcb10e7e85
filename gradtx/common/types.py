"""The words that the signatures of gradtx are written in."""

import enum
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import jax
from jax.typing import DTypeLike as DTypeLike

# A real number of any kind, perhaps traced: every setting of this type is a leaf of the
# transformation that it makes.
Scalar: TypeAlias = float | jax.Array

# An axis of devices within ``jax.shard_map``, or several; None for no sum over devices.
AxisName: TypeAlias = str | tuple[str, ...] | None

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
Static: TypeAlias = Annotated[Any, "fixed"]

# A mapping of which the order counts: it is kept as the tuple of its items, as JAX
# sorts dictionaries. The second is part of the structure besides.
InOrder: TypeAlias = Annotated[Any, "in order"]
FixedInOrder: TypeAlias = Annotated[Any, "fixed", "in order"]


class Role(enum.Enum):
    """What the arrays of a slot of state are, which says how they may be kept."""

    SECOND_MOMENT = "second moment"
    WEIGHTS = "weights"
    EXACT = "exact"


# What the fields of a state are declared as. They are plain trees to a type checker;
# gradtx.tree.roles reads what they are besides.

# Means or sums of squares, and of sizes: never negative, and slow.
SecondMoment: TypeAlias = Annotated[PyTree, Role.SECOND_MOMENT]

# Copies or averages of the parameters, and what is added to them.
Weights: TypeAlias = Annotated[PyTree, Role.WEIGHTS]

# Coefficients and other numbers that rounding would ruin.
Exact: TypeAlias = Annotated[PyTree, Role.EXACT]
