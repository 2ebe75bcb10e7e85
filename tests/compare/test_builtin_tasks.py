"""The tasks that come along: rare features, and labels that are wrong."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.compare.builtin.data import Data, Split, mislabelled, ngrams, text
from gradtx.compare.builtin.models import BagNetwork
from gradtx.compare.builtin.tasks import PROBLEMS


def test_ngrams_are_numbered_by_what_they_hold():
    """The bucket of the last k characters depends on them alone; the label is next."""
    found, read = ngrams(buckets=64, held=50), text(context=4, held=(50, 50))
    inputs, codes = np.asarray(found.validation.inputs), read.validation.inputs
    assert inputs.shape == (50, 4)
    assert 0 <= inputs.min() <= inputs.max() < 64
    np.testing.assert_array_equal(
        found.validation.labels, read.validation.labels[:, -1]
    )
    for count in range(1, 5):
        seen = {}
        for row, of in zip(np.asarray(codes), inputs, strict=True):
            assert seen.setdefault(tuple(row[-count:]), of[count - 1]) == of[count - 1]
        assert len(set(seen.values())) > 1


def test_a_bag_has_a_gradient_where_its_features_are():
    """An example adds its features' rows, and no other row has a gradient."""
    network = BagNetwork(buckets=6, classes=3)
    features = jnp.array([[1, 4], [4, 5]])
    params = network.init(jax.random.key(0), features)

    def loss(params: Any) -> Any:
        logits: Any = network.apply(params, features)
        return jnp.sin(1 + logits).sum()

    (rows,) = jax.tree.leaves(jax.grad(loss)(params))
    assert np.flatnonzero(np.abs(rows).sum(axis=1)).tolist() == [1, 4, 5]
    np.testing.assert_allclose(rows[4], rows[1] + rows[5], rtol=1e-6)


def test_a_fixed_part_of_the_labels_is_wrong():
    """As many as are asked for differ, the same ones each time; the others are true."""
    split = Split(jnp.zeros((40, 1)), jnp.arange(40) % 10)
    true = Data(split, split, split)
    one, two = mislabelled(true, 0.3), mislabelled(true, 0.3)
    assert int((one.train.labels != split.labels).sum()) == 12
    assert 0 <= one.train.labels.min() <= one.train.labels.max() < 10
    np.testing.assert_array_equal(one.train.labels, two.train.labels)
    assert one.validation is split
    assert one.test is split


@pytest.mark.parametrize("name", ["sparse", "noisy"])
@pytest.mark.one_in(2)
def test_a_task_that_comes_along_trains(name):
    """Two steps at the smallest size give a finite loss and an accuracy."""
    pytest.importorskip("sklearn")
    found = gradtx.compare.sweep(
        gradtx.adagrad, PROBLEMS[name](quick=True).task, [0.1], steps=2
    )
    assert np.isfinite(found.final).all()
    assert 0 <= found.measures["test accuracy"][0, 0] <= 1
