"""What a transformation does to which leaf, from shapes alone."""

import sys
from typing import Any

import catalogue
import jax
import jax.numpy as jnp
import optax
import problems
import pytest

import gradtx
from gradtx import contrib


def shapes() -> Any:
    """Return two layers, an embedding in half precision and a counter."""
    f32, bf16 = jnp.float32, jnp.bfloat16
    layer = {
        "kernel": jax.ShapeDtypeStruct((8, 4), f32),
        "bias": jax.ShapeDtypeStruct((4,), f32),
    }
    return {
        "first": layer,
        "second": layer,
        "embed": jax.ShapeDtypeStruct((16, 4), bf16),
        "seen": jax.ShapeDtypeStruct((), jnp.int32),
    }


def matrices(tree: Any) -> Any:
    """Choose the leaves of two axes."""
    return jax.tree.map(lambda x: len(x.shape) == 2, tree)


def by_pattern(tx: Any, params: Any) -> dict[str, Any]:
    """Return the groups by the patterns of their paths."""
    return {group.pattern: group for group in gradtx.describe(tx, params).groups}


def test_which_leaf_gets_what() -> None:
    """Groups tell number, method, decay and the bytes of each slot in its type."""
    adamw = gradtx.adamw(0.1, weight_decay=0.5, mask=matrices)
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), adamw)
    found = by_pattern(tx, shapes())
    assert list(found) == ["embed", "**/kernel", "**/bias", "seen"]
    kernels = found["**/kernel"]
    assert kernels.paths == ("first/kernel", "second/kernel")
    assert kernels.parameters == 64
    assert kernels.methods == (
        "clip_by_global_norm(max_norm=1.0)",
        "adamw(learning_rate=0.1, weight_decay=0.5, mask=matrices)",
    )
    assert kernels.state == {("mu", "float32"): 256, ("nu", "float32"): 256}
    assert found["embed"].state == {("mu", "bfloat16"): 128, ("nu", "float32"): 256}
    decayed = {name for name, group in found.items() if group.decayed}
    assert decayed == {"embed", "**/kernel"}
    assert [name for name, group in found.items() if group.frozen] == ["seen"]
    assert found["seen"].state == {}


def test_parts_of_the_tree() -> None:
    """Through partition, within a method that routes, and where nothing moves."""
    params = {k: x for k, x in shapes().items() if k != "seen"}
    labels = {"first": "fast", "second": "fast", "embed": "still"}
    parts: dict[Any, Any] = {"fast": contrib.muon(0.1), "still": gradtx.set_to_zero()}
    found = by_pattern(gradtx.partition(parts, labels), params)
    assert found["**/kernel"].methods == ("muon(learning_rate=0.1): muon",)
    assert found["**/bias"].methods == ("muon(learning_rate=0.1): adam",)
    assert found["embed"].methods == ("set_to_zero()",)
    assert found["embed"].frozen
    assert found["embed"].state_bytes == 0


def test_frozen_is_what_nothing_moves_afterwards() -> None:
    """Decay after a freezing link moves what it froze; before it, it does not."""
    params = problems.small_tree()
    decay, freeze = gradtx.adamw(0.1), gradtx.freeze({"w": True, "b": False})
    after = by_pattern(gradtx.chain(decay, freeze), params)
    before = by_pattern(gradtx.chain(freeze, decay), params)
    assert (after["w"].frozen, after["w"].decayed) == (True, False)
    assert (before["w"].frozen, before["w"].decayed) == (False, True)
    chosen = gradtx.selective_transform(decay, freeze_mask={"w": True, "b": False})
    found = by_pattern(chosen, params)
    assert [found[k].frozen for k in "wb"] == [True, False]


def test_decay_of_zero_is_none() -> None:
    """A decay that is zero or missing does nothing; one in the state may."""
    params = problems.small_tree()
    for tx, decays in (
        (gradtx.adamw(0.1, weight_decay=0.0), False),
        (gradtx.adam(0.1), False),
        (gradtx.descend(gradtx.scale_by_adam(), 0.1, weight_decay=0.1), True),
        (gradtx.inject_hyperparams(gradtx.adamw)(0.1), True),
        (gradtx.lookahead(gradtx.adamw(0.1), 2, 0.5), True),
    ):
        assert [x.decayed for x in gradtx.describe(tx, params).groups] == [decays]


@pytest.mark.parametrize("name", catalogue.NAMES)
@pytest.mark.one_in(16)
def test_every_method(name: str) -> None:
    """Each leaf is in one group, and the bytes are those of the state."""
    tx, params = catalogue.row(name).build(), problems.small_tree()
    description = gradtx.describe(tx, jax.eval_shape(lambda: params))
    found = [path for group in description.groups for path in group.paths]
    assert sorted(found) == ["b", "w"]
    state = jax.tree.leaves(tx.init(params))
    assert description.state_bytes == sum(x.nbytes for x in state)
    assert all(group.methods for group in description.groups)


def test_the_tree() -> None:
    """A line for each part, by its label, with its settings."""
    foreign: Any = optax.scale(2.0)
    tx = gradtx.chain(
        gradtx.clip(1.0),
        gradtx.named_chain(("slow", gradtx.lookahead(gradtx.adam(0.1), 5, 0.5))),
        foreign,
    )
    assert str(gradtx.describe(tx)) == (
        "chain()\n"
        "├── clip(max_delta=1.0)\n"
        "├── named_chain()\n"
        "│   └── slow: lookahead(sync_period=5, slow_step_size=0.5)\n"
        "│       └── fast_optimizer: adam(learning_rate=0.1)\n"
        "└── GradientTransformation"
    )


def test_groups_by_path() -> None:
    """In the order in which they are tried, within what only looks on."""
    groups = {"first": None, "**/bias": gradtx.sgd(1.0)}
    layers = gradtx.layer_decay(gradtx.adam(0.1), 0.5)
    tx = gradtx.with_metrics(gradtx.by_path(groups, default=layers))
    assert str(gradtx.describe(tx)) == (
        "with_metrics()\n"
        "└── inner: by_path()\n"
        "    ├── first: frozen\n"
        "    ├── **/bias: sgd(learning_rate=1.0)\n"
        "    └── default: layer_decay(rate=0.5)\n"
        "        └── tx: adam(learning_rate=0.1)"
    )
    found = {x.paths: x.methods for x in gradtx.describe(tx, shapes()).groups}
    assert found["second/bias",] == ("sgd(learning_rate=1.0)",)
    assert found["second/kernel",] == ("adam(learning_rate=0.1)",)


def test_functions_among_the_parameters() -> None:
    """They are left out of tables and plans, as a module has them."""
    params = {"w": jnp.ones(2), "f": jax.nn.relu}
    tx = gradtx.adam(0.1)
    assert gradtx.describe(tx, params) == gradtx.describe(tx, {**params, "f": None})
    assert gradtx.report(tx, params).params_bytes == 8
    assert gradtx.plan(params, 100)["factored"].params_bytes == 8


def test_the_page(capsys: Any, monkeypatch: Any) -> None:
    """It is printed plainly, and drawn where rich is installed."""
    description = gradtx.describe(gradtx.adam(0.1), shapes())
    plain = str(description)
    assert "**/bias, **/kernel       4          72  no" in plain
    assert "137 parameters" in plain
    for module in ("rich", "rich.console"):
        monkeypatch.setitem(sys.modules, module, None)
    description.show()
    assert capsys.readouterr().out == plain + "\n"
    monkeypatch.undo()
    if pytest.importorskip("rich"):
        description.show()
        assert "┃" in capsys.readouterr().out
