"""Keras's schedules: ``keras.optimizers.schedules.CosineDecay(0.1, 1000)`` and others.

With Keras's names, order and defaults; ``name`` is shown when one is printed, and does
nothing. Each is a function of the number of steps taken.
"""

from gradtx.like.keras.schedules.cosine import (
    CosineDecay as CosineDecay,
    CosineDecayRestarts as CosineDecayRestarts,
)
from gradtx.like.keras.schedules.plain import (
    ExponentialDecay as ExponentialDecay,
    InverseTimeDecay as InverseTimeDecay,
    PiecewiseConstantDecay as PiecewiseConstantDecay,
    PolynomialDecay as PolynomialDecay,
)
