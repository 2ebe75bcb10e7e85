"""Differentiable perturbed functions: smoothed by noise, with unbiased gradients."""

from gradtx.perturbations.diagonal import (
    MultiNormalDiagFromLogScale as MultiNormalDiagFromLogScale,
    multi_normal as multi_normal,
)
from gradtx.perturbations.noise import Gumbel as Gumbel, Normal as Normal
from gradtx.perturbations.perturbed import make_perturbed_fun as make_perturbed_fun
