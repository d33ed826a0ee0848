// What rows of the operator table ask of a node besides element types and versions.
#pragma once

#include <span>

#include "backends/coreml/op_table.h"

namespace intaglio::coreml::constraints {

// What no model has, whatever the operator: "" for none of it.
std::string_view shape_refusal(const Node& node);

// Asked of every node.
extern const std::span<const Constraint> common;

extern const std::span<const Constraint> convolution, linear, addmm, pooling, max_pooling;
extern const std::span<const Constraint> normalization, batch_norm, instance_norm, group_norm;
extern const std::span<const Constraint> softplus, elu, channel_slopes, rounded_quotient, arg_reduction, one_dim, top;
extern const std::span<const Constraint> reshape, expand, slice, split, pad, mirrored_pad, resize_nearest, resize_bilinear;
extern const std::span<const Constraint> index, put, write_slice, attention, quantized, matmul, choice;

}  // namespace intaglio::coreml::constraints
