// What lowers an operator: functions of rows of the operator table, by family. `mil` is the row's operation.
#pragma once

#include "backends/coreml/lower/lowering.h"

namespace intaglio::coreml::rows {

using Row = void(Lowering&, const Node&, std::string_view mil);

// ---- elementwise.cpp
Row unary, binary, comparison, logical, logical_not, negate, reciprocal, rounded_quotient, clamp, with_parameter, channel_slopes,
    with_epsilon, gelu, hard_sigmoid, hard_swish, mish, cast, choice;
// ---- contractions.cpp
Row convolution, linear, product, addmm, max_pool, avg_pool;
// ---- reductions.cpp
Row reduction, arg_reduction, running, softmax, log_softmax, layer_norm, batch_norm, instance_norm, group_norm, top;
// ---- shape.cpp
Row same, reshape, permute, swap, expand_dims, squeeze, expand, repeat, slice, select, concat, split, unbind, pad, reverse, shuffle, resize;
// ---- indexing.cpp
Row take_rows, embedding, take_along, index, put, write_slice;
// ---- attention.cpp
Row attention;
// ---- quantized.cpp
Row choose, quantize, dequantize;

}  // namespace intaglio::coreml::rows
