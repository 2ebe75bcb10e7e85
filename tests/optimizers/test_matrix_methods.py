"""What holds for all methods that treat arrays as matrices."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx import MatrixAxes, MuonDimensionNumbers

STACKED = MuonDimensionNumbers(1, 2)
Tree = Any

# With the settings by which a costly part runs in some of a few steps.
DIRECTIONS: dict[str, Callable[..., Any]] = {
    "soap": partial(gradtx.scale_by_soap, precondition_frequency=2),
    "kl_soap": partial(gradtx.scale_by_kl_soap, precondition_frequency=2),
    "kl_shampoo": partial(gradtx.scale_by_kl_shampoo, precondition_frequency=2),
    "shampoo": partial(gradtx.scale_by_shampoo, precondition_frequency=2),
    "corrected_shampoo": partial(
        gradtx.scale_by_corrected_shampoo, precondition_frequency=2
    ),
    "psgd_kron": partial(
        gradtx.scale_by_psgd_kron, preconditioner_update_probability=0.5
    ),
    "splus": partial(gradtx.scale_by_splus, inverse_every=2),
}
every_direction = pytest.mark.parametrize("name", DIRECTIONS)

COSTLY = ("eigh", "geqrf", "householder_product", "qr", "triangular_solve")


def primitives(jaxpr: Any) -> list[tuple[str, bool]]:
    """Return the names of all operations, and whether they stand in a loop."""
    found = problems.operations(jaxpr)
    return [(equation.primitive.name, inside) for equation, inside in found]


def gradients(tree: Tree, seed: int) -> Tree:
    """Return normal numbers shaped and typed like a tree."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), tree)


@every_direction
@pytest.mark.one_in(2)
def test_equal_shapes_are_done_at_once_and_not_in_every_step(name: str) -> None:
    """Leaves of one shape go through one decomposition, which stands in a condition."""
    params = {k: jnp.ones((3, 3)) for k in "abc"}
    tx = DIRECTIONS[name]()
    two, many = (
        [
            (op, inside)
            for op, inside in primitives(
                jax.make_jaxpr(tx.update)(some, tx.init(some), some).jaxpr
            )
            if op in COSTLY
        ]
        for some in ({k: params[k] for k in "ab"}, params)
    )
    assert two
    assert len(many) == len(two)
    assert all(inside for _, inside in many)


@every_direction
@pytest.mark.one_in(9)
def test_leading_axes_are_batches(name: str) -> None:
    """Experts in one array are treated as matrices in arrays of their own.

    One of them has no gradient at all, and the rest moves as if it were not there.
    """
    stack = {"w": jnp.ones((3, 4, 4))}
    apart = {str(i): jnp.ones((4, 4)) for i in range(3)}
    grads = [gradients(stack, seed) for seed in range(4)]
    grads = [{"w": g["w"].at[1].set(0)} for g in grads]
    given = {"probes": gradients(stack, 9), "balance": True}
    extra = given if name == "psgd_kron" else {}
    pieces = {**extra}
    if extra:
        pieces["probes"] = {str(i): given["probes"]["w"][i] for i in range(3)}
    whole = DIRECTIONS[name](weight_dimension_numbers=STACKED)
    each = DIRECTIONS[name](
        **({"target_dims": None} if "shampoo" in name and "kl" not in name else {})
    )
    states = whole.init(stack), each.init(apart)
    steps = jax.jit(whole.update), jax.jit(each.update)
    for g in grads:
        u, state = steps[0](g, states[0], stack, **extra)
        split = {str(i): g["w"][i] for i in range(3)}
        v, other = steps[1](split, states[1], apart, **pieces)
        states = state, other
        assert np.isfinite(u["w"]).all()
        for i in range(3):
            np.testing.assert_allclose(u["w"][i], v[str(i)], rtol=2e-4, atol=2e-5)


@pytest.mark.exhaustive
@every_direction
def test_heads_and_splits_are_matrices_apart(name: str) -> None:
    """What is fused steps as separate parameters do, each with factors of its own."""
    numbers = {"q": MatrixAxes(1, 2, heads=2), "kv": MatrixAxes(splits=(3, 4, 4))}
    fused = {"q": jnp.ones((2, 4, 8)), "kv": jnp.ones((4, 11))}

    def apart(tree: Tree) -> Tree:
        return {
            "q": [jnp.split(x, 2, axis=1) for x in tree["q"]],
            "kv": jnp.split(tree["kv"], [3, 7], axis=1),
        }

    pieces = apart(fused)
    both = [(fused, numbers), (pieces, jax.tree.map(lambda _: MatrixAxes(), pieces))]
    given = gradients(fused, 9)
    probes = [{}, {}]
    if name == "psgd_kron":
        probes = [{"probes": x, "balance": True} for x in (given, apart(given))]
    txs = [DIRECTIONS[name](weight_dimension_numbers=which) for _, which in both]
    steps = [jax.jit(tx.update) for tx in txs]
    states = [tx.init(p) for tx, (p, _) in zip(txs, both, strict=True)]
    for seed in range(4):
        g = gradients(fused, seed)
        found = []
        for i, grads in enumerate((g, apart(g))):
            u, states[i] = steps[i](grads, states[i], both[i][0], **probes[i])
            found.append(u if i else apart(u))
        for one, other in zip(*map(jax.tree.leaves, found), strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
    wrong = DIRECTIONS[name](weight_dimension_numbers=MatrixAxes(splits=(1, 2)))
    with pytest.raises(ValueError, match=r"4 columns.*\['w'\].*cut"):
        wrong.init({"w": jnp.ones((2, 4))})


@every_direction
@pytest.mark.one_in(9)
def test_nothing_is_nan(name: str) -> None:
    """Whatever gradients come, in whatever type, updates and state stay finite.

    Zeros, one direction alone, an expert without any, rows and columns; tiny and huge.
    """
    numbers: Any = {"row": MuonDimensionNumbers(), "column": MuonDimensionNumbers()}
    numbers |= {"low": MuonDimensionNumbers(), "experts": STACKED}
    shapes = {"row": (1, 3), "column": (3, 1), "low": (3, 3), "experts": (2, 3, 3)}
    if "kl" not in name:
        shapes |= {"vector": (3,), "scalar": ()}
        numbers |= {"vector": None, "scalar": None}
    kinds = ("float32", "bfloat16", "float16")
    params = {kind: {k: jnp.ones(s, kind) for k, s in shapes.items()} for kind in kinds}
    tx = DIRECTIONS[name](weight_dimension_numbers=dict.fromkeys(kinds, numbers))
    state, step = tx.init(params), jax.jit(tx.update)

    def grads(size: float, small: float, seed: int) -> Tree:
        def one(path: Any, x: Any) -> Any:
            factor = size if x.dtype == jnp.float32 else small
            g = factor * x.astype(jnp.float32)
            if path[-1].key == "low":  # of rank one
                g = jnp.broadcast_to(g[:1], g.shape)
            return (g.at[0].set(0) if path[-1].key == "experts" else g).astype(x.dtype)

        return jax.tree_util.tree_map_with_path(one, gradients(params, seed))

    sizes = [(0, 0), (1, 1), (1e-30, 1e-6), (1e-30, 1e-6), (0, 0), (1e20, 300)]
    for seed, (size, small) in enumerate([*sizes, (1e20, 300), (1, 1), (1, 1)]):
        updates, state = step(grads(size, small, seed), state, params)
        for path, x in jax.tree_util.tree_leaves_with_path((updates, state)):
            if jnp.issubdtype(x.dtype, jnp.floating):
                assert np.isfinite(np.asarray(x, np.float64)).all(), (seed, path)


@every_direction
def test_state_is_bounded_on_an_embedding(name: str) -> None:
    """A vocabulary of 50,257 has no factor of its own by default."""
    params = {"embedding": jax.ShapeDtypeStruct((50_257, 768), jnp.float32)}
    state = jax.eval_shape(DIRECTIONS[name]().init, params)
    size = sum(x.size for x in jax.tree.leaves(state))
    assert size < 7 * 50_257 * 768


@every_direction
@pytest.mark.one_in(6)
def test_what_is_costly_is_kept_in_between(name: str) -> None:
    """In a step that is not due, bases, roots, or the factors of PSGD stay."""
    params = {"w": jnp.ones((3, 3))}
    tx = DIRECTIONS[name]()
    field = {"shampoo": "roots", "psgd_kron": "factors"}.get(name, "bases")
    state, changed = tx.init(params), []
    step = jax.jit(tx.update)
    for seed in range(6):
        old = getattr(state, field)
        _, state = step(gradients(params, seed), state, params)
        new = getattr(state, field)
        same = jax.tree.map(lambda x, y: bool((x == y).all()), old, new)
        changed.append(not all(jax.tree.leaves(same)))
    expected = [False, True] * 3
    if name in ("soap", "kl_soap", "kl_shampoo"):  # the first step makes the first
        expected = [True, False] * 3
    if name == "splus":
        expected = [True, True, False, True, False, True]
    assert changed == expected


def test_leaves_that_are_no_matrices_are_told() -> None:
    """KL-Shampoo refuses a vector by its path, and its optimizer gives it to AdamW."""
    params = {"b": jnp.ones(3), "w": jnp.ones((3, 3))}
    with pytest.raises(ValueError, match=r"kl_shampoo.*\['b'\]"):
        gradtx.scale_by_kl_shampoo().init(params)
    tx = gradtx.kl_shampoo(0.1, weight_decay=None)
    adam = gradtx.adam(0.1)
    grads = gradients(params, 0)
    updates, _ = tx.update(grads, tx.init(params), params)
    expected, _ = adam.update(grads, adam.init(params), params)
    np.testing.assert_allclose(updates["b"], expected["b"], rtol=1e-6)
    assert (updates["w"] == 0).all()


@pytest.mark.parametrize("name", ["soap", "psgd_kron", "shampoo", "splus"])
@pytest.mark.one_in(6)
def test_few_bits_are_for_the_means_only(name: str) -> None:
    """`quantize_state` leaves factors, bases and roots alone, by default."""
    params = {"w": jnp.ones((8, 8))}
    tx = gradtx.quantize_state(DIRECTIONS[name](), min_size=1)
    state = jax.jit(tx.init)(params).inner_state
    encoded = gradtx.codecs.is_encoded
    assert encoded(state.mu["w"])
    for field in {"factors", "bases", "roots"} & set(state._fields):
        leaves = jax.tree.leaves(getattr(state, field), is_leaf=encoded)
        assert not any(map(encoded, leaves)), field
    updates, _ = tx.update(gradients(params, 0), tx.init(params), params)
    assert np.isfinite(updates["w"]).all()


def test_weights_decay_where_the_step_leads() -> None:
    """`decay_after_step` shrinks what the step before it leads to."""
    params = {"a": jnp.float32([2.0, -1.0]), "b": jnp.float32([1.0])}
    grads = {"a": jnp.float32([0.5, 0.5]), "b": jnp.float32([-1.0])}
    tx = gradtx.chain(
        gradtx.scale_by_learning_rate(0.1),
        gradtx.decay_after_step(
            0.1, lambda count: 0.5 * count, {"a": True, "b": False}
        ),
    )
    state = tx.init(params)
    for decay in (0.0, 0.5):
        updates, state = tx.update(grads, state, params)
        moved = gradtx.apply_updates(params, updates)
        wanted = (params["a"] - 0.1 * grads["a"]) * (1 - 0.1 * decay)
        np.testing.assert_allclose(moved["a"], wanted, rtol=1e-6)
        np.testing.assert_allclose(moved["b"], params["b"] + 0.1, rtol=1e-6)
        params = moved
