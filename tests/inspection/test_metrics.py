"""Numbers about a step are those of the step, wherever it is taken."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import gradtx

RATE = gradtx.linear_schedule(1.0, 0.0, 10)


def first(path: str) -> str | None:
    """Name a group by the first letter; the vector is in none."""
    return "matrix" if path.startswith("w") else None


def size(*arrays: Any) -> float:
    """Return the norm of several arrays as one vector."""
    return np.sqrt(sum(np.sum(np.square(np.float64(x))) for x in arrays))


def run(tx: Any, steps: int, scale: float = 1.0) -> Any:
    """Take steps by random gradients; return the last of each thing and the state."""
    params = problems.small_tree()
    state, update = tx.init(params), jax.jit(tx.update)
    grads = updates = None
    for seed in range(steps):
        grads = problems.noise(params, seed, scale)
        updates, state = update(grads, state, params)
    return grads, updates, params, state


def test_norms_rates_and_ratios() -> None:
    """They are those of the last step, in float64 by hand, whole and by group."""
    inner = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(RATE))
    tx = gradtx.with_metrics(inner, first)
    grads, updates, params, state = run(tx, 3)
    got = jax.device_get(gradtx.metrics(state))
    expected = {"steps": 3, "learning_rate": 0.8, "clipped_share": 1}
    expected |= {"skipped_share": 0, "skipped_share/matrix": 0}
    for end, keys in (("", "bw"), ("/matrix", "w")):
        g, u, p = (size(*(t[k] for k in keys)) for t in (grads, updates, params))
        expected |= {
            f"gradient_norm{end}": g,
            f"update_norm{end}": u,
            f"param_norm{end}": p,
            f"update_to_param{end}": u / p,
            f"update_to_gradient{end}": u / g,
        }
    assert got.keys() == expected.keys()
    for name, x in expected.items():
        np.testing.assert_allclose(got[name], x, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "inner",
    [
        gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(RATE)),
        gradtx.named_chain(("a", gradtx.clip(0.5)), ("b", gradtx.lion(0.1))),
        gradtx.partition(
            {"a": gradtx.sgd(0.1), "b": gradtx.adam(RATE)}, {"w": "a", "b": "b"}
        ),
        gradtx.lookahead(gradtx.adam(0.1), 2, 0.5),
    ],
    ids=lambda tx: tx.recipe.factory.name,
)
@pytest.mark.one_in(6)
def test_the_steps_are_the_same(inner: Any) -> None:
    """What is measured does not change the updates nor the inner state."""
    _, expected, _, state = run(inner, 3)
    _, got, _, measured = run(gradtx.with_metrics(inner), 3)
    problems.assert_close(got, expected)
    problems.assert_close(measured.inner_state, state)


def test_shares_of_clipped_and_skipped_steps() -> None:
    """One step of four clips by each kind of link; one of four is left out."""
    clips = [
        gradtx.clip_by_global_norm(5.0),
        gradtx.clip(1.0),
        gradtx.clip_by_block_rms(1.0),
    ]
    params = problems.small_tree()
    ones = problems.filled(params, 1.0)
    for link in clips:
        inner = gradtx.apply_if_finite(gradtx.sgd(1.0), 9)
        tx = gradtx.with_metrics(gradtx.chain(gradtx.chain(link), inner))
        state = tx.init(params)
        for scale in (1.0, 3.0, jnp.nan, 0.5):
            grads = jax.tree.map(lambda x, s=scale: s * x, ones)
            _, state = tx.update(grads, state, params)
        got = gradtx.metrics(state)
        assert (got["clipped_share"], got["skipped_share"]) == (0.25, 0.25)


def test_rates_of_several_parts() -> None:
    """Each has its place in the name."""
    parts: dict[Any, Any] = {"a": gradtx.sgd(RATE), "b": gradtx.adam(0.25)}
    tx = gradtx.with_metrics(gradtx.partition(parts, {"w": "a", "b": "b"}))
    got = gradtx.metrics(run(tx, 2)[-1])
    assert got["learning_rate/a"] == pytest.approx(0.9)
    assert got["learning_rate/b"] == pytest.approx(0.25)


def test_in_a_scan_within_others() -> None:
    """A jitted scan returns the numbers of each step; accumulation tells real ones."""
    params = problems.small_tree()
    tx = gradtx.accumulate(gradtx.with_metrics(gradtx.sgd(RATE), first), 2)

    def body(carry: Any, _: None) -> Any:
        params, state = carry
        updates, state = tx.update(problems.slope(params), state, params)
        return (gradtx.apply_updates(params, updates), state), gradtx.metrics(state)

    _, got = jax.jit(lambda c: jax.lax.scan(body, c, length=4))(
        (params, tx.init(params))
    )
    assert got["steps"].tolist() == [0, 1, 1, 2]
    np.testing.assert_allclose(got["learning_rate"], [0, 1, 1, 0.9], rtol=1e-6)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.one_in(2)
def test_on_a_mesh(kind: AxisType) -> None:
    """Of arrays that are spread over devices the numbers are those of the whole."""
    tx = gradtx.with_metrics(gradtx.chain(gradtx.clip(1.0), gradtx.adam(0.1)), first)
    params = problems.small_tree()
    mesh = jax.make_mesh((8,), ("d",), (kind,))
    places = {"b": NamedSharding(mesh, P()), "w": NamedSharding(mesh, P("d"))}
    with jax.set_mesh(mesh):
        spread = jax.device_put(params, places)
        state = jax.jit(tx.init)(spread)
        _, state = jax.jit(tx.update)(spread, state, spread)
        got = jax.device_get(gradtx.metrics(state))
    _, alone = tx.update(params, tx.init(params), params)
    for name, x in jax.device_get(gradtx.metrics(alone)).items():
        np.testing.assert_allclose(got[name], x, rtol=1e-5, err_msg=name)


def test_within_shard_map() -> None:
    """In a scan on each device, the numbers are of what the device holds."""
    inner = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(RATE))
    tx = gradtx.with_metrics(inner, first)
    mesh = jax.make_mesh((2,), ("d",), (AxisType.Auto,), devices=jax.devices()[:2])

    def local(params: Any) -> Any:
        def body(state: Any, _: None) -> Any:
            return tx.update(params, state, params)[1], None

        state = jax.lax.scan(body, tx.init(params), length=2)[0]
        return {k: x[None] for k, x in gradtx.metrics(state).items() if k != "steps"}

    params = problems.small_tree()
    spread = partial(jax.shard_map, mesh=mesh, in_specs=P("d"), out_specs=P("d"))
    got = jax.jit(spread(local))(params)
    np.testing.assert_allclose(
        got["param_norm/matrix"], [size(x) for x in jnp.split(params["w"], 2)], 1e-5
    )


def test_a_clipped_norm_is_taken_once() -> None:
    """A compiled step reads as much as one that takes the two other norms by hand."""
    params = {"w": jnp.ones((512, 512))}
    plain = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sgd(0.1))
    tx = gradtx.with_metrics(plain)

    def by_hand(g: Any, state: Any, p: Any) -> Any:
        u, state = plain.update(g, state, p)
        return u, state, gradtx.tree.norm(u), gradtx.tree.norm(p)

    def traffic(step: Any, state: Any) -> float:
        analysis: Any = jax.jit(step).lower(params, state, params).compile()
        return analysis.cost_analysis()["bytes accessed"] / params["w"].nbytes

    expected = traffic(by_hand, plain.init(params))
    assert traffic(tx.update, tx.init(params)) <= expected + 0.1


def test_half_precision_and_no_gradient() -> None:
    """Norms are summed in float32; what has no gradient counts in none."""
    params = {"w": jnp.full(4096, 3.0, jnp.bfloat16), "n": jnp.int32(5)}
    tx = gradtx.with_metrics(gradtx.sgd(1.0), lambda path: path)
    grads = {"w": params["w"], "n": None}
    _, state = tx.update(grads, tx.init(params), params)
    got = gradtx.metrics(state)
    assert got["param_norm"] == got["gradient_norm/w"] == 192
    assert "param_norm/n" not in got


def test_what_is_refused() -> None:
    """A state without metrics or with two of them, and a step without parameters."""
    params = problems.small_tree()
    tx = gradtx.with_metrics(gradtx.sgd(0.1))
    state = tx.init(params)
    with pytest.raises(ValueError, match="no state of with_metrics"):
        gradtx.metrics(gradtx.adam(0.1).init(params))
    with pytest.raises(ValueError, match="2 states of with_metrics"):
        gradtx.metrics((state, state))
    infinite = jax.tree.map(lambda x: x * jnp.inf, params)
    _, state = tx.update(infinite, state, params)
    assert gradtx.metrics(state)["gradient_norm"] == jnp.inf
    with pytest.raises(ValueError, match="needs the current parameters"):
        tx.update(params, state)
