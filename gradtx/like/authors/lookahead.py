"""Lookahead as in its authors' repository."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, foreign
from gradtx.common.numerics import ema
from gradtx.common.types import OptState, Params, PyTree, Scalar, Updates
from gradtx.core.leafwise import to_compute_dtype
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.like.torch.sgd import DampenedTraceState
from gradtx.primitives.momentum import TraceState
from gradtx.wrappers.lookahead import lookahead


class PullbackState(NamedTuple):
    """What :func:`Lookahead` remembers when it treats the momentum too."""

    lookahead: OptState
    slow_traces: list[PyTree]  # the momenta of the slow weights, if pulled back


@transformation
def Lookahead(  # noqa: N802
    inner: GradientTransformation,
    la_steps: int = 5,
    la_alpha: Scalar = 0.8,
    pullback_momentum: str = "none",
) -> GradientTransformation:
    """Lookahead, as michaelrzhang/lookahead has it.

        every k steps:    φ ← φ + α (θ - φ),    θ ← φ

    and with the momentum b of the inner optimizer, where it has one,

        b ← 0                        "reset"
        b ← b̄ ← b̄ + α (b - b̄)        "pullback", b̄ the slow weights' momentum

    "pullback" is the rule that is meant: in the authors' code b̄ and b are one buffer
    from the first time on, so that b is multiplied by a number instead.

    Momentum is the ``trace`` of a :class:`gradtx.TraceState`, as SGD and RMSprop keep
    it, or of optax's. The moments of Adam are left as they are, as in the original. The
    slow weights are found by :func:`gradtx.eval_params`.

    Args:
      inner: any optimizer.
      la_steps: k, a whole number of at least 1.
      la_alpha: α, in [0, 1]: how far the slow weights go to the fast ones.
      pullback_momentum: "none", "reset" or "pullback": what becomes of the momentum, as
        above; "none" keeps it.

    Raises:
      ValueError: if k is below 1, α is outside [0, 1], or for another word.

    Reference: Zhang et al., 2019, https://arxiv.org/abs/1907.08610

    Example:
      >>> tx, params = (
      ...     gradtx.like.authors.Lookahead(gradtx.like.torch.SGD(0.1)),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    words = ("none", "reset", "pullback")
    if pullback_momentum not in words:
        raise checks.InvalidArgument(
            f"pullback_momentum must be one of {words}, got {pullback_momentum!r}"
        )
    base = lookahead(inner, la_steps, la_alpha)
    if pullback_momentum == "none":
        return base
    pulls = pullback_momentum == "pullback"

    def init(params: Params) -> PullbackState:
        state = base.init(params)
        traces = traces_of(state.fast_state) if pulls else []
        return PullbackState(state, jax.tree.map(jnp.zeros_like, traces))

    def update(
        updates: Updates,
        state: PullbackState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, PullbackState]:
        updates, new = base.update(updates, state.lookahead, params, **extra)
        met = new.steps_since_sync == 0
        fast, slow = traces_of(new.fast_state), state.slow_traces
        if pulls:
            slow = _where(met, _mixed(slow, fast, la_alpha), slow)
        target = slow if pulls else jax.tree.map(jnp.zeros_like, fast)
        fast_state = with_traces(new.fast_state, _where(met, target, fast))
        return updates, PullbackState(new._replace(fast_state=fast_state), slow)

    return GradientTransformation(init, update)


def _where(condition: jax.Array, yes: PyTree, no: PyTree) -> PyTree:
    return jax.tree.map(lambda y, n: jnp.where(condition, y, n), yes, no)


def _mixed(slow: PyTree, fast: PyTree, alpha: Scalar) -> PyTree:
    """Return slow + α (fast - slow), computed in float32 or wider."""

    def one(s: jax.Array, f: jax.Array) -> jax.Array:
        return ema(to_compute_dtype(s), to_compute_dtype(f), 1 - alpha).astype(s.dtype)

    return jax.tree.map(one, slow, fast)


def _has_trace(node: Any) -> bool:
    """Whether this is the state of a momentum: ours, PyTorch's or optax's."""
    return isinstance(node, TraceState | DampenedTraceState) or foreign.is_instance(
        node, "optax", "TraceState"
    )


def traces_of(state: OptState) -> list[PyTree]:
    """List the momenta in a state, in the order of its leaves."""
    nodes = jax.tree.leaves(state, is_leaf=_has_trace)
    return [node.trace for node in nodes if _has_trace(node)]


def with_traces(state: OptState, traces: list[PyTree]) -> OptState:
    """Return a state with other momenta, given as :func:`traces_of` lists them."""
    left = iter(traces)

    def one(node: Any) -> Any:
        return node._replace(trace=next(left)) if _has_trace(node) else node

    return jax.tree.map(one, state, is_leaf=_has_trace)
