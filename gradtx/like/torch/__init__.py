"""PyTorch's optimizers: ``torch.optim.SGD(...)`` becomes ``like.torch.SGD(...)``.

The parameters are not given here but to ``tx.init(params)``. A learning rate that a
scheduler of PyTorch would set before each step is here a schedule, a function of the
number of steps taken: those of ``torch.optim.lr_scheduler`` are in
:mod:`gradtx.like.torch.lr_scheduler` and here. As in PyTorch, a complex parameter is a
pair of real ones.
"""

from gradtx.like.torch import lr_scheduler as lr_scheduler
from gradtx.like.torch.adadelta import Adadelta as Adadelta
from gradtx.like.torch.adafactor import Adafactor as Adafactor
from gradtx.like.torch.adagrad import Adagrad as Adagrad
from gradtx.like.torch.adam import Adam as Adam, AdamW as AdamW
from gradtx.like.torch.adamax import Adamax as Adamax
from gradtx.like.torch.asgd import ASGD as ASGD
from gradtx.like.torch.lbfgs import LBFGS as LBFGS
from gradtx.like.torch.lr_scheduler import (
    ChainedScheduler as ChainedScheduler,
    ConstantLR as ConstantLR,
    CosineAnnealingLR as CosineAnnealingLR,
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
    CyclicLR as CyclicLR,
    ExponentialLR as ExponentialLR,
    LambdaLR as LambdaLR,
    LinearLR as LinearLR,
    MultiplicativeLR as MultiplicativeLR,
    MultiStepLR as MultiStepLR,
    OneCycleLR as OneCycleLR,
    PolynomialLR as PolynomialLR,
    SequentialLR as SequentialLR,
    StepLR as StepLR,
)
from gradtx.like.torch.muon import Muon as Muon
from gradtx.like.torch.nadam import NAdam as NAdam
from gradtx.like.torch.radam import RAdam as RAdam
from gradtx.like.torch.rmsprop import RMSprop as RMSprop
from gradtx.like.torch.rprop import Rprop as Rprop
from gradtx.like.torch.sgd import SGD as SGD
from gradtx.like.torch.sparse_adam import SparseAdam as SparseAdam
from gradtx.like.torch.state import (
    from_param_groups as from_param_groups,
    state_from as state_from,
)
