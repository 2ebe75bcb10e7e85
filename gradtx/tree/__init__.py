"""Trees of arrays: arithmetic, norms, types, moments, and what a state holds.

Here integers and flags are the numbers that they are: they are added, counted, summed.
Transformations take them for frozen parameters and count them in no norm. So
``norm(grads)`` is the norm that :func:`gradtx.clip_by_global_norm` clips by, as a
gradient has None or float0 where there are integers, while ``norm(params)`` counts
integer parameters too.
"""

from gradtx.tree.arithmetic import (
    add as add,
    add_scale as add_scale,
    clip as clip,
    conj as conj,
    div as div,
    mul as mul,
    real as real,
    scale as scale,
    sub as sub,
    where as where,
)
from gradtx.tree.casting import cast as cast, cast_like as cast_like, dtype as dtype
from gradtx.tree.filling import (
    batch_shape as batch_shape,
    full_like as full_like,
    ones_like as ones_like,
    zeros_like as zeros_like,
)
from gradtx.tree.keys import NamedTupleKey as NamedTupleKey
from gradtx.tree.moments import (
    bias_correction as bias_correction,
    update_infinity_moment as update_infinity_moment,
    update_moment as update_moment,
    update_moment_per_elem_norm as update_moment_per_elem_norm,
)
from gradtx.tree.norms import norm as norm
from gradtx.tree.params import map_params as map_params
from gradtx.tree.random import (
    random_like as random_like,
    split_key_like as split_key_like,
    unwrap_random_key_data as unwrap_random_key_data,
)
from gradtx.tree.reduction import (
    allclose as allclose,
    max as max,  # noqa: A004
    min as min,  # noqa: A004
    size as size,
    sum as sum,  # noqa: A004
    vdot as vdot,
)
from gradtx.tree.state import (
    get as get,
    get_all_with_path as get_all_with_path,
    set as set,  # noqa: A004
)
