"""PyTorch's learning-rate schedulers as schedules: ``StepLR(0.1, step_size=30)``.

Where PyTorch has the optimizer, the learning rate that it would have stands here; all
else has PyTorch's names, order and defaults. The result is a function of how often
``scheduler.step()`` would have been called. Where that is once an epoch,

    rate = gradtx.like.torch.StepLR(0.1, step_size=30)
    tx = gradtx.like.torch.SGD(lambda step: rate(step // steps_per_epoch))

There is no ``last_epoch``, as a schedule is told where it is.
``ReduceLROnPlateau``, which looks at the loss, is
:func:`gradtx.contrib.reduce_on_plateau`.
"""

from gradtx.like.torch.lr_scheduler.composed import (
    ChainedScheduler as ChainedScheduler,
    LambdaLR as LambdaLR,
    MultiplicativeLR as MultiplicativeLR,
    SequentialLR as SequentialLR,
)
from gradtx.like.torch.lr_scheduler.cosine import (
    CosineAnnealingLR as CosineAnnealingLR,
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from gradtx.like.torch.lr_scheduler.cycles import (
    CyclicLR as CyclicLR,
    OneCycleLR as OneCycleLR,
)
from gradtx.like.torch.lr_scheduler.plain import (
    ConstantLR as ConstantLR,
    ExponentialLR as ExponentialLR,
    LinearLR as LinearLR,
    MultiStepLR as MultiStepLR,
    PolynomialLR as PolynomialLR,
    StepLR as StepLR,
)
