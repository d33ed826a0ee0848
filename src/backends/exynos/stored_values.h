// How each value of a partition is stored on the way through the compiler's graph, which has no quantize and dequantize nodes around its
// operators: a tensor is int8 with parameters, or float. Shown by graphs.test.
#pragma once

#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "backends/exynos/op_table.h"

namespace intaglio::exynos {

// What a value is read as: the value behind quantize and dequantize nodes, and the parameters of these in their order.
struct Reading {
  Value* source = nullptr;
  std::vector<QuantParams> steps;
  Value* integers = nullptr;  // of the last step
};

class StoredValues {
 public:
  StoredValues(const ExportedProgram& program, Compat compat);

  Reading reading_of(Value* value) const;
  // Of values that are no result of a quantize or dequantize node.
  const QuantParams* params_of(const Value* value) const;
  // The activation that the layer's node computes along, or null.
  const Node* fused_activation(const Node& layer) const;
  bool is_fused(const Node& activation) const { return fused_.contains(&activation); }
  bool is_constant(const Value* value) const { return constants_.is_constant(value); }
  ConstantValues& constants() const { return constants_; }
  bool is_original() const { return is_original_; }

 private:
  // As ExecuTorch's AnnotateQparams does: the last parameters of a value are its parameters.
  void annotate_as_original();
  void set_original(Value* source, const Node& quantize);
  void propagate_original(Value* value, const QuantParams& params);
  void annotate();
  void annotate_result(Node& node);
  void annotate_what_is_moved(Node& node);
  void fuse_activations();
  bool may_be_int8(const Node& node) const;
  bool follows(const Node& reader, const Value& operand) const;

  const ExportedProgram& program_;
  bool is_original_;
  mutable ConstantValues constants_;
  std::unordered_map<const Value*, QuantParams> params_;
  std::unordered_map<const Node*, const Node*> activations_;  // by layer
  std::unordered_set<const Node*> fused_;
};

// "RELU", "RELU6", or "" for any other node.
std::string_view activation_name(const Node& node);
// True of operands that a node reads in int8 when its result is int8; weights, biases and indices are what they are.
bool is_activation(const StoredValues& stored, const Value* operand);

}  // namespace intaglio::exynos
