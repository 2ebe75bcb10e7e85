"""Projections: from a tree to the nearest tree of a set.

Distances are Euclidean, over all leaves together. Half-precision leaves are computed in
float32, and every leaf leaves in the type it came in (integers as floats, where the
nearest tree is not made of integers).
"""

from gradtx.projections.box import (
    projection_box as projection_box,
    projection_hypercube as projection_hypercube,
    projection_linf_ball as projection_linf_ball,
    projection_non_negative as projection_non_negative,
)
from gradtx.projections.hyperplane import (
    projection_halfspace as projection_halfspace,
    projection_hyperplane as projection_hyperplane,
    projection_vector as projection_vector,
)
from gradtx.projections.simplex import (
    projection_l1_ball as projection_l1_ball,
    projection_l1_sphere as projection_l1_sphere,
    projection_simplex as projection_simplex,
)
from gradtx.projections.sphere import (
    projection_l2_ball as projection_l2_ball,
    projection_l2_sphere as projection_l2_sphere,
)
