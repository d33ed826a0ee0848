// The inverse of read_values and read_argument.
#pragma once

#include <intaglio/graph.h>

#include "ir/json.h"

namespace intaglio::pt2 {

void write_sym_int(json::Writer& writer, const SymInt& size);
void write_tensor_meta(json::Writer& writer, const TensorMeta& meta);
void write_argument(json::Writer& writer, const Argument& argument);
void write_graph(json::Writer& writer, const Graph& graph, std::span<const Value* const> inputs);

}  // namespace intaglio::pt2
