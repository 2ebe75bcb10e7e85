"""Coefficients of Newton-Schulz iterations, by name and as they are given."""

from typing import Any

from gradtx.common import checks

Triple = tuple[float, float, float]

KELLER = (3.4445, -4.7750, 2.0315)  # steep at 0: singular values end in [0.7, 1.2]

# Another triple at each step (leloykun and YouJiacheng, 2025).
QUINTIC = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)

# Grishina et al., 2025, https://arxiv.org/abs/2506.10935
CANS = (
    (8.4703, -25.1081, 18.6293),
    (4.1828, -3.1087, 0.5806),
    (3.9619, -2.9541, 0.5630),
    (3.2866, -2.4647, 0.5074),
    (2.2737, -1.6447, 0.4162),
)


def _safe(table: tuple[Triple, ...], margin: float) -> tuple[Triple, ...]:
    """Begin with X / margin instead of X, which keeps rounding errors below 1."""
    (a, b, c), *rest = table
    return ((a / margin, b / margin**3, c / margin**5), *rest)


# Amsel et al., 2025, https://arxiv.org/abs/2505.16932
POLAR_EXPRESS = _safe(
    (
        (8.156554524902461, -22.48329292557795, 15.878769915207462),
        (4.042929935166739, -2.808917465908714, 0.5000178451051316),
        (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
        (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
        (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
    ),
    1.02,
)

PRESETS: dict[str, Any] = {
    "standard": KELLER,
    "dion": QUINTIC,
    "keller": KELLER,
    "quintic": QUINTIC,
    "polar_express": POLAR_EXPRESS,
    "cans": CANS,
    "exact": ((2.0, -1.5, 0.5),) * 12,  # converges to 1, everywhere
}

# The last step of these brings what is near 1 nearer: it is the one to repeat.
_SETTLING = ("polar_express", "cans", "exact")


def named(coeffs: Any, steps: int | None = None) -> Any:
    """Return the coefficients of a known iteration, and numbers as they are.

    Args:
      coeffs: a name, or the coefficients themselves.
      steps: how many steps there are to be: a table by name is cut, or goes on with
        its last triple (from the start, for "quintic", which is no better for it); as
        it was published, if None.

    Raises:
      ValueError: if the name is not known.
    """
    if not isinstance(coeffs, str):
        return coeffs
    if coeffs not in PRESETS:
        raise checks.InvalidArgument(
            f"ns_coeffs must be numbers or one of {', '.join(PRESETS)}, got {coeffs!r}"
        )
    table = PRESETS[coeffs]
    if steps is None:
        return table
    rows = table if isinstance(table[0], tuple) else (table,)
    last = len(rows) - 1
    settles = coeffs in _SETTLING
    return tuple(rows[min(i, last) if settles else i % len(rows)] for i in range(steps))


def are_triples(coeffs: Any) -> None:
    """Refuse what is neither three numbers nor such triples; they may be traced."""
    if not isinstance(coeffs, tuple | list):
        return
    nested = [isinstance(x, tuple | list) for x in coeffs]
    rows = coeffs if any(nested) else [coeffs]
    if not all(isinstance(x, tuple | list) and len(x) == 3 for x in rows):  # noqa: PLR2004
        raise checks.InvalidArgument(
            "ns_coeffs must be three numbers or a sequence of such triples, got "
            f"{coeffs!r}"
        )
