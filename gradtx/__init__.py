"""gradtx: composable gradient transformations for JAX."""

# The rooms that are reached by their own name
from gradtx import (
    assignment as assignment,
    codecs as codecs,
    contrib as contrib,
    experimental as experimental,
    like as like,
    linalg as linalg,
    losses as losses,
    microbatching as microbatching,
    perturbations as perturbations,
    projections as projections,
    schedules as schedules,
    transforms as transforms,
    tree as tree,
    tree_utils as tree_utils,
)

# Arithmetic at its edges
from gradtx.common.numerics import (
    safe_increment as safe_increment,
    safe_int32_increment as safe_int32_increment,
    safe_norm as safe_norm,
    safe_root_mean_squares as safe_root_mean_squares,
    scale_gradient as scale_gradient,
)

# The words of the signatures
from gradtx.common.types import (
    ArrayTree as ArrayTree,
    DTypeLike as DTypeLike,
    Exact as Exact,
    MaskOrFn as MaskOrFn,
    OptState as OptState,
    Params as Params,
    PyTree as PyTree,
    Scalar as Scalar,
    ScalarOrSchedule as ScalarOrSchedule,
    Schedule as Schedule,
    SecondMoment as SecondMoment,
    Updates as Updates,
    Weights as Weights,
)
from gradtx.common.version import __version__ as __version__
from gradtx.core import MaskedState as MaskedState, masked as masked, slots as slots
from gradtx.core.apply_updates import apply_updates as apply_updates

# From a rule for one array to a transformation
from gradtx.core.leafwise import leafwise as leafwise

# The pair and what is made of it
from gradtx.core.transformation import (
    EmptyState as EmptyState,
    GradientTransformation as GradientTransformation,
    GradientTransformationExtraArgs as GradientTransformationExtraArgs,
    TransformInitFn as TransformInitFn,
    TransformUpdateExtraArgsFn as TransformUpdateExtraArgsFn,
    TransformUpdateFn as TransformUpdateFn,
    identity as identity,
    init_empty_state as init_empty_state,
    stateless as stateless,
    stateless_with_tree_map as stateless_with_tree_map,
    transformation as transformation,
    with_extra_args_support as with_extra_args_support,
)

# Iterations on matrices
from gradtx.linalg import (
    matrix_inverse_pth_root as matrix_inverse_pth_root,
    nnls as nnls,
    power_iteration as power_iteration,
)
from gradtx.linesearch import (
    BacktrackingLinesearchInfo as BacktrackingLinesearchInfo,
    ScaleByBacktrackingLinesearchState as ScaleByBacktrackingLinesearchState,
    ScaleByZoomLinesearchState as ScaleByZoomLinesearchState,
    ZoomLinesearchInfo as ZoomLinesearchInfo,
    scale_by_backtracking_linesearch as scale_by_backtracking_linesearch,
    scale_by_zoom_linesearch as scale_by_zoom_linesearch,
    value_and_grad_from_state as value_and_grad_from_state,
)

# Losses: (prediction, target) to a number per example
from gradtx.losses import (
    convex_kl_divergence as convex_kl_divergence,
    cosine_distance as cosine_distance,
    cosine_similarity as cosine_similarity,
    ctc_loss as ctc_loss,
    ctc_loss_with_forward_probs as ctc_loss_with_forward_probs,
    generalized_kl_divergence as generalized_kl_divergence,
    hinge_loss as hinge_loss,
    huber_loss as huber_loss,
    kl_divergence as kl_divergence,
    l2_loss as l2_loss,
    log_cosh as log_cosh,
    ntxent as ntxent,
    safe_softmax_cross_entropy as safe_softmax_cross_entropy,
    sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy,
    sigmoid_focal_loss as sigmoid_focal_loss,
    smooth_labels as smooth_labels,
    softmax_cross_entropy as softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
    squared_error as squared_error,
)

# A training step, compiled
from gradtx.lowering.jit_step import jit_step as jit_step

# Batches in small pieces
from gradtx.microbatching import (
    microbatch as microbatch,
)

# Optimizers: learning rate in, descent out
from gradtx.optimizers import (
    COCOBState as COCOBState,
    DAdaptAdamWState as DAdaptAdamWState,
    DifferentiallyPrivateAggregateState as DifferentiallyPrivateAggregateState,
    DoGState as DoGState,
    DoWGState as DoWGState,
    FactoredState as FactoredState,
    GaLoreDimensionNumbers as GaLoreDimensionNumbers,
    GaLoreState as GaLoreState,
    HutchinsonState as HutchinsonState,
    MadgradState as MadgradState,
    MomoAdamState as MomoAdamState,
    MomoState as MomoState,
    MuonDimensionNumbers as MuonDimensionNumbers,
    MuonState as MuonState,
    ProdigyState as ProdigyState,
    ScaleByAdaDeltaState as ScaleByAdaDeltaState,
    ScaleByAdamState as ScaleByAdamState,
    ScaleByAdanState as ScaleByAdanState,
    ScaleByAdemamixState as ScaleByAdemamixState,
    ScaleByAmsgradState as ScaleByAmsgradState,
    ScaleByBeliefState as ScaleByBeliefState,
    ScaleByLBFGSState as ScaleByLBFGSState,
    ScaleByLionState as ScaleByLionState,
    ScaleByNovogradState as ScaleByNovogradState,
    ScaleByOptimisticGradientState as ScaleByOptimisticGradientState,
    ScaleByOptimisticGradientWithCountState as ScaleByOptimisticGradientWithCountState,
    ScaleByRmsState as ScaleByRmsState,
    ScaleByRmsWithCountState as ScaleByRmsWithCountState,
    ScaleByRpropState as ScaleByRpropState,
    ScaleByRssState as ScaleByRssState,
    ScaleByRStdDevState as ScaleByRStdDevState,
    ScaleByRStdDevWithCountState as ScaleByRStdDevWithCountState,
    ScaleBySimplifiedAdEMAMixState as ScaleBySimplifiedAdEMAMixState,
    ScaleBySM3State as ScaleBySM3State,
    SophiaState as SophiaState,
    acprop as acprop,
    adabelief as adabelief,
    adadelta as adadelta,
    adafactor as adafactor,
    adagrad as adagrad,
    adam as adam,
    adamax as adamax,
    adamaxw as adamaxw,
    adamw as adamw,
    adamw4bit as adamw4bit,
    adamw8bit as adamw8bit,
    adan as adan,
    ademamix as ademamix,
    adopt as adopt,
    amsgrad as amsgrad,
    cocob as cocob,
    dadapt_adamw as dadapt_adamw,
    differentially_private_aggregate as differentially_private_aggregate,
    dog as dog,
    dowg as dowg,
    dpsgd as dpsgd,
    fromage as fromage,
    galore as galore,
    hutchinson_estimator_diag_hessian as hutchinson_estimator_diag_hessian,
    lamb as lamb,
    lars as lars,
    lbfgs as lbfgs,
    lion as lion,
    lion8bit as lion8bit,
    madgrad as madgrad,
    momo as momo,
    momo_adam as momo_adam,
    muon as muon,
    nadam as nadam,
    nadamw as nadamw,
    noisy_sgd as noisy_sgd,
    novograd as novograd,
    optimistic_adam as optimistic_adam,
    optimistic_adam_v2 as optimistic_adam_v2,
    optimistic_gradient_descent as optimistic_gradient_descent,
    polyak_sgd as polyak_sgd,
    prodigy as prodigy,
    radam as radam,
    rmsprop as rmsprop,
    rprop as rprop,
    scale_by_acprop as scale_by_acprop,
    scale_by_adadelta as scale_by_adadelta,
    scale_by_adam as scale_by_adam,
    scale_by_adamax as scale_by_adamax,
    scale_by_adan as scale_by_adan,
    scale_by_ademamix as scale_by_ademamix,
    scale_by_adopt as scale_by_adopt,
    scale_by_amsgrad as scale_by_amsgrad,
    scale_by_belief as scale_by_belief,
    scale_by_cocob as scale_by_cocob,
    scale_by_dog as scale_by_dog,
    scale_by_dowg as scale_by_dowg,
    scale_by_factored_rms as scale_by_factored_rms,
    scale_by_galore as scale_by_galore,
    scale_by_lbfgs as scale_by_lbfgs,
    scale_by_lion as scale_by_lion,
    scale_by_madgrad as scale_by_madgrad,
    scale_by_muon as scale_by_muon,
    scale_by_novograd as scale_by_novograd,
    scale_by_optimistic_gradient as scale_by_optimistic_gradient,
    scale_by_polyak as scale_by_polyak,
    scale_by_radam as scale_by_radam,
    scale_by_rms as scale_by_rms,
    scale_by_rprop as scale_by_rprop,
    scale_by_rss as scale_by_rss,
    scale_by_simplified_ademamix as scale_by_simplified_ademamix,
    scale_by_sm3 as scale_by_sm3,
    scale_by_sophia as scale_by_sophia,
    scale_by_stddev as scale_by_stddev,
    scale_by_yogi as scale_by_yogi,
    schedule_free_adamw as schedule_free_adamw,
    schedule_free_sgd as schedule_free_sgd,
    sgd as sgd,
    sign_momentum as sign_momentum,
    sign_sgd as sign_sgd,
    signum as signum,
    simplified_ademamix as simplified_ademamix,
    sm3 as sm3,
    sophia as sophia,
    yogi as yogi,
)

# Random numbers
from gradtx.perturbations import (
    multi_normal as multi_normal,
)

# Parts: numbers in, transformation out
from gradtx.primitives import (
    AdaptiveGradClipState as AdaptiveGradClipState,
    AddDecayedWeightsState as AddDecayedWeightsState,
    AddNoiseState as AddNoiseState,
    ApplyEvery as ApplyEvery,
    ClipByGlobalNormState as ClipByGlobalNormState,
    ClipState as ClipState,
    EmaState as EmaState,
    NonNegativeParamsState as NonNegativeParamsState,
    ScaleByDistanceOverGradientsState as ScaleByDistanceOverGradientsState,
    ScaleByScheduleState as ScaleByScheduleState,
    ScaleByTrustRatioState as ScaleByTrustRatioState,
    ScaleState as ScaleState,
    TraceState as TraceState,
    ZeroNansState as ZeroNansState,
    adaptive_grad_clip as adaptive_grad_clip,
    add_decayed_weights as add_decayed_weights,
    add_noise as add_noise,
    apply_every as apply_every,
    centralize as centralize,
    clip as clip,
    clip_by_block_rms as clip_by_block_rms,
    clip_by_global_norm as clip_by_global_norm,
    ema as ema,
    keep_params_nonnegative as keep_params_nonnegative,
    normalize_by_update_norm as normalize_by_update_norm,
    per_example_global_norm_clip as per_example_global_norm_clip,
    per_example_layer_norm_clip as per_example_layer_norm_clip,
    scale as scale,
    scale_by_distance_over_gradients as scale_by_distance_over_gradients,
    scale_by_learning_rate as scale_by_learning_rate,
    scale_by_param_block_norm as scale_by_param_block_norm,
    scale_by_param_block_rms as scale_by_param_block_rms,
    scale_by_schedule as scale_by_schedule,
    scale_by_shape as scale_by_shape,
    scale_by_sign as scale_by_sign,
    scale_by_trust_ratio as scale_by_trust_ratio,
    set_to_zero as set_to_zero,
    trace as trace,
    unitwise_clip as unitwise_clip,
    unitwise_norm as unitwise_norm,
    zero_nans as zero_nans,
)
from gradtx.quantization import (
    QuantizedState as QuantizedState,
    quantize_state as quantize_state,
)

# Schedules: step in, number out
from gradtx.schedules import (
    ScheduleValue as ScheduleValue,
    StatefulSchedule as StatefulSchedule,
    WrappedSchedule as WrappedSchedule,
    WrappedScheduleState as WrappedScheduleState,
    constant_schedule as constant_schedule,
    cosine_decay_schedule as cosine_decay_schedule,
    cosine_onecycle_schedule as cosine_onecycle_schedule,
    exponential_decay as exponential_decay,
    join_schedules as join_schedules,
    linear_onecycle_schedule as linear_onecycle_schedule,
    linear_schedule as linear_schedule,
    piecewise_constant_schedule as piecewise_constant_schedule,
    piecewise_interpolate_schedule as piecewise_interpolate_schedule,
    polynomial_schedule as polynomial_schedule,
    schedule as schedule,
    sgdr_schedule as sgdr_schedule,
    warmup_constant_schedule as warmup_constant_schedule,
    warmup_cosine_decay_schedule as warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule as warmup_exponential_decay_schedule,
)

# Where a leaf is masked out
from gradtx.tree.masks import (
    MaskedNode as MaskedNode,
)

# Moments of a tree
from gradtx.tree.moments import (
    bias_correction as bias_correction,
    update_infinity_moment as update_infinity_moment,
    update_moment as update_moment,
    update_moment_per_elem_norm as update_moment_per_elem_norm,
)

# The norm of all entries
from gradtx.tree.norms import (
    global_norm as global_norm,
)

# Parameters that follow others
from gradtx.tree.targets import (
    incremental_update as incremental_update,
    periodic_update as periodic_update,
)

# Parameters inside a state
from gradtx.tree_utils import (
    tree_map_params as tree_map_params,
)

# Wrappers: transformations in, transformation out
from gradtx.wrappers import (
    ApplyIfFiniteState as ApplyIfFiniteState,
    CompensationState as CompensationState,
    ConditionallyMaskState as ConditionallyMaskState,
    ConditionallyTransformState as ConditionallyTransformState,
    ConditionFn as ConditionFn,
    InjectHyperparamsState as InjectHyperparamsState,
    InjectStatefulHyperparamsState as InjectStatefulHyperparamsState,
    LookaheadParams as LookaheadParams,
    LookaheadSlowState as LookaheadSlowState,
    LookaheadState as LookaheadState,
    MasterWeightsState as MasterWeightsState,
    MechanicState as MechanicState,
    MonitorState as MonitorState,
    MultiSteps as MultiSteps,
    MultiStepsState as MultiStepsState,
    MultiTransformState as MultiTransformState,
    NormalizeState as NormalizeState,
    PackedLeaves as PackedLeaves,
    PackSmallLeavesState as PackSmallLeavesState,
    PartitionState as PartitionState,
    ReduceLROnPlateauState as ReduceLROnPlateauState,
    SAMState as SAMState,
    ScheduleFreeState as ScheduleFreeState,
    ShouldSkipUpdateFunction as ShouldSkipUpdateFunction,
    SnapshotState as SnapshotState,
    SplitRealAndImaginaryArrays as SplitRealAndImaginaryArrays,
    SplitRealAndImaginaryState as SplitRealAndImaginaryState,
    StochasticRoundingState as StochasticRoundingState,
    accumulate as accumulate,
    apply_if_finite as apply_if_finite,
    chain as chain,
    conditionally_mask as conditionally_mask,
    conditionally_transform as conditionally_transform,
    descend as descend,
    eval_params as eval_params,
    flatten as flatten,
    freeze as freeze,
    inject_hyperparams as inject_hyperparams,
    inject_stateful_hyperparams as inject_stateful_hyperparams,
    lookahead as lookahead,
    measure_with_ema as measure_with_ema,
    mechanize as mechanize,
    monitor as monitor,
    multi_transform as multi_transform,
    named_chain as named_chain,
    normalize as normalize,
    pack_small_leaves as pack_small_leaves,
    partition as partition,
    reduce_on_plateau as reduce_on_plateau,
    sam as sam,
    schedule_free as schedule_free,
    schedule_free_eval_params as schedule_free_eval_params,
    selective_transform as selective_transform,
    skip_large_updates as skip_large_updates,
    skip_not_finite as skip_not_finite,
    snapshot as snapshot,
    split_real_and_imaginary as split_real_and_imaginary,
    with_compensation as with_compensation,
    with_master_weights as with_master_weights,
    with_stochastic_rounding as with_stochastic_rounding,
)
