"""How long the way of a gradient is: frames and files of this library on it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp

import gradtx

PACKAGE = Path(gradtx.__file__).parent


def watched(call: Callable[[], Any]) -> tuple[Any, int, set[str]]:
    """Return what a call returns, how deep it goes in our frames, and our files."""
    deepest, files = 0, set()

    def ours(frame: Any) -> bool:
        return frame.f_code.co_filename.startswith(str(PACKAGE))

    def look(frame: Any, _event: str, _: Any) -> None:
        nonlocal deepest
        if not ours(frame):
            return
        files.add(str(Path(frame.f_code.co_filename).relative_to(PACKAGE)))
        depth = 0
        while frame is not None:
            depth, frame = depth + ours(frame), frame.f_back
        deepest = max(deepest, depth)

    before = sys.gettrace()
    sys.settrace(look)
    try:
        result = call()
    finally:
        sys.settrace(before)
    return result, deepest, files


def test_the_way_of_a_gradient_is_short() -> None:
    """AdamW's first update outside of jit is 12 of our frames deep at most."""
    params = {"w": jnp.ones((3, 2)), "b": jnp.ones(3)}
    tx, _, built = watched(lambda: gradtx.adamw(1e-3, b2=0.95))
    state = tx.init(params)
    _, depth, entered = watched(lambda: tx.update(params, state, params))
    assert depth <= 12
    assert built | entered <= FILES


# One idea is one file here, and these are the ideas: the method; the chain of its
# links; the links downhill; what makes a transformation of a rule for one array; one
# program of it all; values, which remember their settings; what is refused; arithmetic.
# What only errors or rare states need is not entered.
FILES = {
    "optimizers/adam.py",
    "wrappers/chain.py",
    "primitives/downhill.py",
    "core/leafwise.py",
    "common/checks.py",
    "common/spec.py",
    "common/numerics.py",
    "lowering/eager.py",
}


def test_a_second_update_enters_three_files() -> None:
    """What is compiled already goes through the machine alone."""
    params = {"w": jnp.ones((3, 2)), "b": jnp.ones(3)}
    tx = gradtx.adamw(1e-3)
    state = tx.init(params)
    tx.update(params, state, params)
    _, depth, entered = watched(lambda: tx.update(params, state, params))
    assert depth <= 4
    assert entered <= {"lowering/eager.py", "common/spec.py", "common/checks.py"}
