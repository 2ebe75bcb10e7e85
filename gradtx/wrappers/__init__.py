"""Transformations in, transformation out."""

from gradtx.wrappers.accumulate import (
    MultiSteps as MultiSteps,
    MultiStepsState as MultiStepsState,
    ShouldSkipUpdateFunction as ShouldSkipUpdateFunction,
    accumulate as accumulate,
)
from gradtx.wrappers.cautious import (
    cautious as cautious,
)
from gradtx.wrappers.chain import (
    chain as chain,
    descend as descend,
    named_chain as named_chain,
)
from gradtx.wrappers.condition import (
    ApplyIfFiniteState as ApplyIfFiniteState,
    ConditionallyMaskState as ConditionallyMaskState,
    ConditionallyTransformState as ConditionallyTransformState,
    ConditionFn as ConditionFn,
    apply_if_finite as apply_if_finite,
    conditionally_mask as conditionally_mask,
    conditionally_transform as conditionally_transform,
)
from gradtx.wrappers.ema_nesterov import (
    EmaNesterovState as EmaNesterovState,
    ema_nesterov as ema_nesterov,
)
from gradtx.wrappers.evaluation import eval_params as eval_params
from gradtx.wrappers.flatten import flatten as flatten
from gradtx.wrappers.freeze import (
    freeze as freeze,
    selective_transform as selective_transform,
)
from gradtx.wrappers.hyperball import (
    RadiusState as RadiusState,
    hyperball as hyperball,
    relative_update as relative_update,
)
from gradtx.wrappers.hyperparams import (
    InjectHyperparamsState as InjectHyperparamsState,
    InjectStatefulHyperparamsState as InjectStatefulHyperparamsState,
    inject_hyperparams as inject_hyperparams,
    inject_stateful_hyperparams as inject_stateful_hyperparams,
)
from gradtx.wrappers.lookahead import (
    LookaheadParams as LookaheadParams,
    LookaheadSlowState as LookaheadSlowState,
    LookaheadState as LookaheadState,
    lookahead as lookahead,
)
from gradtx.wrappers.loss_scale import (
    DynamicLossScaleState as DynamicLossScaleState,
    dynamic_loss_scale as dynamic_loss_scale,
)
from gradtx.wrappers.mechanic import (
    MechanicState as MechanicState,
    mechanize as mechanize,
)
from gradtx.wrappers.monitor import (
    MonitorState as MonitorState,
    SnapshotState as SnapshotState,
    measure_with_ema as measure_with_ema,
    monitor as monitor,
    snapshot as snapshot,
)
from gradtx.wrappers.outer_nesterov import (
    OuterNesterovState as OuterNesterovState,
    outer_nesterov as outer_nesterov,
)
from gradtx.wrappers.partition import (
    MultiTransformState as MultiTransformState,
    PartitionState as PartitionState,
    multi_transform as multi_transform,
    partition as partition,
)
from gradtx.wrappers.plateau import (
    ReduceLROnPlateauState as ReduceLROnPlateauState,
    reduce_on_plateau as reduce_on_plateau,
)
from gradtx.wrappers.primal_averaging import (
    PrimalAveragingState as PrimalAveragingState,
    primal_averaging as primal_averaging,
)
from gradtx.wrappers.radial_brake import (
    radial_brake as radial_brake,
)
from gradtx.wrappers.relative import (
    RelativeState as RelativeState,
)
from gradtx.wrappers.row_floor import (
    row_floor as row_floor,
)
from gradtx.wrappers.running_average import (
    AverageState as AverageState,
    TailAverageState as TailAverageState,
    average as average,
    tail_average as tail_average,
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
from gradtx.wrappers.skip import (
    skip_large_updates as skip_large_updates,
    skip_not_finite as skip_not_finite,
)
from gradtx.wrappers.skip_spikes import (
    SkipSpikesState as SkipSpikesState,
    skip_spikes as skip_spikes,
)
from gradtx.wrappers.small_leaves import (
    PackedLeaves as PackedLeaves,
    PackSmallLeavesState as PackSmallLeavesState,
    pack_small_leaves as pack_small_leaves,
)
from gradtx.wrappers.spike_reset import (
    SpikeAwareResetState as SpikeAwareResetState,
    spike_aware_reset as spike_aware_reset,
)
from gradtx.wrappers.split_complex import (
    SplitRealAndImaginaryArrays as SplitRealAndImaginaryArrays,
    SplitRealAndImaginaryState as SplitRealAndImaginaryState,
    split_real_and_imaginary as split_real_and_imaginary,
)
from gradtx.wrappers.weights import (
    CompensationState as CompensationState,
    MasterWeightsState as MasterWeightsState,
    StochasticRoundingState as StochasticRoundingState,
    with_compensation as with_compensation,
    with_master_weights as with_master_weights,
    with_stochastic_rounding as with_stochastic_rounding,
)
