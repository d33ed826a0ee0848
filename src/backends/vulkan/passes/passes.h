// Rewrites of a partition before it becomes a payload. `preprocess.cpp` lists them in order and says why; each has a `.test`
// file of its name beside it.
#pragma once

#include <unordered_map>

#include <intaglio/program.h>

#include "backends/vulkan/representation.h"

namespace intaglio::vulkan {

// Before partitioning: a reduction that drops other dimensions than the last keeps them, and a squeeze behind it drops them. One of
// all dimensions names them.
void keep_reduced_dims(ExportedProgram& program);

// Before partitioning: elementwise operators, concatenations, linears and softmax on more than four dimensions run on at most three,
// between views.
void flatten_many_dims(ExportedProgram& program);

// Before partitioning: a batch norm of anything but images becomes a product and a sum.
void write_out_batch_norms(ExportedProgram& program);

// Before partitioning: the runtime negates a mask by `bitwise_not` alone.
void negate_masks(ExportedProgram& program);

// Norms without weight or bias get ones and zeros: the runtime's take no absent ones.
void fill_norm_weights(ExportedProgram& program);

// A pooling's stride, padding and dilation are written out for each of its two dimensions.
void write_windows(ExportedProgram& program);

// A relu, hardtanh or clamp that alone reads a convolution becomes bounds of `et_vk.conv_with_clamp`.
void fuse_clamps(ExportedProgram& program);

// Attention over caches with all arguments in the order of its schema: the only ones that the runtime takes.
void write_attention(ExportedProgram& program);

// An element that is looked at as a number becomes `et_vk.select_as_symint` of its tensor.
void fuse_symbol_reads(ExportedProgram& program);

// x * rsqrt(mean(x * x) + eps) * weight, over the last dimension, becomes `et_vk.rms_norm`.
void fuse_rms_norm(ExportedProgram& program);

// x * cos + cat(-second half, first half) * sin of queries and of keys, with the same tables, becomes `et_vk.apply_rotary_emb_hf`;
// the same of neighbouring elements becomes `et_vk.apply_rotary_emb`.
void fuse_rotary(ExportedProgram& program);

// Copies and expansions that change neither type nor sizes go. Where one keeps results of the delegate apart from each other or
// from its inputs it becomes an `aten.clone`. None of an operator that the runtime has not is left.
void remove_copies(ExportedProgram& program);

// Views behind a view, also across elementwise operators of one operand, become one.
void merge_views(ExportedProgram& program);

// A view that drops dimensions of size one, or adds one, becomes the operator that does only that and copies less.
void views_to_squeezes(ExportedProgram& program);

// How each tensor lies: as its producer and its readers need it, so that it is copied into another form as rarely as possible.
// What two nodes need in different forms gets an `aten.clone` for the second. Constants that an operator reads as bytes have none.
using Assignments = std::unordered_map<const Value*, Representation>;
Assignments assign_representations(ExportedProgram& program, const TextureLimits& limits, bool prefer_textures);

}  // namespace intaglio::vulkan
