"""Write a method as a rule for one array, and have it checked."""

from typing import NamedTuple

import gradtx
import jax.numpy as jnp


class SoftSignState(NamedTuple):
    mu: object  # the mean of the gradients


def scale_by_soft_sign(b1=0.9):
    def rule(g, m):
        m = b1 * m + (1 - b1) * g
        return m / (1 + abs(m)), m

    return gradtx.leafwise(rule, SoftSignState, mu=jnp.zeros_like)


tx = gradtx.descend(scale_by_soft_sign(), 0.1, weight_decay=1e-2)
params = {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}
gradtx.testing.check(tx, params)  # raises, in words, if a law is broken
print("it keeps every law")
