"""Muon and its family, Dion and Scion: how recorded cases are run with gradtx."""

from collections.abc import Callable
from typing import Any

METHODS: dict[str, Callable[..., Any]] = {}
