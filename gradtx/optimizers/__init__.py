"""Learning rate in, descent out: one algorithm, one file."""

from gradtx.optimizers.acprop import (
    acprop as acprop,
    scale_by_acprop as scale_by_acprop,
)
from gradtx.optimizers.adabelief import (
    ScaleByBeliefState as ScaleByBeliefState,
    adabelief as adabelief,
    scale_by_belief as scale_by_belief,
)
from gradtx.optimizers.adadelta import (
    ScaleByAdaDeltaState as ScaleByAdaDeltaState,
    adadelta as adadelta,
    scale_by_adadelta as scale_by_adadelta,
)
from gradtx.optimizers.adafactor import (
    FactoredState as FactoredState,
    adafactor as adafactor,
    scale_by_factored_rms as scale_by_factored_rms,
)
from gradtx.optimizers.adagrad import (
    ScaleByRssState as ScaleByRssState,
    adagrad as adagrad,
    scale_by_rss as scale_by_rss,
)
from gradtx.optimizers.adam import (
    ScaleByAdamState as ScaleByAdamState,
    adam as adam,
    adamw as adamw,
    nadam as nadam,
    nadamw as nadamw,
    scale_by_adam as scale_by_adam,
)
from gradtx.optimizers.adam_mini import (
    ScaleByAdamMiniState as ScaleByAdamMiniState,
    adam_mini as adam_mini,
    scale_by_adam_mini as scale_by_adam_mini,
)
from gradtx.optimizers.adam_mini_blocks import (
    MiniBlocks as MiniBlocks,
    mini_blocks as mini_blocks,
)
from gradtx.optimizers.adamax import (
    adamax as adamax,
    adamaxw as adamaxw,
    scale_by_adamax as scale_by_adamax,
)
from gradtx.optimizers.adamuon import (
    ScaleByAdaMuonState as ScaleByAdaMuonState,
    adamuon as adamuon,
    scale_by_adamuon as scale_by_adamuon,
)
from gradtx.optimizers.adan import (
    ScaleByAdanState as ScaleByAdanState,
    adan as adan,
    scale_by_adan as scale_by_adan,
)
from gradtx.optimizers.ademamix import (
    ScaleByAdemamixState as ScaleByAdemamixState,
    ademamix as ademamix,
    scale_by_ademamix as scale_by_ademamix,
)
from gradtx.optimizers.adopt import adopt as adopt, scale_by_adopt as scale_by_adopt
from gradtx.optimizers.amsgrad import (
    ScaleByAmsgradState as ScaleByAmsgradState,
    amsgrad as amsgrad,
    scale_by_amsgrad as scale_by_amsgrad,
)
from gradtx.optimizers.apollo import (
    ApolloState as ApolloState,
    apollo as apollo,
    scale_by_apollo as scale_by_apollo,
)
from gradtx.optimizers.apollo_mini import apollo_mini as apollo_mini
from gradtx.optimizers.came import (
    ScaleByCameState as ScaleByCameState,
    came as came,
    scale_by_came as scale_by_came,
)
from gradtx.optimizers.cocob import (
    COCOBState as COCOBState,
    cocob as cocob,
    scale_by_cocob as scale_by_cocob,
)
from gradtx.optimizers.dadapt_adamw import (
    DAdaptAdamWState as DAdaptAdamWState,
    dadapt_adamw as dadapt_adamw,
)
from gradtx.optimizers.dion import (
    ScaleByDionState as ScaleByDionState,
    dion as dion,
    scale_by_dion as scale_by_dion,
)
from gradtx.optimizers.dion2 import (
    ScaleByDion2State as ScaleByDion2State,
    dion2 as dion2,
    scale_by_dion2 as scale_by_dion2,
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
from gradtx.optimizers.fromage import fromage as fromage
from gradtx.optimizers.galore import (
    GaLoreState as GaLoreState,
    galore as galore,
    scale_by_galore as scale_by_galore,
)
from gradtx.optimizers.hutchinson import (
    HutchinsonState as HutchinsonState,
    hutchinson_estimator_diag_hessian as hutchinson_estimator_diag_hessian,
)
from gradtx.optimizers.kl_shampoo import (
    ScaleByKLShampooState as ScaleByKLShampooState,
    kl_shampoo as kl_shampoo,
    scale_by_kl_shampoo as scale_by_kl_shampoo,
)
from gradtx.optimizers.kl_soap import (
    ScaleByKLSOAPState as ScaleByKLSOAPState,
    kl_soap as kl_soap,
    scale_by_kl_soap as scale_by_kl_soap,
)
from gradtx.optimizers.lamb import lamb as lamb
from gradtx.optimizers.laprop import (
    ScaleByLapropState as ScaleByLapropState,
    laprop as laprop,
    scale_by_laprop as scale_by_laprop,
)
from gradtx.optimizers.lars import lars as lars
from gradtx.optimizers.lbfgs import (
    ScaleByLBFGSState as ScaleByLBFGSState,
    lbfgs as lbfgs,
    scale_by_lbfgs as scale_by_lbfgs,
)
from gradtx.optimizers.lion import (
    ScaleByLionState as ScaleByLionState,
    lion as lion,
    scale_by_lion as scale_by_lion,
    sign_momentum as sign_momentum,
)
from gradtx.optimizers.low_bit import (
    adamw4bit as adamw4bit,
    adamw8bit as adamw8bit,
    lion8bit as lion8bit,
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
from gradtx.optimizers.muon_squared import (
    ScaleByMuonSquaredState as ScaleByMuonSquaredState,
    muon_squared as muon_squared,
    scale_by_muon_squared as scale_by_muon_squared,
)
from gradtx.optimizers.muown import (
    MuownState as MuownState,
    muown as muown,
)
from gradtx.optimizers.noisy_sgd import noisy_sgd as noisy_sgd
from gradtx.optimizers.normuon import (
    ScaleByNorMuonState as ScaleByNorMuonState,
    normuon as normuon,
    scale_by_normuon as scale_by_normuon,
)
from gradtx.optimizers.novograd import (
    ScaleByNovogradState as ScaleByNovogradState,
    novograd as novograd,
    scale_by_novograd as scale_by_novograd,
)
from gradtx.optimizers.optimistic import (
    ScaleByOptimisticGradientState as ScaleByOptimisticGradientState,
    ScaleByOptimisticGradientWithCountState as ScaleByOptimisticGradientWithCountState,
    optimistic_adam as optimistic_adam,
    optimistic_adam_v2 as optimistic_adam_v2,
    optimistic_gradient_descent as optimistic_gradient_descent,
    scale_by_optimistic_gradient as scale_by_optimistic_gradient,
)
from gradtx.optimizers.polyak import (
    polyak_sgd as polyak_sgd,
    scale_by_polyak as scale_by_polyak,
)
from gradtx.optimizers.prodigy import ProdigyState as ProdigyState, prodigy as prodigy
from gradtx.optimizers.psgd_kron import (
    ScaleByPSGDKronState as ScaleByPSGDKronState,
    psgd_kron as psgd_kron,
    scale_by_psgd_kron as scale_by_psgd_kron,
)
from gradtx.optimizers.psgd_schedule import (
    preconditioner_update_schedule as preconditioner_update_schedule,
)
from gradtx.optimizers.qk_clip import (
    QKProjection as QKProjection,
    qk_clip as qk_clip,
)
from gradtx.optimizers.radam import radam as radam, scale_by_radam as scale_by_radam
from gradtx.optimizers.rmsprop import (
    ScaleByRmsState as ScaleByRmsState,
    ScaleByRmsWithCountState as ScaleByRmsWithCountState,
    ScaleByRStdDevState as ScaleByRStdDevState,
    ScaleByRStdDevWithCountState as ScaleByRStdDevWithCountState,
    rmsprop as rmsprop,
    scale_by_rms as scale_by_rms,
    scale_by_stddev as scale_by_stddev,
)
from gradtx.optimizers.routing import (
    MatrixRoutes as MatrixRoutes,
    matrices as matrices,
)
from gradtx.optimizers.rprop import (
    ScaleByRpropState as ScaleByRpropState,
    rprop as rprop,
    scale_by_rprop as scale_by_rprop,
)
from gradtx.optimizers.schedule_free import (
    schedule_free_adamw as schedule_free_adamw,
    schedule_free_radam as schedule_free_radam,
    schedule_free_sgd as schedule_free_sgd,
)
from gradtx.optimizers.scion import (
    ScaleByScionState as ScaleByScionState,
    scale_by_scion as scale_by_scion,
    scion as scion,
)
from gradtx.optimizers.sgd import sgd as sgd
from gradtx.optimizers.shampoo import (
    ScaleByShampooState as ScaleByShampooState,
    scale_by_shampoo as scale_by_shampoo,
    shampoo as shampoo,
)
from gradtx.optimizers.shampoo_corrected import (
    ScaleByCorrectedShampooState as ScaleByCorrectedShampooState,
    corrected_shampoo as corrected_shampoo,
    scale_by_corrected_shampoo as scale_by_corrected_shampoo,
)
from gradtx.optimizers.shampoo_grafting import (
    GraftByRMSState as GraftByRMSState,
    graft_by_mean as graft_by_mean,
    graft_by_rms as graft_by_rms,
)
from gradtx.optimizers.sign_sgd import sign_sgd as sign_sgd, signum as signum
from gradtx.optimizers.simplified_ademamix import (
    ScaleBySimplifiedAdEMAMixState as ScaleBySimplifiedAdEMAMixState,
    scale_by_simplified_ademamix as scale_by_simplified_ademamix,
    simplified_ademamix as simplified_ademamix,
)
from gradtx.optimizers.sm3 import (
    ScaleBySM3State as ScaleBySM3State,
    scale_by_sm3 as scale_by_sm3,
    sm3 as sm3,
)
from gradtx.optimizers.soap import (
    ScaleBySOAPState as ScaleBySOAPState,
    scale_by_soap as scale_by_soap,
    soap as soap,
)
from gradtx.optimizers.soap_muon import (
    ScaleBySOAPMuonState as ScaleBySOAPMuonState,
    scale_by_soap_muon as scale_by_soap_muon,
    soap_muon as soap_muon,
)
from gradtx.optimizers.sophia import (
    SophiaState as SophiaState,
    scale_by_sophia as scale_by_sophia,
    sophia as sophia,
)
from gradtx.optimizers.splus import (
    ScaleBySPlusState as ScaleBySPlusState,
    SPlusAverageState as SPlusAverageState,
    scale_by_splus as scale_by_splus,
    splus as splus,
)
from gradtx.optimizers.stable_adamw import (
    scale_by_stable_adamw as scale_by_stable_adamw,
    stable_adamw as stable_adamw,
)
from gradtx.optimizers.yogi import scale_by_yogi as scale_by_yogi, yogi as yogi
