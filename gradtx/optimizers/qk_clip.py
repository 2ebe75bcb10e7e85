"""QK-clip: shrink the queries and keys of heads whose logits got too large."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import cast
from gradtx.common.types import OptState, Params, PyTree, Scalar, Static, Updates
from gradtx.core.leafwise import flatten_updates, matching_params, to_compute_dtype
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    init_empty_state,
    transformation,
)
from gradtx.optimizers import naming
from gradtx.optimizers.layouts import Model
from gradtx.tree import masks

KINDS = ("query", "key", "query_rotary", "key_rotary")


class QKProjection(NamedTuple):
    """What one parameter is to an attention.

    Args:
      kind: "query" or "key"; where some dimensions are rotated apart from the others,
        as in multi-head latent attention, also "query_rotary" and "key_rotary".
      attention: the name of the attention, under which its logits are given.
      head_axis: the axis along which the heads lie, each an entry or a block of them.
      heads: how many there are, where that is not what the logits or the axis say, as
        for the keys of grouped queries. Each then has the largest logit of its group.

    Example:
      >>> gradtx.QKProjection("query", "block_0", head_axis=1)._fields
      ('kind', 'attention', 'head_axis', 'heads')
    """

    kind: str
    attention: str
    head_axis: int = -1
    heads: int | None = None


@transformation
def qk_clip(
    threshold: Scalar = 100.0, alpha: Scalar = 0.5, projections: Static = None
) -> GradientTransformation:
    """Shrink queries and keys so that no attention logit exceeds a bound for long.

        γ = min(1, τ / S)                 for each head, S its largest |logit|
        p' = (p + u) γᵃ                   a: α for queries, 1 - α for keys,
                                          1 for rotary queries, 0 for rotary keys

    The last link of a chain: it sees the final update. Its ``update`` takes one more
    argument, ``attention_max_logits``: a tree whose paths name attentions, as
    ``{"block_0": {"attention": S}}`` or ``{"block_0/attention": S}``, with an array for
    each: of every head the largest |q·k| over the batch, before the softmax, its
    factor 1/√d included. Stacked layers have it of shape (layers, heads). An attention
    that is not named is not clipped. Other state, such as momentum, is not scaled:

        tx = gradtx.chain(gradtx.muon(0.02), gradtx.qk_clip())
        tx.update(grads, state, params, attention_max_logits=logits)

    Args:
      threshold: τ, above 0.
      alpha: α, in [0, 1].
      projections: which parameters are queries and keys: a tree of
        :class:`QKProjection`, and None for all others, with the structure of the
        parameters, or a function that makes one from them. If None, paths tell: below
        "query", "q", "q_proj", "wq" and the same of keys, the path before that being
        the attention's name.

    Raises:
      ValueError: if a number is outside its range; from ``update`` without parameters
        or logits, if logits name no attention, or do not fit a parameter.

    Reference: Kimi Team, 2025, https://arxiv.org/abs/2507.20534 (section 2.1)

    Example:
      >>> tx, params = gradtx.qk_clip(), {"attention": {"query": jnp.ones((2, 1, 2))}}
      >>> updates, _ = tx.update(
      ...     jax.tree.map(jnp.zeros_like, params),
      ...     tx.init(params),
      ...     params,
      ...     attention_max_logits={"attention": jnp.array([400.0])},
      ... )
      >>> print(updates["attention"]["query"][0])
      [[-0.5 -0.5]]
    """
    checks.positive(threshold=threshold)
    checks.unit_interval(alpha=alpha)
    exponents = {"query": alpha, "key": 1 - alpha, "query_rotary": 1.0}
    find = _by_paths if projections is None else projections

    def update(
        updates: Updates, state: EmptyState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        checks.require_extra_arg(
            "attention_max_logits", extra.get("attention_max_logits")
        )
        leaves, treedef = flatten_updates(updates)
        targets = matching_params(params, leaves, treedef)
        tree = find(updates) if masks.is_function(find) else find
        found = checks.leaves_like(tree, treedef, "projections", "updates")
        bounds = _named(extra["attention_max_logits"], found)

        def one(path: Any, u: Any, p: Any, which: QKProjection | None) -> Any:
            if u is None or which is None or which.kind == "key_rotary":
                return u
            size = bounds.get(which.attention)
            if size is None:
                return u
            gamma = threshold / jnp.maximum(jnp.asarray(size), threshold)
            factor = _along_heads(gamma ** exponents[which.kind], p, which, path)
            u, kept = to_compute_dtype(u), to_compute_dtype(jnp.asarray(p))
            return cast(factor * u + (factor - 1) * kept, jnp.result_type(p))

        new = [
            one(*leaf, p, x) for leaf, p, x in zip(leaves, targets, found, strict=True)
        ]
        return treedef.unflatten(new), state

    return GradientTransformation(init_empty_state, update)


def _named(logits: PyTree, found: list[Any]) -> dict[str, Any]:
    """Return the logits of every attention that is named."""
    attentions = {which.attention for which in found if which is not None}
    bounds = {}
    for path, size in jax.tree_util.tree_leaves_with_path(logits):
        name = "/".join(naming.names(path))
        fitting = [x for x in attentions if x == name or x.endswith("/" + name)]
        if len(fitting) != 1:
            raise checks.InvalidArgument(
                f"attention_max_logits has {name!r}, which is the name of "
                f"{len(fitting)} attentions: there are {', '.join(sorted(attentions))}"
            )
        bounds[fitting[0]] = size
    return bounds


def _along_heads(gamma: jax.Array, p: Any, which: QKProjection, path: Any) -> jax.Array:
    """Return a factor for each head, shaped to be multiplied with the parameter."""
    shape = jnp.shape(p)
    axis = which.head_axis % max(len(shape), 1)
    size, given = shape[axis], gamma.shape[-1]
    heads = which.heads or (given if size % given == 0 else size)
    if given % heads or size % heads or gamma.ndim > len(shape):
        raise checks.InvalidArgument(
            f"the logits of {given} heads do not fit axis {axis} of the leaf at "
            f"{checks.path_name(path)} of shape {shape}: give projections that do"
        )
    lead = gamma.shape[:-1]
    grouped = gamma.reshape(*lead, heads, given // heads).min(axis=-1)
    spread = jnp.repeat(grouped, size // heads, axis=-1)
    sizes = [1] * len(shape)
    sizes[: len(lead)], sizes[axis] = lead, size
    return spread.reshape(sizes)


def _by_paths(tree: PyTree) -> PyTree:
    """Tell queries and keys by the names of the frameworks."""
    leaves, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf=checks.is_none)
    model = Model(tree, leaves)
    found = [_by_path(model, i, jnp.ndim(x)) for i, (_, x) in enumerate(leaves)]
    return treedef.unflatten(found)


def _by_path(model: Model, i: int, n: int) -> QKProjection | None:
    names = model.names[i]
    if naming.says_small(names) == "norm":
        return None
    for k in (len(names) - 1, len(names) - 2):
        kind = naming.query_or_key(names[k]) if k >= 0 else None
        if kind:
            return QKProjection(kind, "/".join(names[:k]), _head_axis(model, i, n))
    return None


def _head_axis(model: Model, i: int, n: int) -> int:
    """Return where the heads lie: along the first output axis, of a bias too."""
    own = model.route(i).axes
    if own is not None:
        return _first(own.output_axis) - n
    beside = [
        model.route(j).axes
        for j, names in enumerate(model.names)
        if names[:-1] == model.names[i][:-1]
    ]
    kernel = next((x for x in beside if x is not None), None)
    output = () if kernel is None else kernel.output_axis
    return -1 if isinstance(output, int) else -max(len(output), 1)


def _first(axis: Any) -> int:
    return axis if isinstance(axis, int) else axis[0]
