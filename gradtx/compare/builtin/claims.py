"""What the papers claim of each method, beside what this run saw of it."""

from collections.abc import Callable, Iterator
from math import exp
from typing import NamedTuple

import numpy as np

from gradtx.compare.guide import against, factor
from gradtx.compare.measures import Comparison, Row, deviation

Evidence = Callable[[Comparison, Row], Iterator[str]]
ADAMW_DECAY = 0.01
CUSTOMARY = 0.001  # the rate that Adam is given where nobody tunes
NEAR = 0.01
PLAIN = ("sgd", "momentum", "nesterov")


class Claim(NamedTuple):
    """What a paper says, and how to look for it in a comparison."""

    sentence: str
    evidence: Evidence


def claims(comparison: Comparison) -> list[str]:
    """Write a paragraph for each method that trained at some rate."""
    rows = [row for row in comparison.rows if np.isfinite(row.loss)]
    told = [_paragraph(comparison, row) for row in rows] or ["Nothing to go by."]
    return [*told, *_adaptive(comparison.ranking)]


def _paragraph(comparison: Comparison, row: Row) -> str:
    claim, evidence = CLAIMS[row.name]
    seen = "; ".join(evidence(comparison, row)) or "nothing to compare it with"
    return f"**{row.title}.** {claim} *Here:* {seen}."


def _adaptive(ranking: list[Row]) -> Iterator[str]:
    plain = [row for row in ranking if row.name in PLAIN]
    scaled = [row for row in ranking if row.name not in PLAIN]
    if plain and scaled:
        one, two = scaled[0], plain[0]
        tests = f"{_accuracy(one):.1f} % against {_accuracy(two):.1f} %"
        yield (
            f"**One rate for all parameters, or one for each?** {one.title}, the best "
            f"that scales each, {against(one, two)}, the best that does not; on the "
            f"test split {tests}. Tuned adaptive methods should never do worse (arXiv "
            "1910.05446), though they may generalise worse (arXiv 1705.08292)."
        )


def _accuracy(row: Row) -> float:
    return 100 * float(row.measures["test accuracy"].mean())


def _versus(*others: str) -> Evidence:
    """Make the evidence that sets a method's loss against those of others."""

    def evidence(comparison: Comparison, row: Row) -> Iterator[str]:
        for other in filter(None, map(comparison.find, others)):
            yield f"it {against(row, other)}"

    return evidence


def _rate(row: Row, other: Row) -> str:
    factor = row.rate / other.rate
    if abs(factor - 1) < NEAR:
        return f"its best rate is {other.title}'s"
    more = f"{factor:.2g} times" if factor > 1 else f"1/{1 / factor:.2g} of"
    return f"its best rate is {more} {other.title}'s"


def _sgd(comparison: Comparison, row: Row) -> Iterator[str]:
    if momentum := comparison.find("momentum"):
        yield f"it {against(row, momentum)}"
        yield f"{_rate(row, momentum)} (a momentum of 0.9 makes each step about ten)"


def _steps(row: Row, other: Row) -> str:
    def told(steps: float) -> str:
        return f"{steps:.0f}" if np.isfinite(steps) else "never"

    return f"steps to the target: {told(row.steps)}, {other.title} {told(other.steps)}"


def _nesterov(comparison: Comparison, row: Row) -> Iterator[str]:
    if momentum := comparison.find("momentum"):
        yield f"it {against(row, momentum)}"
        yield _steps(row, momentum)


def _adam(_: Comparison, row: Row) -> Iterator[str]:
    works = row.low <= CUSTOMARY <= row.high
    yield (
        f"its best rate is {row.rate:.2g}, and the customary 0.001 "
        + ("meets the target too" if works else "misses the target")
    )


def _adamw(comparison: Comparison, row: Row) -> Iterator[str]:
    if adam := comparison.find("adam"):
        yield f"it {against(row, adam)}"
        shrunk = 100 * (1 - exp(-row.rate * ADAMW_DECAY * comparison.protocol.steps))
        yield (
            f"at its best rate the decay alone shrinks a weight by {shrunk:.1f} % over "
            "the whole run, so longer runs have more to gain"
        )


def _adabelief(comparison: Comparison, row: Row) -> Iterator[str]:
    if adam := comparison.find("adam"):
        yield f"it {against(row, adam)}"
        yield _steps(row, adam)
    if momentum := comparison.find("momentum"):
        yield (
            f"on the test split {_accuracy(row):.1f} %, SGD with momentum "
            f"{_accuracy(momentum):.1f} %"
        )


def _lookahead(comparison: Comparison, row: Row) -> Iterator[str]:
    if adam := comparison.find("adam"):
        yield f"it {against(row, adam)}"
        yield _rate(row, adam)
        yield f"its rates that work span {factor(row)}, Adam's {factor(adam)}"
    if adam and len(row.losses) > 1:
        yield (
            f"the {len(row.losses)} seeds spread by {deviation(row.losses):.3f}, "
            f"Adam's by {deviation(adam.losses):.3f}"
        )


def _lion(comparison: Comparison, row: Row) -> Iterator[str]:
    if adamw := comparison.find("adamw"):
        yield f"it {against(row, adamw)}"
        yield _rate(row, adamw)
        kept, theirs = row.cost.state_bytes, adamw.cost.state_bytes
        yield f"state: {kept:.0f} bytes, AdamW {theirs:.0f}"
        yield f"the batch of {comparison.task.batch_size} is far from the paper's 4,096"


CLAIMS: dict[str, Claim] = {
    "sgd": Claim(
        "Converges for rates that shrink slowly enough (Robbins and Monro, 1951), and "
        "keeps nothing but the parameters.",
        _sgd,
    ),
    "momentum": Claim(
        "Speeds up along narrow valleys (Polyak, 1964), and with good initial weights "
        "trains deep networks well (Sutskever et al., 2013).",
        _versus("sgd", "adam"),
    ),
    "nesterov": Claim(
        "Looks ahead before it corrects; faster than plain descent on smooth convex "
        "problems, provably (Nesterov, 1983; Sutskever et al., 2013).",
        _nesterov,
    ),
    "adam": Claim(
        "Steps do not depend on the gradient's scale, and the settings need little "
        "tuning (Kingma and Ba, arXiv 1412.6980).",
        _adam,
    ),
    "adamw": Claim(
        "Decay beside the gradient, not in it, separates its best value from the best "
        "rate and generalises better (Loshchilov and Hutter, arXiv 1711.05101).",
        _adamw,
    ),
    "adabelief": Claim(
        "As fast as Adam, generalises as SGD does, by trusting expected gradients "
        "(Zhuang et al., arXiv 2010.07468).",
        _adabelief,
    ),
    "lookahead": Claim(
        "Slow weights make the inner method steadier and less sensitive to its "
        "settings (Zhang et al., arXiv 1907.08610).",
        _lookahead,
    ),
    "rmsprop": Claim(
        "Divides by a recent size of the gradient (Hinton, 2012; Graves, arXiv "
        "1308.0850); Adam without momentum and bias correction, at half its state.",
        _versus("adam", "sgd"),
    ),
    "adagrad": Claim(
        "Gives rare features long steps, with a bound on the regret (Duchi et al., "
        "2011; McMahan and Streeter, arXiv 1002.4908); its steps only ever shrink.",
        _versus("rmsprop", "adam"),
    ),
    "lion": Claim(
        "Only the sign of the step counts: half of Adam's state, a rate 3 to 10 times "
        "below AdamW's, best with large batches (Chen et al., arXiv 2302.06675).",
        _lion,
    ),
    "muon": Claim(
        "Steps whose singular values are all near 1; half the work of AdamW on "
        "language models (Jordan et al., 2024; Liu et al., arXiv 2502.16982).",
        _versus("adamw"),
    ),
    "normuon": Claim(
        "Muon with one size for each neuron's step, in fewer steps than Muon (Li et "
        "al., arXiv 2510.05491).",
        _versus("adamw", "muon"),
    ),
    "soap": Claim(
        "Adam in the eigenbases of Shampoo's factors: 40 % fewer steps than AdamW "
        "(Vyas et al., arXiv 2409.11321).",
        _versus("adamw", "shampoo"),
    ),
    "kl_shampoo": Claim(
        "Factors of largest likelihood do as well as SOAP, without Adam's state (Lin "
        "et al., arXiv 2509.03378).",
        _versus("adamw", "soap"),
    ),
    "shampoo": Claim(
        "Second moments of rows and columns in place of those of entries (Gupta et "
        "al., arXiv 1802.09568; Shi et al., arXiv 2309.06497).",
        _versus("adamw"),
    ),
    "psgd_kron": Claim(
        "A Kronecker-factored preconditioner that is itself fitted by descent (Li, "
        "arXiv 1512.04202; arXiv 2211.04422).",
        _versus("adamw", "soap"),
    ),
}
