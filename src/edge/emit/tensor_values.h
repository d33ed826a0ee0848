// Tensors of a graph as tensors of an execution plan.
#pragma once

#include <string_view>

#include <intaglio/graph.h>

#include "pte/program.h"

namespace intaglio::edge {

// Sizes fit ExecuTorch's 32 bits, or an unsupported error naming the tensor.
std::vector<int32_t> sizes32(const Sizes& sizes, std::string_view name);

// Symbolic sizes become their upper bounds; an unsupported error names the tensor and what to do when there is none.
pte::TensorValue tensor_value(const TensorMeta& meta, const SymRanges& ranges, std::string_view name);

// Dimensions from the outermost in memory: row-major or channels-last where the strides say so, row-major for
// anything that is neither (strides of views, which no result has).
std::vector<uint8_t> stored_dim_order(const TensorMeta& meta);

// Of one tensor, and of all that live at once.
constexpr uint64_t most_bytes = uint64_t{1} << 40;

// Bytes of a tensor at its largest.
uint64_t planned_bytes(const pte::TensorValue& tensor);

}  // namespace intaglio::edge
