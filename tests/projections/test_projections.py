"""Projections, by what makes a point the nearest one, and at their edges."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

from gradtx import projections

RNG = np.random.default_rng(0)
X = {"w": RNG.normal(size=(2, 3)), "b": (2 * RNG.normal(size=2), np.float64(0.3))}
A = jax.tree.map(lambda x: RNG.normal(size=x.shape), X)
SIZE = 9


def flat(tree: Any) -> np.ndarray:
    """Return all entries of a tree in one vector."""
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def on_simplex(points: np.ndarray) -> np.ndarray:
    """Return points of the unit simplex."""
    p = np.abs(points) ** 3
    return p / p.sum(1, keepdims=True)


def on_l1(points: np.ndarray) -> np.ndarray:
    """Return points of the unit sphere of the sum of moduli."""
    return points / np.abs(points).sum(1, keepdims=True)


def on_l2(points: np.ndarray) -> np.ndarray:
    """Return points of the Euclidean unit sphere."""
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def beside(points: np.ndarray) -> np.ndarray:
    """Return points y with ⟨a, y⟩ = 0.5."""
    a = flat(A)
    return points + np.outer((0.5 - points @ a) / (a @ a), a)


class Case(NamedTuple):
    """A projection, and points of its set made from any points."""

    name: str
    args: tuple[Any, ...]
    points: Callable[[np.ndarray], np.ndarray]
    fixed: Callable[[np.ndarray], Any]  # what is 0 for points of the set
    convex: bool = True

    def run(self, x: Any) -> Any:
        """Project x."""
        # Copies, since JAX would know an array again that it has seen in float32.
        args = [jax.tree.map(np.copy, a) if a is A else a for a in self.args]
        return getattr(projections, self.name)(x, *args)


def excess(number: Any) -> Any:
    """Return how much a number is above 0."""
    return np.maximum(number, 0)


CASES = [
    Case(
        "projection_non_negative",
        (),
        lambda p: np.abs(p),  # noqa: PLW0108
        lambda y: excess(-y),
    ),
    Case(
        "projection_box",
        (-0.2, 0.5),
        lambda p: np.clip(p, -0.2, 0.5),
        lambda y: excess(np.abs(y - 0.15) - 0.35),
    ),
    Case(
        "projection_hypercube",
        (0.7,),
        lambda p: np.clip(p, 0, 0.7),
        lambda y: excess(np.abs(y - 0.35) - 0.35),
    ),
    Case(
        "projection_linf_ball",
        (0.4,),
        lambda p: np.clip(p, -0.4, 0.4),
        lambda y: excess(np.abs(y) - 0.4),
    ),
    Case(
        "projection_simplex",
        (1.7,),
        lambda p: 1.7 * on_simplex(p),
        lambda y: [y.sum() - 1.7, *excess(-y)],
    ),
    Case(
        "projection_l1_ball",
        (1.7,),
        lambda p: 1.7 * on_l1(p) * RNG.random((len(p), 1)),
        lambda y: excess(np.abs(y).sum() - 1.7),
    ),
    Case(
        "projection_l1_sphere",
        (30.0,),
        lambda p: 30 * on_l1(p),
        lambda y: np.abs(y).sum() - 30,
        convex=False,
    ),
    Case(
        "projection_l2_ball",
        (1.7,),
        lambda p: 1.7 * on_l2(p) * RNG.random((len(p), 1)),
        lambda y: excess(np.linalg.norm(y) - 1.7),
    ),
    Case(
        "projection_l2_sphere",
        (30.0,),
        lambda p: 30 * on_l2(p),
        lambda y: np.linalg.norm(y) - 30,
        convex=False,
    ),
    Case(
        "projection_vector",
        (A,),
        lambda p: np.outer(p[:, 0], flat(A)),
        lambda y: y - y[0] / flat(A)[0] * flat(A),
    ),
    Case("projection_hyperplane", (A, 0.5), beside, lambda y: y @ flat(A) - 0.5),
    Case(
        "projection_halfspace",
        (A, 0.5),
        lambda p: beside(p) - np.outer(np.abs(p[:, 0]), flat(A)),
        lambda y: excess(y @ flat(A) - 0.5),
    ),
]
BY_NAME = {case.name: case for case in CASES}


@functools.cache
def compiled(name: str) -> Any:
    """Return a projection compiled once for all tests, but those in float64."""
    return jax.jit(BY_NAME[name].run)


every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def test_the_table_is_complete() -> None:
    """Every public projection is in the table, and optax has no other."""
    names = {n for n in vars(projections) if n.startswith("projection_")}
    assert names == {case.name for case in CASES}
    assert names == {n for n in vars(optax.projections) if n.startswith("projection_")}


@every
@pytest.mark.one_in(2)
def test_nearest_point(case: Case) -> None:
    """The projection is in the set, and no point of the set is nearer.

    For a convex set that means ⟨x - p, y - p⟩ ≤ 0 for all its points y.
    """
    with jax.enable_x64(True):  # noqa: FBT003
        p = flat(jax.jit(case.run)(X))
    x = flat(X)
    np.testing.assert_allclose(case.fixed(p), 0, atol=1e-12)
    others = case.points(3 * RNG.normal(size=(500, SIZE)))
    for y in others[:5]:  # the points tried are points of the set
        np.testing.assert_allclose(case.fixed(y), 0, atol=1e-12)
    assert np.all(np.linalg.norm(x - p) <= np.linalg.norm(x - others, axis=1) + 1e-12)
    if case.convex:
        assert np.all((others - p) @ (x - p) <= 1e-12)


@every
@pytest.mark.one_in(2)
def test_again_changes_nothing(case: Case) -> None:
    """What has been projected stays where it is."""
    once = compiled(case.name)(jax.tree.map(jnp.float32, X))
    twice = compiled(case.name)(once)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=3e-6), once, twice)


@every
@pytest.mark.one_in(6)
def test_slopes(case: Case) -> None:
    """Forward and reverse derivatives agree with finite differences."""
    with jax.enable_x64(True):  # noqa: FBT003
        x = jax.tree.map(jnp.asarray, X)
        problems.assert_slopes(case.run, x)


@every
@pytest.mark.one_in(6)
def test_agrees_with_optax(case: Case) -> None:
    """On one array of no special kind, it is optax's projection."""
    args = [flat(a) if a is A else a for a in case.args]
    with jax.enable_x64(True):  # noqa: FBT003
        x = jnp.asarray(flat(X))
        got = getattr(projections, case.name)(x, *args)
        np.testing.assert_allclose(
            got, getattr(optax.projections, case.name)(x, *args), atol=1e-12
        )


@every
@pytest.mark.one_in(3)
def test_half_precision(case: Case) -> None:
    """Half-precision leaves are computed in float32, and leave as they came."""
    x = jax.tree.map(jnp.bfloat16, X)
    with jax.numpy_dtype_promotion("strict"):
        got = compiled(case.name)(x)
    exact = compiled(case.name)(jax.tree.map(lambda a: a.astype(jnp.float32), x))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(exact), strict=True):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.float32(a), b, rtol=0.01)


@every
@pytest.mark.one_in(3)
def test_vmap(case: Case) -> None:
    """Many trees at once are projected as each alone."""
    many = jax.tree.map(lambda x: jnp.float32(np.stack([x, -2 * x])), X)
    got = jax.jit(jax.vmap(case.run))(many)
    for i in range(2):
        one = compiled(case.name)(jax.tree.map(lambda x: x[i], many))  # noqa: B023
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-6),  # noqa: B023
            got,
            one,
        )


@every
@pytest.mark.one_in(12)
def test_zero_and_nothing(case: Case) -> None:
    """0 has a nearest point and finite slopes; None, and no entries, stay."""
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), X)
    p, back = jax.vjp(compiled(case.name), zero)
    np.testing.assert_allclose(case.fixed(flat(p)), 0, atol=1e-5)
    assert np.all(np.isfinite(flat(back(p))))
    run, *rest = [getattr(projections, case.name), *case.args]
    rest = [() if a is A else a for a in rest]
    assert run((), *rest) == ()
    if A not in case.args:
        empty = run({"a": None, "b": jnp.zeros((0, 2))}, *rest)
        assert empty["a"] is None
        assert empty["b"].shape == (0, 2)


@every
def test_nan_is_not_hidden(case: Case) -> None:
    """An entry that is not a number does not become one."""
    x = jax.tree.map(jnp.float32, X)
    x["w"] = x["w"].at[0, 1].set(jnp.nan)
    assert np.isnan(compiled(case.name)(x)["w"][0, 1])


@every
def test_huge(case: Case) -> None:
    """Entries whose squares overflow have a finite nearest point in the set."""
    p = flat(compiled(case.name)(jax.tree.map(lambda x: jnp.float32(x * 1e25), X)))
    assert np.all(np.isfinite(p))
    if "hyperplane" not in case.name and "halfspace" not in case.name:
        np.testing.assert_allclose(case.fixed(np.float64(p)), 0, rtol=1e-5, atol=1e20)


NORMED = [c for c in CASES if c.name.endswith(("ball", "sphere", "simplex"))]


@pytest.mark.parametrize("case", NORMED, ids=lambda case: case.name)
@pytest.mark.one_in(6)
def test_radius(case: Case) -> None:
    """A radius may be traced or 0, has slopes, and must not be negative."""
    run = getattr(projections, case.name)
    x = jnp.float32([3, 2, -1])
    np.testing.assert_array_equal(run(x, 0.0), jnp.zeros(3))
    radii = jnp.float32([0.5, 1])
    many = jax.jit(jax.vmap(run, (None, 0)))(x, radii)
    np.testing.assert_allclose(many[1], run(x, 1.0), rtol=1e-6)
    with jax.enable_x64(True):  # noqa: FBT003
        x = jnp.asarray(flat(X))
        problems.assert_slopes(lambda s: run(x, s), jnp.asarray(1.3))
    with pytest.raises(ValueError, match="scale"):
        run(x, -1.0)


def test_simplex_threshold() -> None:
    """Against bisection for τ, with entries far from 0, equal, and impossible."""

    def bisect(x: np.ndarray, s: float) -> np.ndarray:
        low, high = np.max(x) - s, np.max(x)
        for _ in range(100):
            tau = (low + high) / 2
            low, high = (tau, high) if np.maximum(x - tau, 0).sum() > s else (low, tau)
        return np.maximum(x - tau, 0)

    for x in ([3.0, 3, 3, -1], [1e5, 1e5 - 0.25, 0], [0, 0, -np.inf], [-7, -7.5, -9]):
        got = projections.projection_simplex(jnp.float32(x), 0.8)
        np.testing.assert_allclose(got, bisect(np.array(x), 0.8), atol=1e-6)
    big = RNG.normal(size=100_000)
    got = projections.projection_simplex(jnp.float32(big), 3.0)
    np.testing.assert_allclose(got, bisect(big, 3.0), atol=1e-5)


def test_spheres_reach_out_from_zero() -> None:
    """From 0 and from zero entries, a point of the sphere is found all the same."""
    x = jnp.float32([0.1, 0])
    np.testing.assert_allclose(projections.projection_l1_sphere(x), [0.55, 0.45])
    for run in (projections.projection_l1_sphere, projections.projection_l2_sphere):
        p = run({"a": jnp.zeros(3), "b": 0.0}, 2.0)
        assert np.ptp(flat(p)) == 0
        assert flat(p)[0] > 0


def test_no_direction() -> None:
    """Where a is 0, nothing moves x, but onto the multiples of 0, and slopes are 1."""
    x, a = jnp.float32([1, -2]), jnp.zeros(2)
    assert jnp.all(projections.projection_vector(x, a) == 0)
    for run in (projections.projection_hyperplane, projections.projection_halfspace):
        np.testing.assert_array_equal(run(x, a, -1.0), x)
        slopes = jax.grad(lambda x, a, b: jnp.sum(run(x, a, b)), (0, 1, 2))(x, a, -1.0)  # noqa: B023
        np.testing.assert_array_equal(slopes[0], jnp.ones(2))
        assert np.all(np.isfinite(flat(slopes)))


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_directions_of_any_length(size: float) -> None:
    """A direction whose square overflows, or vanishes, is a direction."""
    x, a = jnp.float32([1, 2]), jnp.float32([3, 4])
    for run in (projections.projection_hyperplane, projections.projection_halfspace):
        np.testing.assert_allclose(run(x, size * a, 5 * size), [0.28, 1.04], rtol=1e-5)
    got = projections.projection_vector(x, size * a)
    np.testing.assert_allclose(got, [1.32, 1.76], rtol=1e-5)


def test_complex_directions() -> None:
    """Complex trees are projected with the complex inner product."""
    x, a = jnp.complex64([1 + 2j, 3]), jnp.complex64([1j, 1 - 1j])
    p = projections.projection_vector(x, a)
    np.testing.assert_allclose(jnp.vdot(a, x - p), 0, atol=1e-6)
    y = projections.projection_hyperplane(x, a, 0.5)
    np.testing.assert_allclose(jnp.vdot(a, y), 0.5, atol=1e-6)
    sphere = projections.projection_l2_sphere(x, 2.0)
    np.testing.assert_allclose(jnp.linalg.norm(sphere), 2, rtol=1e-6)
    with pytest.raises(TypeError, match=r"\['z'\].*complex64"):
        projections.projection_simplex({"z": x})


def test_bounds_may_be_trees() -> None:
    """Bounds are numbers, arrays, trees, or the beginning of a tree."""
    x = {"a": jnp.float32([-1, 5]), "b": (jnp.float32(3), jnp.arange(3))}
    upper = {"a": jnp.float32([2, 4]), "b": 1}
    got = projections.projection_box(x, 0, upper)
    np.testing.assert_array_equal(got["a"], [0, 4])
    np.testing.assert_array_equal(got["b"][1], [0, 1, 1])
    assert got["b"][1].dtype == x["b"][1].dtype


def test_mismatches_are_named() -> None:
    """Trees and shapes that do not match are refused, by path."""
    x = {"a": jnp.ones(2), "b": jnp.ones(3)}
    with pytest.raises(ValueError, match=r"projection_box.*\['b'\].*\(3,\)"):
        projections.projection_box(x, 0, {"a": 1, "b": jnp.ones(2)})
    with pytest.raises(ValueError, match="projection_hypercube: a bound"):
        projections.projection_hypercube(x, {"a": 1})
    for run in (projections.projection_hyperplane, projections.projection_halfspace):
        with pytest.raises(ValueError, match=rf"\['b'\].*{run.__name__}"):
            run(x, {"a": jnp.ones(2), "b": jnp.ones((3, 1))}, 0.0)
        with pytest.raises(ValueError, match=r"\['b'\]"):
            run(x, {"a": jnp.ones(2)}, 0.0)


def test_integers_become_floats() -> None:
    """The nearest point to integers need not have any."""
    got = projections.projection_simplex({"a": jnp.array([1, 0]), "b": 1})
    np.testing.assert_allclose(flat(got), [0.5, 0, 0.5], atol=1e-6)
