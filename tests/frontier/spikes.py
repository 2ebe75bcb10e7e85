"""Gradients changed before the method, and spikes: how recorded cases are run."""

from collections.abc import Callable
from typing import Any

METHODS: dict[str, Callable[..., Any]] = {}
