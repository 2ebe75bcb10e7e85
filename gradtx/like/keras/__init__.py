"""Keras's optimizers: ``keras.optimizers.Adam(...)`` becomes ``like.keras.Adam(...)``.

Each takes its own arguments and those that all share, which its docstring describes, and
follows Keras's order: accumulate, clip, decay, step, average the parameters. A learning
rate may be a schedule of the number of calls made, also of those that only accumulate;
Keras's own are in :mod:`gradtx.like.keras.schedules`. What Keras excludes from the weight
decay by a method of the optimizer, ``exclude_from_weight_decay`` excludes here by the
paths of the leaves. A setting of 0 that Keras takes for "off" is off here too.
"""

from gradtx.like.keras import schedules as schedules
from gradtx.like.keras.adadelta import Adadelta as Adadelta
from gradtx.like.keras.adafactor import Adafactor as Adafactor
from gradtx.like.keras.adagrad import Adagrad as Adagrad
from gradtx.like.keras.adam import Adam as Adam, AdamW as AdamW
from gradtx.like.keras.adamax import Adamax as Adamax
from gradtx.like.keras.ftrl import Ftrl as Ftrl
from gradtx.like.keras.lamb import Lamb as Lamb
from gradtx.like.keras.lion import Lion as Lion
from gradtx.like.keras.loss_scale import LossScaleOptimizer as LossScaleOptimizer
from gradtx.like.keras.muon import Muon as Muon
from gradtx.like.keras.nadam import Nadam as Nadam
from gradtx.like.keras.rmsprop import RMSprop as RMSprop
from gradtx.like.keras.schedule_free import ScheduleFreeAdamW as ScheduleFreeAdamW
from gradtx.like.keras.sgd import SGD as SGD
from gradtx.like.keras.state import state_from as state_from
