"""The address at which ``optax.contrib`` keeps these; they live in their rooms."""

from gradtx.optimizers.acprop import (
    acprop as acprop,
    scale_by_acprop as scale_by_acprop,
)
from gradtx.optimizers.ademamix import (
    ScaleByAdemamixState as ScaleByAdemamixState,
    ademamix as ademamix,
    scale_by_ademamix as scale_by_ademamix,
)
from gradtx.optimizers.adopt import adopt as adopt, scale_by_adopt as scale_by_adopt
from gradtx.optimizers.cocob import (
    COCOBState as COCOBState,
    cocob as cocob,
    scale_by_cocob as scale_by_cocob,
)
from gradtx.optimizers.dadapt_adamw import (
    DAdaptAdamWState as DAdaptAdamWState,
    dadapt_adamw as dadapt_adamw,
)
from gradtx.optimizers.dog import (
    DoGState as DoGState,
    DoWGState as DoWGState,
    dog as dog,
    dowg as dowg,
    scale_by_dog as scale_by_dog,
    scale_by_dowg as scale_by_dowg,
)
from gradtx.optimizers.dpsgd import (
    DifferentiallyPrivateAggregateState as DifferentiallyPrivateAggregateState,
    differentially_private_aggregate as differentially_private_aggregate,
    dpsgd as dpsgd,
)
from gradtx.optimizers.galore import (
    GaLoreState as GaLoreState,
    galore as galore,
    scale_by_galore as scale_by_galore,
)
from gradtx.optimizers.hutchinson import (
    HutchinsonState as HutchinsonState,
    hutchinson_estimator_diag_hessian as hutchinson_estimator_diag_hessian,
)
from gradtx.optimizers.low_rank import GaLoreDimensionNumbers as GaLoreDimensionNumbers
from gradtx.optimizers.madgrad import (
    MadgradState as MadgradState,
    madgrad as madgrad,
    scale_by_madgrad as scale_by_madgrad,
)
from gradtx.optimizers.momo import MomoState as MomoState, momo as momo
from gradtx.optimizers.momo_adam import (
    MomoAdamState as MomoAdamState,
    momo_adam as momo_adam,
)
from gradtx.optimizers.muon import (
    MuonState as MuonState,
    muon as muon,
    scale_by_muon as scale_by_muon,
)
from gradtx.optimizers.prodigy import ProdigyState as ProdigyState, prodigy as prodigy
from gradtx.optimizers.schedule_free import (
    schedule_free_adamw as schedule_free_adamw,
    schedule_free_sgd as schedule_free_sgd,
)
from gradtx.optimizers.simplified_ademamix import (
    ScaleBySimplifiedAdEMAMixState as ScaleBySimplifiedAdEMAMixState,
    scale_by_simplified_ademamix as scale_by_simplified_ademamix,
    simplified_ademamix as simplified_ademamix,
)
from gradtx.optimizers.sophia import (
    SophiaState as SophiaState,
    scale_by_sophia as scale_by_sophia,
    sophia as sophia,
)
from gradtx.primitives.shape import MuonDimensionNumbers as MuonDimensionNumbers
from gradtx.wrappers.mechanic import (
    MechanicState as MechanicState,
    mechanize as mechanize,
)
from gradtx.wrappers.plateau import (
    ReduceLROnPlateauState as ReduceLROnPlateauState,
    reduce_on_plateau as reduce_on_plateau,
)
from gradtx.wrappers.sam import (
    NormalizeState as NormalizeState,
    SAMState as SAMState,
    normalize as normalize,
    sam as sam,
)
from gradtx.wrappers.schedule_free import (
    ScheduleFreeState as ScheduleFreeState,
    schedule_free as schedule_free,
    schedule_free_eval_params as schedule_free_eval_params,
)
from gradtx.wrappers.split_complex import (
    SplitRealAndImaginaryArrays as SplitRealAndImaginaryArrays,
    SplitRealAndImaginaryState as SplitRealAndImaginaryState,
    split_real_and_imaginary as split_real_and_imaginary,
)
