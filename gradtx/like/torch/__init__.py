"""PyTorch's optimizers: ``torch.optim.SGD(...)`` becomes ``like.torch.SGD(...)``.

The parameters are not given here but to ``tx.init(params)``. A learning rate that a
scheduler of PyTorch would set before each step is here a schedule: a function of the
number of steps taken. As in PyTorch, a complex parameter is a pair of real ones.
"""

from gradtx.like.torch.adagrad import Adagrad as Adagrad
from gradtx.like.torch.adam import Adam as Adam, AdamW as AdamW
from gradtx.like.torch.muon import Muon as Muon
from gradtx.like.torch.rmsprop import RMSprop as RMSprop
from gradtx.like.torch.sgd import SGD as SGD
