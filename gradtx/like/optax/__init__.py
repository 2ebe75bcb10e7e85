"""optax's numbers, where gradtx follows the paper: ``like.optax.amsgrad(...)``.

Most optimizers of optax have its numbers in gradtx under the same name. Those that have
not are here, with optax's signatures, defaults, rules and states: what optax 0.2.8 kept
in a checkpoint goes on here as it would there.
"""

from gradtx.like.optax.adan import (
    adan as adan,
    scale_by_adan as scale_by_adan,
)
from gradtx.like.optax.amsgrad import (
    amsgrad as amsgrad,
    scale_by_amsgrad as scale_by_amsgrad,
)
from gradtx.like.optax.lars import lars as lars
from gradtx.like.optax.momo import momo as momo, momo_adam as momo_adam
from gradtx.like.optax.polyak import polyak_sgd as polyak_sgd
from gradtx.like.optax.rprop import rprop as rprop, scale_by_rprop as scale_by_rprop
from gradtx.like.optax.schedule_free import (
    schedule_free as schedule_free,
    schedule_free_adamw as schedule_free_adamw,
    schedule_free_sgd as schedule_free_sgd,
)
