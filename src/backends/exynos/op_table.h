// The operators of the edge dialect that Samsung's compiler has a node for: one row each, with what its builder requires.
#pragma once

#include <span>
#include <string_view>
#include <utility>

#include "backends/common/constraints.h"
#include "backends/exynos/enn_graph.h"

namespace intaglio::exynos {

struct RuleContext {
  const common::ProgramFacts& facts;
  const Node& node;
};
using Constraint = common::Constraint<RuleContext>;

// An op on its way to the graph.
struct OpWriter {
  const Node& node;
  EnnOp& op;
  bool is_quantized = false;         // its result is int8
  bool is_original = false;          // as ExecuTorch writes it, whatever is wrong with that
  std::string_view activation = {};  // "RELU", "RELU6": computed along
  std::vector<bool> constants = {};  // of the inputs

  void add(std::string_view name, EnnParam::Value value) { op.params.push_back({std::string(name), std::move(value)}); }
  // Most nodes say it of their result.
  void add_type() {
    if (is_quantized) add("quant_dtype", "AINT8");
  }
};

enum class Numbers : uint8_t {
  any,
  moved,   // the result's are the operands': they are quantized alike
  floats,  // computed in float alone
};

struct OpRow {
  std::string_view op;
  std::string_view type;                       // unless `params` decides it
  std::span<const std::string_view> operands;  // arguments of the op; absent ones are left out
  void (*params)(OpWriter&) = nullptr;         // none: the node has no parameters
  std::span<const Constraint> constraints = {};
  Numbers numbers = Numbers::any;
};
// Null for an op without a row.
const OpRow* op_row(const Node& node);

// What the compiler takes no tensor of, whatever the operator: "" for none of it.
std::string_view shape_refusal(const Node& node);

// Of a node with a row: what the hardware or the builder cannot take; "" for none.
std::string refusal_of(const OpRow& row, const RuleContext& context);

// The slope of a leaky_relu, which its node takes as a tensor.
inline constexpr std::string_view leaky_relu = "aten.leaky_relu.default";

// Expanded dimension of an `expand_copy`: -1 for none, nullopt for more than one.
std::optional<int64_t> expanded_dim(const Node& expand);

Sizes sizes_of(const Value* value);

}  // namespace intaglio::exynos
