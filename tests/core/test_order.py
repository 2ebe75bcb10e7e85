"""What must see the final update comes last, or says why not."""

from typing import Any

import optax
import pytest

import gradtx
from gradtx import contrib

BALL = gradtx.hyperball(gradtx.sgd(0.1))
CAUTIOUS = gradtx.add_decayed_weights(0.1, kind="cautious")
FINAL = {
    "hyperball": BALL,
    "relative_update": gradtx.relative_update(gradtx.sgd(0.1)),
    "radial_brake": gradtx.radial_brake(gradtx.sgd(0.1)),
    "row_floor": gradtx.row_floor(gradtx.sgd(0.1)),
    "schedule_free": contrib.schedule_free_sgd(0.1),
    "with_master_weights": gradtx.with_master_weights(gradtx.sgd(0.1)),
    "with_compensation": gradtx.with_compensation(gradtx.sgd(0.1)),
    "with_stochastic_rounding": gradtx.with_stochastic_rounding(gradtx.sgd(0.1)),
    "lookahead": gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5),
    "average": gradtx.average(gradtx.sgd(0.1)),
    "tail_average": gradtx.tail_average(gradtx.sgd(0.1), 2),
    "ema_nesterov": gradtx.ema_nesterov(gradtx.sgd(0.1)),
    "outer_nesterov": gradtx.outer_nesterov(gradtx.sgd(0.1), 2),
    "primal_averaging": gradtx.primal_averaging(gradtx.sgd(0.1)),
    "sam": gradtx.sam(gradtx.sgd(0.1), gradtx.sgd(0.1)),
}


@pytest.mark.parametrize("name", FINAL)
def test_nothing_that_changes_updates_may_follow(name: str) -> None:
    """A chain refuses a link that changes the final update, and names both."""
    for later in (gradtx.scale(0.5), gradtx.clip(1.0), gradtx.adam(0.1)):
        with pytest.raises(ValueError, match=f"{name} .*{later.recipe.factory.name}"):
            gradtx.chain(FINAL[name], later)
    gradtx.chain(gradtx.clip(1.0), FINAL[name])


@pytest.mark.parametrize(
    "link",
    [
        gradtx.apply_if_finite(BALL, 3),
        gradtx.chain(gradtx.clip(1.0), BALL),
        gradtx.named_chain(("clip", gradtx.clip(1.0)), ("ball", BALL)),
        gradtx.masked(BALL, mask=True),
        gradtx.partition({"all": BALL}, "all"),
    ],
)
def test_it_is_found_however_deep_it_lies(link: Any) -> None:
    """A part of a link needs it as the link itself would."""
    with pytest.raises(ValueError, match=r"hyperball must .*scale"):
        gradtx.chain(gradtx.identity(), link, gradtx.scale(0.5))


@pytest.mark.parametrize(
    "wrap",
    [
        gradtx.cautious,
        gradtx.hyperball,
        gradtx.relative_update,
        gradtx.radial_brake,
        gradtx.row_floor,
        gradtx.spike_aware_reset,
    ],
)
def test_no_wrapper_may_change_it(wrap: Any) -> None:
    """A wrapper that rewrites updates refuses what needs the final one inside."""
    with pytest.raises(ValueError, match=f"hyperball must .*{wrap.__name__}"):
        wrap(BALL)


def test_cautious_decay_must_see_the_direction() -> None:
    """What only scales the updates may follow it; what turns them is refused."""
    adam = gradtx.scale_by_adam()
    for last in (
        gradtx.scale_by_learning_rate(0.1),
        gradtx.scale_by_learning_rate(lambda _: 0.1),
        gradtx.chain(gradtx.scale(-1.0), gradtx.clip_by_global_norm(1.0)),
    ):
        gradtx.chain(adam, CAUTIOUS, last)
    with pytest.raises(ValueError, match=r"add_decayed_weights must .*scale_by_sign"):
        gradtx.chain(CAUTIOUS, gradtx.scale_by_sign(), gradtx.scale(-0.1))
    with pytest.raises(ValueError, match=r"add_decayed_weights must .*add_decayed"):
        gradtx.chain(adam, CAUTIOUS, gradtx.add_decayed_weights(0.1))
    gradtx.chain(gradtx.add_decayed_weights(0.1), gradtx.scale_by_sign())


def test_what_cannot_be_known_is_let_through() -> None:
    """Links of others, those on some leaves only, and those that look on may follow."""
    mask = {"w": False, "b": True}
    for later in (
        gradtx.identity(),
        gradtx.monitor({"norm": gradtx.global_norm}),
        gradtx.masked(gradtx.scale(0.5), mask),
        gradtx.add_decayed_weights(0.1, mask),
        gradtx.freeze(mask),
        optax.scale(1.0),
        gradtx.GradientTransformation(*optax.scale(1.0)),
        gradtx.chain(gradtx.identity(), optax.identity()),
    ):
        gradtx.chain(BALL, later)
    with pytest.raises(ValueError, match=r"hyperball must .*scale"):
        gradtx.chain(BALL, gradtx.chain(gradtx.identity(), gradtx.scale(1.0)))
