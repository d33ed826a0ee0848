// Which ops run in int8: those between dequantize and quantize nodes with parameters that XNNPACK takes.
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "backends/common/program_facts.h"
#include "backends/xnnpack/features.h"
#include "backends/xnnpack/rules.h"

namespace intaglio::xnnpack {

struct Int8Chains {
  std::unordered_map<const Node*, qdq::Chain> by_op;
  // Convolutions and linears whose input gets its parameters at run time; their results are float.
  std::unordered_map<const Node*, qdq::Dynamic> dynamic_by_op;
  // Activations and quantize nodes that are computed by the op of their chain.
  std::unordered_set<const Node*> absorbed;
  // choose_qparams, quantize and dequantize nodes of `dynamic_by_op`.
  std::unordered_set<const Node*> dynamic_parts;
  // Convolutions and linears in float, since one step of their input and weight is too many of their result.
  std::vector<Node*> coarse;

  const qdq::Chain* find(const Node& op) const {
    const auto found = by_op.find(&op);
    return found == by_op.end() ? nullptr : &found->second;
  }
  const qdq::Dynamic* find_dynamic(const Node& op) const {
    const auto found = dynamic_by_op.find(&op);
    return found == dynamic_by_op.end() ? nullptr : &found->second;
  }
};

// `refused` nodes have none.
Int8Chains find_int8_chains(const common::ProgramFacts& facts, const Features& features, const RuleRefusals& refused);

// True for a convolution or linear with an int8 weight whose bias and sums, in integers, could leave int32.
bool leaves_int32(const common::ProgramFacts& facts, const Node& node);

// int8, per tensor, full range, a scale and zero point that the runtime takes.
bool is_int8_activation(const QuantParams& params);
// A dequantize node with such parameters, the same that its source was quantized with.
bool is_int8_dequantize(const common::ProgramFacts& facts, const Node& node);
bool is_int8_quantize(const common::ProgramFacts& facts, const Node& node);

}  // namespace intaglio::xnnpack
