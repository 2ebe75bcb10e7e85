"""A transformation that sees a part of the tree only."""

from typing import Any, NamedTuple

from gradtx.common.types import MaskOrFn, OptState, Params, Updates
from gradtx.core import state_fit
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.tree import masks


class MaskedState(NamedTuple):
    """The state of a transformation that was shown a part of the tree."""

    inner_state: OptState


def restrict(
    inner: Any, mask: MaskOrFn, *, extra_too: bool = False
) -> GradientTransformation:
    """Run ``inner`` where the mask is True, and pass the other updates on as they are.

    Args:
      inner: any transformation.
      mask: as :func:`gradtx.tree.masks.resolve_mask` takes it; a function is called
        with the parameters in ``init`` and with the updates in ``update``, where the
        parameters stand in for updates of None.
      extra_too: also mask the extra arguments that are trees like the parameters.
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        flags = masks.as_prefix(mask, params)
        return MaskedState(inner.init(masks.mask_out(params, flags, "parameters")))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        state_fit.of_class(state, MaskedState, ["inner_state"])
        flags = masks.as_prefix(mask, masks.whole(updates, params))
        shown = None if params is None else masks.mask_out(params, flags, "parameters")
        if extra_too:
            extra = {
                name: masks.mask_out_if_alike(x, flags, updates)
                for name, x in extra.items()
            }
        new, inner_state = inner.update(
            masks.mask_out(updates, flags), state.inner_state, shown, **extra
        )
        return masks.fill_in(flags, new, updates), MaskedState(inner_state)

    return GradientTransformation(init, update)


@transformation
def masked(
    inner: GradientTransformation,
    mask: MaskOrFn,
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformation:
    """Apply ``inner`` to some leaves and pass the updates of the others on as they are.

    Where the mask is False the update that comes in goes out. At the end of a chain
    that is the raw gradient, which would be *added* to the parameter: to freeze
    leaves, follow with ``masked(set_to_zero(), other_leaves)``.

    ``inner`` sees a tree that has no leaf where the mask is False, so it neither keeps
    state for those nor counts them in a norm.

    Args:
      inner: any transformation.
      mask: a tree of booleans shaped like the parameters (or a prefix of them), or a
        function that makes one from the parameters or updates it is given.
      mask_compatible_extra_args: also mask those extra arguments of ``update`` that are
        trees of the parameters' structure.

    Raises:
      ValueError: if the mask does not fit the tree, or is traced.

    Example:
      >>> tx, params = gradtx.masked(gradtx.scale(-0.1), True), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    return restrict(inner, mask, extra_too=mask_compatible_extra_args)
