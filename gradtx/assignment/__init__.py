"""Assignment: the cheapest matching of rows and columns of a cost matrix."""

from gradtx.assignment.hungarian import (
    base_hungarian_algorithm as base_hungarian_algorithm,
    hungarian_algorithm as hungarian_algorithm,
)
