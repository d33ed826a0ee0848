// What quantizers look for, as rows of data: an operator, optionally with the activation that follows it, and the part each
// operand plays. One matcher serves every backend's table.
//
// Tests: operator_pattern_test.cpp.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <intaglio/quantizer.h>

namespace intaglio {

enum class OperandRole : uint8_t { activation, weight, bias };

struct PatternOperand {
  std::string_view argument;  // the schema's name
  OperandRole role = OperandRole::activation;
  std::optional<int64_t> ch_axis;  // of weights: where the output channels lie; absent: as the config says
};

struct OperatorPattern {
  std::string_view name;
  std::span<const std::string_view> ops;   // the operator, any of these
  std::span<const std::string_view> tail;  // the operator's only user, any of these; empty: the operator alone
  std::span<const PatternOperand> operands;
};

struct OperatorMatch {
  Node* node = nullptr;  // the operator
  Node* tail = nullptr;  // null without one
  struct Operand {
    Value* value = nullptr;
    const PatternOperand* pattern = nullptr;
  };
  std::vector<Operand> operands;  // tensors that are present, in the pattern's order

  Node& last() const { return tail != nullptr ? *tail : *node; }
};

bool contains(std::span<const std::string_view> ops, const Node& node);

// nullopt unless `node` is the pattern's operator and, where the pattern has a tail, its result is read by one such node alone.
std::optional<OperatorMatch> match_operator(const OperatorPattern& pattern, Node& node);

// The spec of one operand under a config; nullopt: stays float.
std::optional<AnyQuantizationSpec> spec_of(const PatternOperand& operand, const QuantizationConfig& config);

// Inputs on the operator, output on the last node; both become annotated.
void annotate_match(const OperatorMatch& match, const QuantizationConfig& config, const std::string& rule, Annotations& annotations);

}  // namespace intaglio
