"""Which leaf gets what: its methods, whether it decays, whether it stands still."""

from typing import Any

import jax
from jax.core import Tracer

from gradtx.common import arguments, lines, spec
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import Params
from gradtx.core.masking import masked
from gradtx.core.transformation import GradientTransformation, identity
from gradtx.inspection import paths
from gradtx.inspection.parts import is_part, is_whole, name_of, parts
from gradtx.primitives.downhill import add_decayed_weights
from gradtx.primitives.scale import set_to_zero
from gradtx.tree import masks
from gradtx.wrappers.freeze import freeze

Leaves = frozenset[str]

# The packages whose transformations are made of others, and no methods of their own.
_COMPOSERS = ("core", "wrappers", "quantization", "groups", "inspection", "sharding")
_DECAYS = ("weight_decay", "weight_decay_rate", "decoupled_weight_decay")


def methods(tx: Any, params: Params) -> dict[str, tuple[str, ...]]:
    """Return for every leaf the transformations that it passes through, as text.

    Args:
      tx: a transformation.
      params: the parameters, or their shapes.
    """
    every = frozenset(paths.leaves(params))
    found: dict[str, tuple[str, ...]] = dict.fromkeys(every, ())
    for path, text in _passed(tx, params, every):
        found[path] += (text,)
    return found


def fates(tx: Any, params: Params) -> dict[str, str]:
    """Return for every leaf what is done to it last: "decay", "freeze" or "".

    A leaf that cannot have a gradient is frozen by itself.

    Args:
      tx: a transformation.
      params: the parameters, or their shapes.
    """
    leaves = paths.leaves(params)
    last = dict.fromkeys(leaves, "") | dict(_events(tx, params, frozenset(leaves)))
    still = [path for path, x in leaves.items() if not is_differentiable(x)]
    return last | dict.fromkeys(still, "freeze")


def line(tx: Any) -> str:
    """Write a transformation in one line, without its parts."""
    if not spec.is_value(tx):
        return name_of(tx)
    factory, given = tx.recipe.factory, tx.recipe.arguments
    own = [
        x for x in factory.signature.parameters.values() if not _holds(given[x.name])
    ]
    signature = factory.signature.replace(parameters=own)
    with lines.unbroken():
        return f"{factory.name}({', '.join(arguments.shown(signature, given))})"


def inside(tx: Any, params: Params) -> list[tuple[str, Any, Params]]:
    """Return what a value is made of: labels, transformations and what they see."""
    recipe = tx.recipe
    own = getattr(recipe.factory, "own", None)  # of `inject_hyperparams`
    made = _value(own, recipe) if own else recipe.product
    if spec.is_value(made):
        return [("", made, params)]
    return [(x.label, x.tx, x.shown) for x in parts(tx, params) if x.path is not None]


def _value(factory: Any, recipe: spec.Recipe) -> GradientTransformation:
    made = spec.Recipe(factory, recipe.arguments)
    made.rejoined = True
    return GradientTransformation.from_recipe(made)


def _holds(value: Any) -> bool:
    return any(map(is_part, jax.tree.leaves(value, is_leaf=is_whole)))


def _here(params: Params, seen: Leaves) -> Leaves:
    """Return which leaves are shown; all around where they are put together."""
    here = frozenset(paths.leaves(params))
    return here if here.issubset(seen) else seen


def _passed(tx: Any, params: Params, seen: Leaves) -> list[tuple[str, str]]:
    """Return pairs of a leaf and what it passes through, in order."""
    here = _here(params, seen)
    within = inside(tx, params) if _is_composer(tx) else []
    if within:
        return [pair for _, x, shown in within for pair in _passed(x, shown, here)]
    if spec.is_value(tx) and tx.recipe.factory is identity.factory:  # type: ignore[attr-defined]
        return []
    ways = _ways(tx, params, here)
    ends = {path: f": {way}" for path, way in ways.items()}
    chosen = _chosen(_masks(tx), params, here)
    return [(path, line(tx) + ends.get(path, "")) for path in chosen]


def _is_composer(tx: Any) -> bool:
    if not spec.is_value(tx):
        return False
    factory = tx.recipe.factory
    if hasattr(factory, "own"):  # of `inject_hyperparams`
        return True
    rooms = factory.make.__module__.split(".")
    return factory.ours and rooms[1] in _COMPOSERS


def _ways(tx: Any, params: Params, here: Leaves) -> dict[str, str]:
    """Return what a method that treats its leaves in several ways does with each."""
    found: dict[str, str] = {}
    for label, x, shown in inside(tx, params) if spec.is_value(tx) else []:
        there = _here(shown, here)
        if label and there < here:
            found |= dict.fromkeys(there, label)
        else:
            found |= _ways(x, shown, here)
    return found


def _events(tx: Any, params: Params, seen: Leaves) -> list[tuple[str, str]]:
    """Return pairs of a leaf and what is done to it, in order."""
    if not spec.is_value(tx):
        return []
    here = _here(params, seen)
    for what, asked in (("decay", _decays), ("freeze", _freezes)):
        answer = asked(tx)
        if answer is not None:
            return [(path, what) for path in _chosen(answer, params, here)]
    within = inside(tx, params)
    return [pair for _, x, shown in within for pair in _events(x, shown, here)]


def _chosen(answer: Any, params: Params, here: Leaves) -> Leaves:
    if isinstance(answer, bool):
        return here if answer else frozenset()
    flags = paths.leaves(masks.resolve_mask(answer, params))
    return here & {path for path, flag in flags.items() if flag}


def _masks(tx: Any) -> Any:
    """Tell which leaves a link that is given a mask is for."""
    if not spec.is_value(tx):
        return True
    factory, given = tx.recipe.factory, tx.recipe.arguments
    known = (add_decayed_weights.factory, freeze.factory, masked.factory)  # type: ignore[attr-defined]
    mask = given.get("mask") if factory in known else None
    return True if mask is None else mask


def _freezes(tx: Any) -> Any:
    """Tell which leaves a value freezes by itself: a mask, or all; None if no such."""
    factory = tx.recipe.factory
    if factory is set_to_zero.factory:  # type: ignore[attr-defined]
        return True
    return tx.recipe.arguments["mask"] if factory is freeze.factory else None  # type: ignore[attr-defined]


def _decays(tx: Any) -> Any:
    """Tell which leaves a value that adds the decay itself is for; None if no such."""
    given = tx.recipe.arguments
    if not given.keys() & set(_DECAYS) or _is_made_of_values(tx):
        return None
    if not any(_is_some(given.get(name)) for name in _DECAYS):
        return False
    found = (given.get(name) for name in ("mask", "weight_decay_mask"))
    return next((mask for mask in found if mask is not None), True)


def _is_made_of_values(tx: Any) -> bool:
    recipe = tx.recipe
    injects = getattr(recipe.factory, "own", None) is not None
    return injects or spec.is_value(recipe.product)


def _is_some(decay: Any) -> bool:
    """Whether a decay may be other than zero."""
    known = isinstance(decay, bool | int | float) or hasattr(decay, "item")
    traced = isinstance(decay, Tracer)
    return decay is not None and (traced or not known or decay != 0)
