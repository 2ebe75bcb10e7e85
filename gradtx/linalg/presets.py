"""Coefficients of Newton-Schulz iterations, by name and as they are given."""

from typing import Any

from gradtx.common import checks
from gradtx.linalg.orthogonal import QUINTIC

PRESETS: dict[str, Any] = {
    "standard": QUINTIC,
    # Ahn et al., 2025: another triple at each step.
    "dion": (
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
}


def named(name: str) -> Any:
    """Return the coefficients of a known iteration."""
    if name not in PRESETS:
        raise checks.Misuse(
            f"ns_coeffs must be numbers or one of {', '.join(PRESETS)}, got {name!r}"
        )
    return PRESETS[name]


def are_triples(coeffs: Any) -> None:
    """Refuse what is neither three numbers nor such triples; they may be traced."""
    if not isinstance(coeffs, tuple | list):
        return
    nested = [isinstance(x, tuple | list) for x in coeffs]
    rows = coeffs if any(nested) else [coeffs]
    if not all(isinstance(x, tuple | list) and len(x) == 3 for x in rows):  # noqa: PLR2004
        raise checks.Misuse(
            "ns_coeffs must be three numbers or a sequence of such triples, got "
            f"{coeffs!r}"
        )
