"""The classes of values as pytrees."""

from typing import Any

import jax

from gradtx.common.spec import Factory, Recipe


def register(value_type: type[Any]) -> None:
    """Make the class a pytree; one without a recipe has no leaves."""

    def flatten(value: Any) -> tuple[list[Any], Any]:
        return value.flatten() if value.recipe is None else value.recipe.flat

    def flatten_with_keys(value: Any) -> tuple[Any, Any]:
        children, aux = flatten(value)
        names = [name for name, *_ in aux[1]] if children else []
        keys = map(jax.tree_util.GetAttrKey, names)
        return list(zip(keys, children, strict=True)), aux

    def unflatten(aux: Any, children: Any) -> Any:
        if not children and not isinstance(aux[0], Factory):
            return value_type(*aux)
        return value_type.from_recipe(Recipe.unflatten(aux, children))

    jax.tree_util.register_pytree_with_keys(
        value_type, flatten_with_keys, unflatten, flatten
    )
