"""What the optimizers of the catalogue are tried on: trees, a bowl, meshes."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from catalogue import Row
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import gradtx

TARGET = 0.5

_compiled = [0]


def _count(event: str, _: float, **__: Any) -> None:
    _compiled[0] += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(_count)


def compiled() -> int:
    """Return how many programs have been compiled so far."""
    return _compiled[0]


def compiled_at_most_once(jitted: Any) -> bool:
    """Say whether a jitted function has no second program.

    All jitted functions share one cache of a fixed size: after thousands of others it
    may hold none of this one's.
    """
    return jitted._cache_size() <= 1  # noqa: SLF001


def mixed_tree() -> Any:
    """Return parameters of every kind that a model may hold, in all small types."""
    return {
        "matrix": jnp.linspace(-1, 1, 16).reshape(8, 2),
        "nested": [jnp.bfloat16([1, -2]), (jnp.float16([-2, 1]),)],
        "none": None,
        "scalar": jnp.float32(0.7),
        "empty": jnp.zeros((0, 2)),
    }


def small_tree() -> Any:
    """Return a matrix, whose first axis eight devices divide, and a vector: float32."""
    return {"b": jnp.float32([1, -2]), "w": jnp.linspace(-1, 1, 16).reshape(8, 2)}


def noise(tree: Any, seed: int, size: float = 1.0) -> Any:
    """Return random numbers, none of them near zero, shaped and typed like a tree."""
    rng = np.random.default_rng(seed)

    def one(x: Any) -> Any:
        z = rng.uniform(0.5, 2, x.shape) * rng.choice([-1, 1], x.shape) * size
        if jnp.iscomplexobj(x):
            z = z + 1j * rng.uniform(0.5, 2, x.shape) * size
        return jnp.asarray(z, x.dtype)

    return jax.tree.map(one, tree)


def filled(tree: Any, value: float) -> Any:
    """Return a tree of one value."""
    return jax.tree.map(lambda x: jnp.full_like(x, value), tree)


def bowl(params: Any) -> Any:
    """Return the height of a bowl, steeper in some directions, lowest at 0.5."""
    return sum(
        0.5 * jnp.sum(_slopes(p) * jnp.abs(p - TARGET).astype(jnp.float32) ** 2)
        for p in map(jnp.asarray, jax.tree.leaves(params))
    )


def slope(params: Any) -> Any:
    """Return the bowl's gradient, in the parameters' types."""
    return jax.tree.map(
        lambda p: (_slopes(p).astype(p.dtype) * (p - TARGET)).astype(p.dtype), params
    )


def _slopes(p: Any) -> Any:
    if p.size == 0:
        return jnp.zeros(p.shape, jnp.float32)
    return jnp.linspace(0.5, 1.5, p.size, dtype=jnp.float32).reshape(p.shape)


def assert_slopes(f: Any, *args: Any) -> None:
    """Compare derivatives, forward and reverse, with central differences, in float64.

    In one compiled program, along one direction of the arguments and of the results.
    """
    along, step = noise(args, 1), 1e-5

    @jax.jit
    def slopes(args: Any) -> Any:
        results, forward = jax.jvp(f, args, along)
        weights = noise(results, 2)
        back = jax.vjp(f, *args)[1](weights)
        ahead, behind = (
            f(*jax.tree.map(lambda x, v: x + h * v, args, along))  # noqa: B023
            for h in (step, -step)
        )
        apart = jax.tree.map(lambda x, y: (x - y) / (2 * step), ahead, behind)
        return _inner(weights, apart), _inner(weights, forward), _inner(back, along)

    with jax.enable_x64(True):  # noqa: FBT003
        expected, *got = slopes(args)
    np.testing.assert_allclose(got, [expected] * 2, rtol=1e-6, atol=1e-8)


def _inner(x: Any, y: Any) -> Any:
    return sum(map(jnp.vdot, jax.tree.leaves(x), jax.tree.leaves(y)))


def extras(row: Row, params: Any, grads: Any) -> dict[str, Any]:
    """Return the extra arguments that a row's update needs."""
    known = {"value": bowl(params), "grad": grads, "value_fn": bowl}
    known["obj_fn"] = bowl
    return {name: known[name] for name in row.needs}


def shapes(tree: Any) -> Any:
    """Return every leaf's shape and type, and the structure, to compare."""
    leaves, treedef = jax.tree.flatten(tree)
    return treedef, [(jnp.shape(x), jax.dtypes.result_type(x)) for x in leaves]


def all_finite(tree: Any) -> bool:
    """Whether there is neither NaN nor infinity in the tree."""
    return not not_finite(tree)


def not_finite(tree: Any) -> list[str]:
    """Return the paths of the leaves with NaN or infinity."""
    return [
        jax.tree_util.keystr(path)
        for path, x in jax.tree_util.tree_leaves_with_path(tree)
        if jnp.issubdtype(x.dtype, jnp.inexact)
        and not np.isfinite(np.asarray(x, np.complex128)).all()
    ]


def assert_close(got: Any, expected: Any, rtol: float = 1e-5) -> None:
    """Compare two trees leaf by leaf, half-precision ones to their rounding."""
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(got),
        jax.tree.leaves(expected),
        strict=True,
    ):
        x, y = _plain(x), _plain(y)  # noqa: PLW2901
        name = jax.tree_util.keystr(path)
        assert x.dtype == y.dtype, name
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            np.testing.assert_array_equal(x, y, err_msg=name)
            continue
        few_bits = 4 * float(jnp.finfo(x.dtype).eps) if x.dtype.itemsize < 4 else rtol
        a, b = np.asarray(x, np.complex128), np.asarray(y, np.complex128)
        size = np.abs(b).max(initial=0)
        np.testing.assert_allclose(
            a, b, rtol=few_bits, atol=few_bits * size, err_msg=name
        )


def same(x: Any, y: Any) -> bool:
    """Whether two arrays, or random keys, are equal."""
    return np.array_equal(_plain(x), _plain(y))


def _plain(x: Any) -> Any:
    """Return an array as it is, and of a random key the numbers behind it."""
    x = jnp.asarray(x)
    is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(x) if is_key else x


def trained(tx: Any, params: Any, grads: list[Any]) -> Any:
    """Return the parameters after a step with each of the gradients."""
    state = tx.init(params)
    for g in grads:
        updates, state = tx.update(g, state, params)
        params = gradtx.apply_updates(params, updates)
    return params


def operations(jaxpr: Any, *, inside: bool = False) -> Iterator[tuple[Any, bool]]:
    """Return all equations of a traced program, and whether they stand in a loop."""
    for equation in jaxpr.eqns:
        yield equation, inside
        within = inside or equation.primitive.name == "while"
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from operations(inner, inside=within)


def mesh(kind: AxisType) -> Mesh:
    """Return the mesh of all eight devices."""
    return jax.make_mesh((8,), ("d",), axis_types=(kind,))


@contextlib.contextmanager
def on(kind: AxisType, **axes: int) -> Any:
    """Make a mesh of all eight devices, and set it where types tell of it."""
    axes = axes or {"d": 8}
    over = jax.make_mesh(
        tuple(axes.values()), tuple(axes), axis_types=(kind,) * len(axes)
    )
    with jax.set_mesh(over) if kind is AxisType.Explicit else contextlib.nullcontext():
        yield over


def spread(params: Any, over: Mesh) -> Any:
    """Lay the matrices out over the mesh by rows, the rest on every device."""

    def one(p: Any) -> Any:
        spec = PartitionSpec("d", None) if p.ndim > 1 else PartitionSpec(None)
        # By way of NumPy, so that the copies share no buffer with what they were.
        return jax.device_put(np.array(p), NamedSharding(over, spec))

    return jax.tree.map(one, params)
