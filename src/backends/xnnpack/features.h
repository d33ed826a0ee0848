// What this backend does beyond ExecuTorch's own lowering (all on by default, all off under `compat=torchao`), and for
// which runtime.
#pragma once

#include <intaglio/xnnpack.h>

namespace intaglio::xnnpack {

struct Features {
  bool fold_pads = true;             // zero pads become the padding of the convolutions behind them
  bool mean_without_keepdim = true;  // GlobalAvgPooling2d and a reshape, not a second delegate
  bool symbolic_views = true;        // one inferred size in a reshape
  bool shared_transposes = true;     // one transpose per value and layout, quantized ones too
  bool folded_transposes = true;     // matrix products read operands that are transposed as they lie
  bool constants_in_nhwc = true;     // low-rank constants follow the image layout
  bool int8_activations = true;      // relu, hardtanh and clamp stay in int8 behind every op that can clamp
  bool int8_unary = true;            // sigmoid, tanh, hardswish, ... computed in int8
  bool float_fallback = true;        // an op with quantized weights but float activations runs in float
  bool more_ops = true;              // elu, squeeze, unsqueeze of any dimension, softmax over channels, ...
  bool more_dynamic = true;          // dynamic 1-d convolutions, one weight scale repeated for every channel
  bool drop_lone_views = true;       // a partition of nothing but reshapes is cheaper outside
  bool int8_around_moves = true;     // reshapes and zero pads beside an op do not keep it from int8
  bool checked_sums = true;          // a layer whose integers would leave int32 runs in float
  bool exact_row_scales = true;      // 4-bit weights with one scale a row keep it in float32
  bool short_chains = true;          // of elementwise nodes, which the runtime would break down on
  RuntimeVersion runtime = newest_runtime;

  static Features of(const XnnpackPartitionerOptions& options) {
    Features features = of(options.compat);
    features.runtime = options.runtime;
    return features;
  }
  static Features of(Compat compat) {
    if (compat == Compat::intaglio) return {};
    return {false, false, false, false, false, false, false, false, false, false, false, false, false, false, false, false, newest_runtime};
  }
};

}  // namespace intaglio::xnnpack
