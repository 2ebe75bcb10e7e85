"""What the methods' files share: a row of the catalogue, and the pieces of papers.

A paper is an independent oracle: about ten lines of NumPy, written from its source and
not from this library or another. It is called as ``method(p0, grads, **settings)`` with
the first parameters and the gradients of all steps, and returns the parameters after
every step, one row a step. A learning rate may be a number or a function of the step
counted from 0. It is written as a factory of its step: ``step(t, g, p)`` takes the step
counted from 1, the gradient and the parameters, and returns the new parameters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np

Array = Any
Step = Callable[[int, Array, Array], Array]
Rate = Any  # a number, or a function of the step counted from 0


@dataclass(frozen=True)
class Card:
    """What the README says of a method; its defaults come from its signature."""

    title: str
    equations: str  # u is what is added to the parameter
    when: str  # when to use it
    source: str


@dataclass(frozen=True)
class Row:
    """An optimizer as the tests make it."""

    name: str
    # Makes it from settings by keyword, `learning_rate` among them.
    make: Callable[..., Any]
    # Settings that descend a bowl; the paper is given the same.
    settings: dict[str, Any]
    # Follows the method in NumPy: `paper(p0, grads, **settings)`. None where the row
    # is held against an oracle of its own, in the file of tests that `oracle` names.
    paper: Callable[..., Any] | None
    # Bytes of state for each float32 parameter, counts left out.
    state_bytes: float
    # "tests/optimizers/test_momo.py": for a row without a paper, and for no other.
    oracle: str | None = None
    card: Card | None = None
    # Whether complex parameters work; otherwise they are refused with a reason.
    complex: bool = True
    # Whether the paper's NumPy holds for complex numbers.
    paper_complex: bool = True
    # Whether `learning_rate` is an argument, and may be a schedule.
    schedule: bool = True
    # Extra arguments that `update` wants, of: value, grad, value_fn, obj_fn.
    needs: tuple[str, ...] = ()
    # Steps in which the bowl's height falls to a twentieth.
    steps: int = 100
    # Whether every leaf is treated apart: what one does not touch, others do not feel.
    leafwise: bool = True
    # Whether the first step only looks at the gradient, and moves nothing.
    waits: bool = False
    # The shape of the parameter that the paper is followed with.
    shape: tuple[int, ...] = (7,)
    # Relative tolerance of the paper, in float64.
    tolerance: float = 1e-12

    def build(self, **changes: Any) -> Any:
        """Make the optimizer, with some settings changed."""
        return self.make(**{**self.settings, **changes})

    def follow(self, p0: Any, grads: Any, **changes: Any) -> Any:
        """Follow the paper, with some settings changed."""
        assert self.paper is not None
        return self.paper(p0, grads, **{**self.settings, **changes})


def paper(factory: Callable[..., Step]) -> Callable[..., Array]:
    """Turn a factory of steps into a function that follows them."""

    @wraps(factory)
    def follow(p0: Array, grads: Sequence[Array], **settings: Any) -> Array:
        step, path = factory(**settings), [np.asarray(p0)]
        for t, g in enumerate(grads, 1):
            path.append(step(t, np.asarray(g), path[-1]))
        return np.stack(path[1:])

    follow.factory = factory  # type: ignore[attr-defined]
    return follow


def at(rate: Rate, t: int) -> float:
    """The rate of step ``t``; schedules count from 0."""
    return rate(t - 1) if callable(rate) else rate


def abs_sq(x: Array) -> Array:
    """The square of the absolute value, real for complex numbers too."""
    return np.real(x * np.conj(x))


def sign(x: Array) -> Array:
    """The sign of every entry, of both parts apart where it is complex."""
    if np.iscomplexobj(x):
        return np.sign(x.real) + 1j * np.sign(x.imag)
    return np.sign(x)


def size(x: Array) -> float:
    """The 2-norm of one array."""
    return float(np.sqrt(np.sum(abs_sq(x))))


def dot(x: Array, y: Array) -> float:
    """Return Re⟨x, y⟩."""
    return float(np.sum(np.real(np.conj(x) * y)))
