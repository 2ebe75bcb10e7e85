"""Numbers in, transformation out: the parts that optimizers are made of."""

from gradtx.primitives.adagc import (
    AdaGCState as AdaGCState,
    adagc as adagc,
)
from gradtx.primitives.adaptive_clip import (
    AdaptiveGradClipState as AdaptiveGradClipState,
    adaptive_grad_clip as adaptive_grad_clip,
    unitwise_clip as unitwise_clip,
    unitwise_norm as unitwise_norm,
)
from gradtx.primitives.clip import (
    ClipByGlobalNormState as ClipByGlobalNormState,
    ClipState as ClipState,
    clip as clip,
    clip_by_block_rms as clip_by_block_rms,
    clip_by_global_norm as clip_by_global_norm,
)
from gradtx.primitives.constrain import (
    NonNegativeParamsState as NonNegativeParamsState,
    keep_params_nonnegative as keep_params_nonnegative,
)
from gradtx.primitives.decay_after import decay_after_step as decay_after_step
from gradtx.primitives.distance import (
    ScaleByDistanceOverGradientsState as ScaleByDistanceOverGradientsState,
    scale_by_distance_over_gradients as scale_by_distance_over_gradients,
)
from gradtx.primitives.downhill import (
    AddDecayedWeightsState as AddDecayedWeightsState,
    add_decayed_weights as add_decayed_weights,
    scale_by_learning_rate as scale_by_learning_rate,
)
from gradtx.primitives.every import ApplyEvery as ApplyEvery, apply_every as apply_every
from gradtx.primitives.grokfast import (
    GrokfastEmaState as GrokfastEmaState,
    GrokfastMaState as GrokfastMaState,
    grokfast_ema as grokfast_ema,
    grokfast_ma as grokfast_ma,
)
from gradtx.primitives.guard import (
    ZeroNansState as ZeroNansState,
    zero_nans as zero_nans,
)
from gradtx.primitives.mars import (
    MarsState as MarsState,
    mars as mars,
)
from gradtx.primitives.momentum import (
    EmaState as EmaState,
    TraceState as TraceState,
    ema as ema,
    trace as trace,
)
from gradtx.primitives.noise import (
    AddNoiseState as AddNoiseState,
    add_noise as add_noise,
)
from gradtx.primitives.normalize import (
    centralize as centralize,
    normalize_by_update_norm as normalize_by_update_norm,
)
from gradtx.primitives.per_example import (
    per_example_global_norm_clip as per_example_global_norm_clip,
    per_example_layer_norm_clip as per_example_layer_norm_clip,
)
from gradtx.primitives.radial import (
    floor_by_weights as floor_by_weights,
    keep_radial_step as keep_radial_step,
    scale_radial_part as scale_radial_part,
)
from gradtx.primitives.scale import (
    ScaleByScheduleState as ScaleByScheduleState,
    ScaleState as ScaleState,
    scale as scale,
    scale_by_schedule as scale_by_schedule,
    scale_by_sign as scale_by_sign,
    set_to_zero as set_to_zero,
)
from gradtx.primitives.shape import (
    MuonDimensionNumbers as MuonDimensionNumbers,
    scale_by_shape as scale_by_shape,
)
from gradtx.primitives.trust_ratio import (
    ScaleByTrustRatioState as ScaleByTrustRatioState,
    scale_by_param_block_norm as scale_by_param_block_norm,
    scale_by_param_block_rms as scale_by_param_block_rms,
    scale_by_trust_ratio as scale_by_trust_ratio,
)
from gradtx.primitives.zclip import (
    ZClipState as ZClipState,
    zclip as zclip,
)
