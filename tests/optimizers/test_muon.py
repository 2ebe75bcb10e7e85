"""Muon and its family: what papers do not tell, and where the methods meet."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import MatrixAxes, MuonDimensionNumbers
from gradtx.linalg import newton_schulz

RNG = np.random.default_rng(3)

DIRECTIONS = {
    "muon": gradtx.scale_by_muon,
    "normuon": gradtx.scale_by_normuon,
    "normuon, rms": partial(gradtx.scale_by_normuon, consistent_rms=0.2),
    "adamuon": gradtx.scale_by_adamuon,
    "muon_squared": gradtx.scale_by_muon_squared,
    "dion": partial(gradtx.scale_by_dion, 2),
    "dion2": gradtx.scale_by_dion2,
    "dion3": partial(gradtx.scale_by_dion2, b2=0.9),
    "scion": gradtx.scale_by_scion,
    "soap_muon": gradtx.scale_by_soap_muon,
}
every_direction = pytest.mark.parametrize(
    "make", DIRECTIONS.values(), ids=list(DIRECTIONS)
)


def normal(*shape: int) -> Any:
    """Return an array of normal numbers."""
    return jnp.asarray(RNG.normal(size=shape))


def follow(tx: Any, params: Any, grads: list[Any]) -> list[Any]:
    """Return the updates of every step, the parameters standing still."""
    state, path = tx.init(params), []
    with jax.disable_jit():
        for g in grads:
            u, state = tx.update(g, state, params)
            path.append(u)
    return path


def assert_same(got: Any, expected: Any, rtol: float = 1e-9) -> None:
    """Compare two trees of float64."""
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=rtol, atol=1e-12), got, expected
    )


# --- the iteration and its names ---


def test_presets_by_name_and_length() -> None:
    """A name is its table; cut, or gone on with its last triple or from the start."""
    named = gradtx.linalg.presets.named
    assert named("keller") == named("standard") == (3.4445, -4.7750, 2.0315)
    assert named("quintic") == named("dion") == named("quintic", 5)
    assert len(named("exact")) == 12
    assert named("polar_express", 7)[4] == named("polar_express", 7)[6]
    assert named("quintic", 7)[5] == named("quintic")[0]
    assert named("cans", 2) == named("cans")[:2]
    assert named("keller", 2) == (named("keller"),) * 2
    with pytest.raises(ValueError, match=r"polar_express, cans, exact, got 'nope'"):
        newton_schulz(jnp.ones((2, 2)), coeffs="nope")


@pytest.mark.parametrize(
    "name", ["keller", "polar_express", "quintic", "cans", "exact"]
)
def test_every_preset_orthogonalizes(name: str) -> None:
    """Singular values that differ by ten end near 1, those of "exact" at 1."""
    left, right = (np.linalg.qr(normal(4, 4))[0] for _ in range(2))
    x = left @ np.diag([1, 0.5, 0.3, 0.1]) @ right
    steps = 12 if name == "exact" else 5
    s = np.linalg.svd(newton_schulz(jnp.asarray(x), steps, name), compute_uv=False)
    np.testing.assert_allclose(s, 1, atol=1e-3 if name == "exact" else 0.4)


def test_the_norm_has_a_lower_bound() -> None:
    """What is smaller than `min_norm` is divided by that, and so stays small."""
    x = 1e-3 * jnp.eye(2)
    whole, small = (newton_schulz(x, 1, eps=0.0, min_norm=m) for m in (0.0, 1.0))
    np.testing.assert_allclose(small, 3.4445e-3 * np.eye(2), rtol=1e-4)
    assert whole[0, 0] > 0.5


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("keller", 2**0.5),
        ("original", 2**0.5),
        ("spectral", 2**0.5),
        ("moonlight", 0.2 * 2),
        ("rms_norm", 0.2 * 2),
        ("match_rms_adamw", 0.2 * 2),
        ("none", 1),
    ],
)
def test_shape_factors(name: str, factor: float) -> None:
    """Each name is its formula, of a wide matrix (in, out) and of a tall one."""
    tx = gradtx.scale_by_shape(shape_factor=name)
    u = {"wide": jnp.ones((2, 4)), "tall": jnp.ones((4, 2))}
    got, _ = tx.update(u, tx.init(u))
    np.testing.assert_allclose(got["wide"], factor, rtol=1e-6)
    below = {"spectral": 0.5**0.5, "keller": 1, "original": 1}.get(name, factor)
    np.testing.assert_allclose(got["tall"], below, rtol=1e-6)


def test_wrong_names_are_refused() -> None:
    """A factor, a momentum, a norm that there is not: refused with all names."""
    with pytest.raises(ValueError, match="shape_factor must be one of keller"):
        gradtx.muon(0.1, shape_factor="square").init({})
    with pytest.raises(ValueError, match="consistent_rms is a factor itself"):
        gradtx.muon(0.1, shape_factor="none", consistent_rms=0.2).init({})
    with pytest.raises(ValueError, match="momentum must be one of mean, sum"):
        gradtx.scale_by_muon(momentum="ema").init({})
    with pytest.raises(ValueError, match="norm must be one of auto"):
        gradtx.scion(0.1, norm="Spectral").init({})
    with pytest.raises(ValueError, match="per must be"):
        gradtx.floor_by_weights(per="row").init({})


@pytest.mark.exhaustive
def test_bfloat16_iterations_come_near() -> None:
    """`ns_dtype` changes the result by little, and not its type."""
    g = jnp.float32(RNG.normal(size=(6, 4)))
    for make in (gradtx.scale_by_muon, gradtx.scale_by_normuon):
        plain, rough = (
            follow(make(ns_dtype=kind), g, [g])[0] for kind in (None, jnp.bfloat16)
        )
        assert rough.dtype == jnp.float32
        assert 0 < np.abs(plain - rough).max() < 0.15


# --- identities ---


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("bias_correction", [True, False])
def test_a_sum_is_a_mean_to_the_iteration(
    nesterov: bool, bias_correction: bool
) -> None:
    """Without ε the iteration does not see by what the gradients are divided."""
    grads = [normal(4, 3) for _ in range(3)]
    mean, total = (
        follow(
            gradtx.scale_by_muon(
                eps=0.0,
                nesterov=nesterov,
                bias_correction=bias_correction,
                momentum=kind,
            ),
            grads[0],
            grads,
        )
        for kind in ("mean", "sum")
    )
    assert_same(mean, total)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name", ["muon", "normuon", "adamuon", "dion", "dion2", "dion3", "soap_muon"]
)
@pytest.mark.one_in(9)
def test_the_size_of_the_gradients_does_not_matter(name: str) -> None:
    """All gradients times a number give the same updates."""
    grads = [normal(3, 3) for _ in range(2)]
    none = {"dion": {"eps": 0.0}}.get(name, {"ns_eps": 0.0})
    none = {"muon": {"eps": 0.0}, "soap_muon": {"eps": 0.0}}.get(name, none)
    tx = DIRECTIONS[name](**none)
    small, large = (follow(tx, grads[0], [k * g for g in grads]) for k in (1, 100.0))
    assert_same(small, large, rtol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", list(DIRECTIONS))
@pytest.mark.one_in(10)
def test_leading_axes_count_matrices(name: str) -> None:
    """Layers that are stacked step as if each were a parameter of its own."""
    if name == "dion":  # where each draws its own first Q
        stacked = DIRECTIONS[name](weight_dimension_numbers=MuonDimensionNumbers(1, 2))
        g = normal(2, 3, 3)
        u = follow(stacked, g, [g])[0]
        assert np.linalg.matrix_rank(u[0]) == np.linalg.matrix_rank(u[1]) == 2
        return
    grads = [normal(2, 3, 3) for _ in range(3)]
    numbers = MatrixAxes(1, 2)
    whole = follow(DIRECTIONS[name](weight_dimension_numbers=numbers), grads[0], grads)
    apart = follow(DIRECTIONS[name](), [*grads[0]], [[*g] for g in grads])
    for stack, layers in zip(whole, apart, strict=True):
        assert_same(stack, jnp.stack(layers), rtol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["muon", "normuon", "adamuon", "dion2", "dion3"])
@pytest.mark.parametrize(
    "cuts", [{"heads": 2}, {"splits": (1, 3)}], ids=["heads", "splits"]
)
@pytest.mark.one_in(16)
def test_matrices_side_by_side_are_matrices_apart(name: str, cuts: Any) -> None:
    """Heads and splits step, with their own factors, as separate parameters do."""
    make, ends = DIRECTIONS[name], [1] if "splits" in cuts else [2]
    grads = [normal(3, 4) for _ in range(3)]

    def tx(numbers: Any) -> Any:
        shape = gradtx.scale_by_shape(numbers, shape_factor="moonlight")
        return gradtx.chain(make(weight_dimension_numbers=numbers), shape)

    whole = follow(tx(MatrixAxes(**cuts)), grads[0], grads)
    parts = [jnp.split(g, ends, axis=1) for g in grads]
    apart = follow(tx(MatrixAxes()), parts[0], parts)
    for fused, columns in zip(whole, apart, strict=True):
        assert_same(fused, jnp.concatenate(columns, axis=1))
    turned = follow(tx(MatrixAxes(1, 0, **cuts)), grads[0].T, [g.T for g in grads])
    assert_same([u.T for u in turned], whole)


@pytest.mark.usefixtures("x64")
def test_normuon_of_neurons_alike_is_muon() -> None:
    """Where all columns of the orthogonal matrix are as long, dividing does nothing."""
    g, _ = np.linalg.qr(normal(4, 4))
    got = follow(gradtx.scale_by_normuon(), jnp.asarray(g), [jnp.asarray(g)])
    muon = gradtx.scale_by_muon(eps=1e-7, bias_correction=False)
    assert_same(got, follow(muon, jnp.asarray(g), [jnp.asarray(g)]), rtol=1e-8)


@pytest.mark.usefixtures("x64")
def test_dion2_of_everything_is_muon_of_a_decayed_sum() -> None:
    """With the fraction 1 it is Muon with M ← β M + g, without looking ahead."""
    grads = [normal(4, 3) for _ in range(3)]
    dion2 = gradtx.scale_by_dion2(1.0, 0.8)
    muon = gradtx.scale_by_muon(
        "polar_express",
        beta=0.8,
        momentum="sum",
        nesterov=False,
        bias_correction=False,
    )
    assert_same(*(follow(tx, grads[0], grads) for tx in (dion2, muon)))


@pytest.mark.usefixtures("x64")
def test_dion_of_full_rank_is_orthogonal() -> None:
    """With as many directions as the shorter side, u has singular values of 1."""
    tx = gradtx.scale_by_dion(beta=0.0)
    g = normal(3, 3) + 5 * jnp.diag(jnp.asarray([1.0, 3.0, 9.0]))
    s = np.linalg.svd(follow(tx, g, [g] * 12)[-1], compute_uv=False)
    np.testing.assert_allclose(s, 1, atol=1e-4)


@pytest.mark.usefixtures("x64")
def test_scion_of_signs_is_signed_momentum() -> None:
    """The sign norm with a radius of in, unconstrained, is signum."""
    grads = [normal(4, 3) for _ in range(3)]
    scion = gradtx.scale_by_scion("sign", 4.0, 0.8)
    mean = gradtx.chain(gradtx.ema(0.8, debias=False), gradtx.scale_by_sign())
    assert_same(*(follow(tx, grads[0], grads) for tx in (scion, mean)))


def test_scion_without_a_mean_has_no_state() -> None:
    """With β None the gradient itself is followed."""
    tx = gradtx.scale_by_scion("row_norm", beta=None)
    g = normal(3, 2)
    assert jax.tree.leaves(tx.init(g)) == []
    u = follow(tx, g, [g])[0]
    lengths = np.linalg.norm(u, axis=0)
    np.testing.assert_allclose(lengths, 1 / 3**0.5, rtol=1e-5)


def test_scion_has_a_norm_for_every_layer() -> None:
    """Hidden matrices, kernels, heads, embeddings, vectors: each by its own norm."""
    params = {
        "embed": {"embedding": normal(9, 4)},
        "dense": {"kernel": normal(4, 4), "bias": normal(4)},
        "conv": {"kernel": normal(3, 3, 2, 4)},
        "head": {"kernel": normal(4, 9)},
    }
    params = jax.tree.map(jnp.float32, params)
    tx = gradtx.scion(
        1.0,
        2.0,
        None,
        rest_scale=12.0,
        unconstrained=True,
        ns_coeffs="exact",
        weight_dimension_numbers=gradtx.matrices(params),
    )
    u = jax.tree.map(np.asarray, follow(tx, params, [params])[0])
    for leaf in (u["head"]["kernel"], u["embed"]["embedding"]):
        np.testing.assert_allclose(np.abs(leaf), 12 / 4, rtol=1e-5)
    bias = u["dense"]["bias"]
    np.testing.assert_allclose(np.sqrt(np.mean(bias**2)), 2, rtol=1e-5)
    s = np.linalg.svd(u["dense"]["kernel"], compute_uv=False)
    np.testing.assert_allclose(s, 2, rtol=0.01)
    s = np.linalg.svd(u["conv"]["kernel"].reshape(18, 4), compute_uv=False)
    np.testing.assert_allclose(s, 2 * 2**0.5 / 9, rtol=0.01)


# --- SOAP-Muon's parts ---


@pytest.mark.usefixtures("x64")
def test_radial_parts() -> None:
    """The part along the weights is scaled where they grow; their length follows it."""
    p, u = normal(4, 3), normal(4, 3)
    u = u - jnp.sum(u * p) / jnp.sum(p * p) * p  # across
    half = gradtx.scale_radial_part(0.5)
    for along, kept in ((-0.3, -0.15), (0.3, 0.3)):
        got = half.update(u + along * p, half.init(p), p)[0]
        assert_same(got, u + kept * p)
    keep = gradtx.keep_radial_step()
    new = p + keep.update(-0.1 * u + 0.2 * p, keep.init(p), p)[0]
    assert_same(jnp.linalg.norm(new), 1.2 * jnp.linalg.norm(p))
    assert_same(keep.update(u, (), jnp.zeros_like(p))[0], u)


@pytest.mark.usefixtures("x64")
def test_floor_by_weights() -> None:
    """Neurons whose step is short are lifted to a part of their weights, 0 is not."""
    p, u = normal(4, 3), normal(4, 3) * jnp.asarray([[1e-3, 10.0, 0.0]])
    tx = gradtx.floor_by_weights(0.5)
    got = np.asarray(tx.update(u, tx.init(p), p)[0])
    assert_same(np.linalg.norm(got[:, 0]), 0.5 * np.linalg.norm(p[:, 0]))
    assert_same(got[:, 1:], u[:, 1:])
    whole = gradtx.floor_by_weights(1e3, "matrix")
    got = whole.update(u, whole.init(p), p)[0]
    assert_same(jnp.linalg.norm(got), 1e3 * jnp.linalg.norm(p))


# --- numbers at the edge ---


@pytest.mark.exhaustive
@every_direction
def test_no_gradient_makes_nan(make: Any) -> None:
    """Zero, tiny, huge and of rank one, in any shape and type: all stays finite.

    A gradient of zeros gives an update of zeros.
    """
    shapes = [(1, 5), (5, 1), (3, 4), (1, 1)]
    kinds = ["float32", "bfloat16", "float16"]
    like = {f"{k}{s}": jnp.zeros(s, k) for s in shapes for k in kinds}

    def gradients(size: float) -> Any:
        return jax.tree.map(
            lambda x: jnp.ones_like(x) * min(size, 1e3 if x.itemsize < 4 else size),
            like,
        )

    tx = make()
    step = jax.jit(tx.update)
    for size in (0.0, 1e-30, 1.0, 1e20):
        state = tx.init(like)
        for g in (gradients(size), gradients(0.0)):
            u, state = step(g, state, like)
            for leaf in jax.tree.leaves((u, state)):
                assert np.isfinite(np.asarray(leaf, np.float64)).all()
            if size == 0:
                assert all(not x.any() for x in jax.tree.leaves(u))


def test_dion_keeps_its_basis_where_there_is_nothing() -> None:
    """Without a gradient Q stays, so that the next one is seen."""
    tx = gradtx.scale_by_dion(2)
    g = jnp.float32(RNG.normal(size=(4, 3)))
    state = tx.init(g)
    u, after = tx.update(jnp.zeros_like(g), state, g)
    np.testing.assert_array_equal(after.basis, state.basis)
    assert not u.any()


def test_what_is_no_matrix_is_refused() -> None:
    """A vector, heads that do not divide, splits that do not fill: by path."""
    with pytest.raises(ValueError, match=r"normuon: the leaf at \['b'\].*no matrix"):
        gradtx.scale_by_normuon().init({"b": jnp.ones(3)})
    for cuts in ({"heads": 3}, {"splits": (1, 2)}):
        tx = gradtx.scale_by_muon(weight_dimension_numbers=MatrixAxes(**cuts))
        with pytest.raises(ValueError, match=r"4 columns.*\['w'\].*cut"):
            tx.update({"w": jnp.ones((2, 4))}, tx.init({"w": jnp.ones((2, 4))}))
    tx = gradtx.scale_by_dion(weight_dimension_numbers=MatrixAxes(splits=(1, 3)))
    with pytest.raises(ValueError, match=r"\['w'\].*leave out splits"):
        tx.init({"w": jnp.ones((2, 4))})


def test_what_are_no_dimension_numbers_is_refused() -> None:
    """The function that makes routes, given for its result, is told from it."""
    tx = gradtx.soap(0.1, weight_dimension_numbers=gradtx.matrices)
    with pytest.raises(ValueError, match="MatrixRoutes has not"):
        tx.init({"w": jnp.ones((4, 3))})


@pytest.mark.parametrize("name", ["normuon", "muown", "dion", "dion2"])
@pytest.mark.one_in(6)
def test_state_in_few_bits(name: str) -> None:
    """Their state is encoded, and steps stay near the plain ones."""
    make = {"dion": partial(gradtx.dion, rank=2)}.get(name, getattr(gradtx, name))
    params = {"w": jnp.float32(RNG.normal(size=(8, 16)))}
    plain = make(0.1)
    coded = gradtx.quantize_state(make(0.1), min_size=64)
    states, paths = [plain.init(params), coded.init(params)], [params, params]
    assert any(x.dtype == jnp.int8 for x in jax.tree.leaves(states[1]))
    for seed in range(3):
        g = {"w": jnp.float32(np.random.default_rng(seed).normal(size=(8, 16)))}
        for i, tx in enumerate((plain, coded)):
            u, states[i] = tx.update(g, states[i], paths[i])
            paths[i] = gradtx.apply_updates(paths[i], u)
    assert np.abs(paths[0]["w"] - paths[1]["w"]).max() < 0.05
