// What the rules ask of a node. Each list is a row of data in rules.cpp.
#pragma once

#include <span>

#include "backends/xnnpack/rules.h"

namespace intaglio::xnnpack::constraints {

// Asked of every op, beside the limits of its tensors (limits.h).
extern const std::span<const Constraint> common;

extern const std::span<const Constraint> none;
extern const std::span<const Constraint> convolution;
extern const std::span<const Constraint> linear;
extern const std::span<const Constraint> addmm;
extern const std::span<const Constraint> bmm;
extern const std::span<const Constraint> matmul;
extern const std::span<const Constraint> finite_alpha;
extern const std::span<const Constraint> clamp;
extern const std::span<const Constraint> softmax;
extern const std::span<const Constraint> one_alpha;
extern const std::span<const Constraint> power;
extern const std::span<const Constraint> square;
extern const std::span<const Constraint> gelu;
extern const std::span<const Constraint> erf;
extern const std::span<const Constraint> elu;
extern const std::span<const Constraint> unit_elu;
extern const std::span<const Constraint> nearest;
extern const std::span<const Constraint> group_norm;
extern const std::span<const Constraint> leaky_relu;
extern const std::span<const Constraint> prelu;
extern const std::span<const Constraint> avg_pool;
extern const std::span<const Constraint> adaptive_pool;
extern const std::span<const Constraint> max_pool;
extern const std::span<const Constraint> mean;
extern const std::span<const Constraint> int8_mean;
extern const std::span<const Constraint> maximum;
extern const std::span<const Constraint> variance;
extern const std::span<const Constraint> layer_norm;
extern const std::span<const Constraint> expand;
extern const std::span<const Constraint> where;
extern const std::span<const Constraint> upsample;
extern const std::span<const Constraint> view;
extern const std::span<const Constraint> unsqueeze;
extern const std::span<const Constraint> slice;
extern const std::span<const Constraint> cat;
extern const std::span<const Constraint> pad;
extern const std::span<const Constraint> finite_pad;
extern const std::span<const Constraint> border_pad;
extern const std::span<const Constraint> pick;
extern const std::span<const Constraint> unfold;
extern const std::span<const Constraint> slice_scatter;
extern const std::span<const Constraint> copy;
extern const std::span<const Constraint> batch_norm;

}  // namespace intaglio::xnnpack::constraints
