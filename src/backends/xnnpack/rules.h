// One row per op: what it needs to be delegated, whether it may run in int8, and how it is lowered.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <intaglio/program.h>

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
  const ExportedProgram& program;
  const Node& node;
  const Features& features;
};

struct Constraint {
  std::string_view text;  // what is required, for the refusal
  bool (*holds)(const RuleContext&);
};

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
// Why the node cannot be delegated ("softmax: ..."), or nullopt.
std::optional<std::string> refusal_of(const ExportedProgram& program, const Features& features, const OpRule& rule, const Node& node);

// Operands of convolution, linear, addmm and mm.
struct GemmOperands {
  Value* input = nullptr;
  Value* weight = nullptr;
  Value* bias = nullptr;     // or null
  int64_t channel_axis = 0;  // of the weight: output channels
  bool transposed = false;   // a transposed convolution
  int64_t groups = 1;
};
std::optional<GemmOperands> gemm_operands(const ExportedProgram& program, const Node& node);

// The largest value a size can take; nullopt when it has no bound.
std::optional<int64_t> upper_bound(const ExportedProgram& program, const SymInt& size);

}  // namespace intaglio::xnnpack
