"""Methods for matrices, told by their paths: taken into the comparison if asked for."""

from gradtx.common.types import PyTree, Scalar
from gradtx.compare.builtin.names import by_task
from gradtx.compare.method import Method
from gradtx.core.transformation import GradientTransformation
from gradtx.optimizers import (
    graft_by_rms,
    kl_shampoo,
    matrices,
    muon,
    normuon,
    psgd_kron,
    shampoo,
    soap,
)

DECAY = 0.01
"""As AdamW has it in the comparison."""


def routes(tree: PyTree) -> PyTree:
    """Tell by paths and shapes which leaves are matrices; the others are None."""
    return matrices(tree).tree


def _muon(rate: Scalar, weight_decay: Scalar = DECAY) -> GradientTransformation:
    return muon(
        rate,
        weight_decay=weight_decay,
        adam_weight_decay=weight_decay,
        muon_weight_dimension_numbers=routes,
        consistent_rms=0.2,
    )


def _normuon(rate: Scalar) -> GradientTransformation:
    return normuon(
        rate, weight_decay=DECAY, weight_dimension_numbers=routes, consistent_rms=0.2
    )


def _soap(rate: Scalar, weight_decay: Scalar = DECAY) -> GradientTransformation:
    return soap(rate, weight_decay=weight_decay, weight_dimension_numbers=routes)


def _kl_shampoo(rate: Scalar, weight_decay: Scalar = DECAY) -> GradientTransformation:
    return kl_shampoo(rate, weight_decay=weight_decay, weight_dimension_numbers=routes)


def _shampoo(rate: Scalar) -> GradientTransformation:
    return shampoo(
        rate,
        b2=0.95,
        eps=1e-8,
        weight_decay=DECAY,
        precondition_frequency=10,
        target_dims=None,
        graft=graft_by_rms(0.999),
        weight_dimension_numbers=routes,
    )


def _psgd_kron(rate: Scalar, weight_decay: Scalar = DECAY) -> GradientTransformation:
    return psgd_kron(
        rate, weight_decay=weight_decay, key=0, weight_dimension_numbers=routes
    )


MATRIX_METHODS = {
    method.name: method
    for method in (
        Method(
            "muon",
            "Muon",
            _muon,
            "steps of AdamW's size, AdamW for what is no matrix, weight decay 0.01",
            "#1B7837",
            (),
        ),
        Method(
            "normuon",
            "NorMuon",
            _normuon,
            "as Muon, beta 0.95, b2 0.95",
            "#7FBF7B",
            (5, 1.5),
        ),
        Method(
            "soap",
            "SOAP",
            _soap,
            "b1 0.95, b2 0.95, bases turned every 10 steps, weight decay 0.01",
            "#762A83",
            (),
        ),
        Method(
            "kl_shampoo",
            "KL-Shampoo",
            _kl_shampoo,
            "b1 0.9, factors 0.98 every 10 steps, AdamW for what is no matrix, "
            "weight decay 0.01",
            "#AF8DC3",
            (5, 1.5),
        ),
        Method(
            "shampoo",
            "Shampoo",
            _shampoo,
            "b1 0.9, b2 0.95, roots every 10 steps, steps of Adam's size, decay 0.01",
            "#B2182B",
            (),
        ),
        Method(
            "psgd_kron",
            "PSGD Kron",
            _psgd_kron,
            "b1 0.9, chance of an update falling from 1 to 0.03, weight decay 0.01",
            "#EF8A62",
            (6, 1.5, 1.5, 1.5),
        ),
    )
}

MATRIX_CENTRES = by_task(
    {
        "muon": (0.005, 0.01, 0.01, 0.01, 0.0025),
        "normuon": (0.005, 0.01, 0.01, 0.01, 0.0025),
        "soap": (0.005, 0.01, 0.01, 0.01, 0.0025),
        "kl_shampoo": (0.005, 0.01, 0.01, 0.01, 0.0025),
        "shampoo": (0.005, 0.01, 0.01, 0.01, 0.0025),
        "psgd_kron": (0.002, 0.005, 0.005, 0.005, 0.001),
    }
)
"""The learning rate in the middle of the first grid, for each task."""
