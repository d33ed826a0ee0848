// Graphs of `models/model.json`.
#pragma once

#include "pt2/read_values.h"

namespace intaglio::pt2 {

// Reads into an empty graph. `input_names` names the graph inputs that are literals (JSON null elsewhere); where it
// is shorter, literals get names of their own. Bad input for names that are used before they are defined, defined
// twice or without a type, and for arguments that an operator's schema does not have.
void read_graph(const json::Value& source, std::span<const std::string> input_names, Expressions& expressions, Graph& graph);

// The archive's operator name `torch.ops.aten.add.Tensor` as Intaglio's `aten.add.Tensor`, and back.
std::string op_name_of_target(std::string_view target);
std::string target_of_op_name(std::string_view name);

}  // namespace intaglio::pt2
