"""A recipe with another argument: its own, or that of one of its parts."""

from typing import Any

from gradtx.common import checks


def replaced(recipe: Any, name: str, value: Any) -> Any:
    """Return a :class:`gradtx.common.spec.Recipe` with another argument.

    Raises:
      InvalidArgument: if it has no argument of that name, and no part, or more than
        one, has it.
    """
    if name in recipe.arguments:
        value = recipe.factory.settled(name, value)
        changed = type(recipe)(recipe.factory, {**recipe.arguments, name: value})
        return changed.joined({k: x for k, x in recipe.split.items() if k != name})
    owners = [
        (argument, i)
        for argument, (leaves, _, _) in recipe.split.items()
        for i, x in enumerate(leaves)
        if isinstance(getattr(x, "recipe", None), type(recipe))
        and name in _names(x.recipe)
    ]
    if len(owners) != 1:
        found = "no part has" if not owners else f"{len(owners)} parts have"
        raise checks.InvalidArgument(
            f"replace: {found} an argument {name!r}; {recipe.factory.name} and its "
            f"parts have {sorted(set(_names(recipe)))}"
        )
    ((argument, i),) = owners
    leaves, treedef, dynamic = recipe.split[argument]
    leaves = [*leaves[:i], leaves[i].replace(**{name: value}), *leaves[i + 1 :]]
    return recipe.joined({**recipe.split, argument: (leaves, treedef, dynamic)})


def _names(recipe: Any) -> list[str]:
    """List the argument names of a recipe and of its parts."""
    parts = [name for part in recipe.parts for name in _names(part.recipe)]
    return [*recipe.arguments, *parts]
