// One row per op: what it needs to be delegated, whether it may run in int8, and how it is lowered.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "backends/common/constraints.h"
#include "backends/xnnpack/features.h"
#include "backends/xnnpack/payload/payload.h"

namespace intaglio::xnnpack {

class Lowering;

enum class Int8 : uint8_t {
  none,     // runs in float, between converts
  gemm,     // constant int8 weights
  compute,  // every operand and the result with parameters of their own
  moves,    // bytes move as they are: all parameters are equal
};

// Activations that an int8 chain may hold behind the op. The names say what ExecuTorch fuses; Features::int8_activations
// widens every one but `none` to relu, hardtanh and clamp.
enum class Int8Activation : uint8_t { none, beyond, relu, relu_and_hardtanh };

// What of a row ExecuTorch does not do.
enum class Beyond : uint8_t { nothing, int8, op };

struct RuleContext {
  const common::ProgramFacts& facts;
  const Node& node;
  const Features& features;
};
using Constraint = common::Constraint<RuleContext>;

struct OpRule {
  std::string_view op;
  Int8 int8 = Int8::none;
  Int8Activation int8_activation = Int8Activation::none;
  Beyond beyond = Beyond::nothing;
  std::span<const Constraint> constraints;
  void (*lower)(Lowering&, const Node&, NodeKind) = nullptr;
  NodeKind kind = NodeKind::none;
  bool only_moves = false;                            // reshapes and copies: not worth a delegate of their own
  std::span<const Constraint> int8_constraints = {};  // asked besides of an int8 chain
};

const OpRule* find_rule(const Node& node);

// Nodes that have a rule and break it, and how ("softmax: ..."): found once for all that ask.
using RuleRefusals = std::unordered_map<const Node*, std::string>;
RuleRefusals find_rule_refusals(const common::ProgramFacts& facts, const Features& features);

}  // namespace intaglio::xnnpack
