// The operators XNNPACK has integer kernels for, and how each is annotated: rows of data for the XnnpackQuantizer.
#pragma once

#include <functional>

#include <intaglio/pt2e.h>
#include <intaglio/quantizer.h>

namespace intaglio::xnnpack {

// Which nodes one configuration applies to.
struct NodeFilter {
  std::function<bool(const Node&)> accepts;
  // What torchao's filter says of weights and biases, which have no module of their own (Compat::torchao only).
  bool accepts_constants = true;
};

// Annotates every match of every pattern, in the table's order. `op`: only patterns (Compat::torchao) or nodes (default)
// of this operator, "" for all.
void annotate_patterns(const ExportedProgram& program, const QuantizationConfig& config, const NodeFilter& filter, std::string_view op,
                       Compat compat, Annotations& annotations);

// Operators that only move or clip values take over the parameters of what they read. `keeps_float` nodes are left alone.
void propagate_annotations(const ExportedProgram& program, const std::function<bool(const Node&)>& keeps_float, Annotations& annotations);

// Gives every node that is neither annotated nor refused for a reason of its own one: no pattern, or no configuration.
void explain_the_rest(const ExportedProgram& program, Compat compat, Annotations& annotations);

// True if `name` (with or without overload) means the operator of `node`, its in-place form included.
bool is_operator(std::string_view name, const Node& node);

// Larger constants keep their operation in float: a histogram cannot hold them and they would swallow the range.
bool is_large_scalar(double value);

}  // namespace intaglio::xnnpack
