"""Keras's optimizers: ``keras.optimizers.Adam(...)`` becomes ``like.keras.Adam(...)``.

Each takes its own arguments and those that all share, and follows Keras's order:
accumulate, clip, decay, step, average the parameters. The shared arguments:

- ``learning_rate``: η, or a schedule of the number of calls made, also of those that
  only accumulate.
- ``weight_decay``: λ; p ← (1 - η λ) p before the step, whatever the method.
- ``clipnorm``, ``clipvalue``, ``global_clipnorm``: the largest norm of each leaf's
  gradient; the largest size of each entry; the largest norm of all gradients together,
  which makes everything NaN if it is not finite. At most one of them.
- ``use_ema``, ``ema_momentum``, ``ema_overwrite_frequency``: keep a running mean of the
  parameters, which :func:`gradtx.eval_params` finds, forgetting the old ones by the
  momentum, and put it in the place of the parameters every so many steps (never, if
  None).
- ``gradient_accumulation_steps``: step only every so many calls, with the mean of their
  gradients.
- ``loss_scale_factor``: is refused, as nothing here scales the loss.
- ``name``: is shown when the transformation is printed, and does nothing.

A setting of 0 that Keras takes for "off" is off here too.
"""

from gradtx.like.keras.adagrad import Adagrad as Adagrad
from gradtx.like.keras.adam import Adam as Adam, AdamW as AdamW
from gradtx.like.keras.lion import Lion as Lion
from gradtx.like.keras.muon import Muon as Muon
from gradtx.like.keras.rmsprop import RMSprop as RMSprop
from gradtx.like.keras.sgd import SGD as SGD
