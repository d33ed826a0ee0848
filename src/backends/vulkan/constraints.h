// What rows of the operator table ask of a node besides element types and representations: what the runtime stops at.
#pragma once

#include <span>

#include "backends/vulkan/op_table.h"

namespace intaglio::vulkan::constraints {

// Asked of every node.
extern const std::span<const Constraint> common;

extern const std::span<const Constraint> floor_division;
extern const std::span<const Constraint> same_copy;
extern const std::span<const Constraint> cast;
extern const std::span<const Constraint> softmax;
extern const std::span<const Constraint> product;
extern const std::span<const Constraint> addmm;
extern const std::span<const Constraint> linear;
extern const std::span<const Constraint> reduction;
extern const std::span<const Constraint> arg_reduction;
extern const std::span<const Constraint> pooling;
extern const std::span<const Constraint> convolution;
extern const std::span<const Constraint> same_types;
extern const std::span<const Constraint> index;
extern const std::span<const Constraint> grid_sampler;
extern const std::span<const Constraint> embedding;
extern const std::span<const Constraint> batch_norm;
extern const std::span<const Constraint> group_norm;
extern const std::span<const Constraint> layer_norm;
extern const std::span<const Constraint> cache;
extern const std::span<const Constraint> attention;
extern const std::span<const Constraint> pad;
extern const std::span<const Constraint> upsample;

}  // namespace intaglio::vulkan::constraints

namespace intaglio::vulkan {

// Dimensions that a reduction reduces, from 0 up, ascending.
std::vector<int64_t> reduced_dims(const Node& node);
bool reduces_last_dim_alone(const Node& node);

}  // namespace intaglio::vulkan
