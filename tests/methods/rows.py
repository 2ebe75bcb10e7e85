"""What a row of the catalogue is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
    # is held against an oracle of its own elsewhere.
    paper: Callable[..., Any] | None
    # Bytes of state for each float32 parameter, counts left out.
    state_bytes: float
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
