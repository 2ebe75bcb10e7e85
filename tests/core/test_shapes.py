"""A state made of shapes alone: what is known without a single entry."""

from collections.abc import Callable
from typing import Any

import catalogue
import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from jax.sharding import AxisType

import gradtx
from gradtx import contrib

ADAM = gradtx.adam(0.1)
OTHERS: dict[str, Callable[[], Any]] = {
    "MultiSteps, skipping": lambda: gradtx.MultiSteps(
        ADAM, 2, should_skip_update_fn=gradtx.skip_not_finite
    ),
    "lookahead, pairs": lambda: gradtx.lookahead(ADAM, 2, 0.5),
    "sam": lambda: contrib.sam(ADAM, gradtx.sgd(0.1)),
    "galore": lambda: contrib.galore(0.1, rank=2),
    "dog, heuristic": lambda: contrib.dog(init_step=("heuristic", 1e-3)),
    "monitor": lambda: gradtx.monitor(
        {"n": gradtx.tree.norm, "m": gradtx.measure_with_ema(gradtx.tree.norm, 0.9)}
    ),
    "split": lambda: contrib.split_real_and_imaginary(ADAM),
    "quantized": lambda: gradtx.quantize_state(ADAM, min_size=0),
    "master": lambda: gradtx.with_master_weights(ADAM),
    "compensation": lambda: gradtx.with_compensation(ADAM),
    "stochastic": lambda: gradtx.with_stochastic_rounding(ADAM),
    "conditionally": lambda: gradtx.conditionally_mask(ADAM, lambda step: step > 1),
    "plateau": lambda: gradtx.chain(ADAM, contrib.reduce_on_plateau()),
    "search": gradtx.lbfgs,
    "packed": lambda: gradtx.pack_small_leaves(ADAM, 20),
    "keras": lambda: gradtx.like.keras.SGD(0.1, momentum=0.9, use_ema=True),
}
EVERY = {row.name: row.build for row in catalogue.ROWS} | OTHERS


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.one_in(8)
def test_shapes_suffice(name: str) -> None:
    """The state has the structure, shapes and types that arrays would give it.

    What starts from no entry is there as it will be; what does is a shape itself.
    """
    tx, params = EVERY[name](), problems.mixed_tree()
    if name == "lookahead, pairs":
        params = gradtx.LookaheadParams.init_synced(params)
    got = tx.init(jax.eval_shape(lambda: params))
    expected = tx.init(params)
    assert problems.shapes(got) == problems.shapes(expected)
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert isinstance(x, jax.ShapeDtypeStruct) or problems.same(x, y)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_shapes_on_a_mesh(kind: AxisType) -> None:
    """Of sharded shapes the arrays lie as the parameters will, packed ones whole.

    On a mesh with explicit axes the packed leaves are those that are packed in a step.
    """
    over = problems.mesh(kind)
    params = problems.spread({"a": jnp.ones(2), "b": jnp.ones(3)}, over)
    params["w"] = problems.spread(jnp.ones((8, 2)), over)

    def shape_of(x: Any) -> Any:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)

    for tx in (ADAM, gradtx.pack_small_leaves(ADAM, 16)):
        with jax.set_mesh(over):
            expected = tx.init(params)
        got = tx.init(jax.tree.map(shape_of, params))
        assert problems.shapes(got) == problems.shapes(expected)
        for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            assert x.sharding.is_equivalent_to(y.sharding, x.ndim)
    with jax.set_mesh(over):
        unplaced = jax.eval_shape(lambda: params)
        assert problems.shapes(tx.init(unplaced)) == problems.shapes(expected)
    small = gradtx.pack_small_leaves(ADAM, 20).init(jax.tree.map(shape_of, params))
    size = small.inner_state[0].mu.small["float32"].size
    assert size == (5 if kind is AxisType.Explicit else 21)
    np.testing.assert_array_equal(small.inner_state[0].mu.small["float32"], 0)
