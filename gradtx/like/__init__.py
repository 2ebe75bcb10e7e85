"""Constructors with other libraries' signatures, defaults and trajectories.

Each function has the argument names, order and defaults of the library that it is named
after, and returns a transformation with that library's trajectory. Where a setting is a
number, it may be traced; where the library has a learning rate, a schedule may stand.
"""

from gradtx.like import (
    authors as authors,
    keras as keras,
    optax as optax,
    torch as torch,
)
