"""Complex parameters as pairs of real ones."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx.wrappers.split_complex import split_real_and_imaginary

METHODS = [
    gradtx.adam(0.1),
    gradtx.lion(0.1),
    gradtx.lookahead(gradtx.adam(0.1), 2, 0.5),
]


@pytest.mark.parametrize("tx", METHODS, ids=str)
@pytest.mark.one_in(2)
def test_the_parts_move_as_real_parameters_do(tx: Any) -> None:
    """Real and imaginary parts move as two real leaves; real leaves as ever."""
    params = {"z": jnp.complex64([1 + 2j, -3 + 0.5j]), "x": jnp.float32([1, 2])}
    grads = [problems.noise(params, seed) for seed in range(3)]
    got = problems.trained(split_real_and_imaginary(tx), params, grads)

    def apart(tree: Any) -> Any:
        return {"re": tree["z"].real, "im": tree["z"].imag, "x": tree["x"]}

    expected = problems.trained(tx, apart(params), [apart(g) for g in grads])
    problems.assert_close(apart(got), expected)
    assert got["z"].dtype == jnp.complex64


def test_the_modulus_is_not_what_is_divided_by() -> None:
    """Adam's first step is the sign of each part, not z / |z| times √2."""
    z = jnp.complex64([3 - 4j])
    for tx, expected in (
        (split_real_and_imaginary(gradtx.adam(1.0)), -1 + 1j),
        (gradtx.adam(1.0), -0.6 + 0.8j),
    ):
        update, _ = jax.jit(tx.update)(z, tx.init(z), z)
        np.testing.assert_allclose(update[0], expected, rtol=1e-6)
