// A partition's program to a payload graph: the value builder that the rules' lowering functions share.
//
// Every value of the result is laid out as the program has it (NCHW); `assign_layouts` comes later.
#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "backends/xnnpack/int8_chains.h"
#include "backends/xnnpack/payload/payload.h"
#include "backends/xnnpack/rules.h"

namespace intaglio::xnnpack {

class Lowering {
 public:
  Lowering(const ExportedProgram& program, const Features& features);
  PayloadGraph run() &&;

  // ---- for lowering functions, about the node being lowered
  const common::ProgramFacts& facts() const { return facts_; }
  const Features& features() const { return features_; }
  bool is_int8() const { return chain_ != nullptr; }
  // Float in and out, but computed on an input that is quantized at run time (`dynamic_int8`) with int8 weights.
  bool is_dynamic() const { return dynamic_ != nullptr; }

  // The operand as the node reads it: int8 behind its dequantize node when the node runs in int8, else float
  // (converted once where it is int8). Constants become constant values.
  ValueId operand(Value* value);
  ValueId operand(std::string_view argument);
  // The node's result, defined at the first call.
  ValueId result();

  // A float value quantized at run time, with parameters for each slice of `nonbatch_dims` innermost dimensions.
  // `shared`: one conversion serves every such reader.
  ValueId dynamic_int8(ValueId floats, int32_t nonbatch_dims, bool shared = true);

  // `dims`: of the value, where a byte of `data` holds several of its elements.
  ValueId constant(Tensor data, std::string name, DataType type = DataType::fp32, Quantization quantization = {}, Sizes dims = {});
  // A value between two payload nodes: element type and parameters of `like`.
  ValueId intermediate(ValueId like, std::vector<int64_t> dims);

  // Adds a payload node that computes the node's result, bounds of a fused activation included.
  void emit(NodeKind kind, std::vector<ValueId> inputs, Attributes attributes = {}, uint32_t flags = 0);
  // Adds a payload node with another result.
  PayloadNode& emit_to(ValueId output, NodeKind kind, std::vector<ValueId> inputs, Attributes attributes = {}, uint32_t flags = 0);
  // A value in between, computed from `inputs`; its sizes are the first one's unless given.
  ValueId compute(NodeKind kind, std::vector<ValueId> inputs, Attributes attributes = {}, std::optional<std::vector<int64_t>> dims = {},
                  uint32_t flags = 0);
  // The same elements in other sizes, of which one may be known at run time only.
  ValueId reshaped(ValueId input, const std::vector<int64_t>& dims, std::optional<size_t> inferred = {});
  ValueId transposed(ValueId input, std::vector<uint32_t> order);
  // The same numbers in another float type.
  ValueId cast(ValueId input, DataType type);
  // A constant of the float type of `like`.
  ValueId number(float value, ValueId like);
  ValueId float_constant(Tensor data, std::string name, ValueId like);
  // Bounds of the activation that the node's chain fuses, if there is one.
  void apply_activation(PayloadNode& node) const;
  // The node's result is this value itself.
  void alias(ValueId value);

  const PayloadValue& value(ValueId id) const { return graph_.values[id]; }
  std::vector<int64_t> dims_of(const Value* value) const;  // upper bounds
  DataType type_of(const Value* value) const;

 private:
  void define_inputs();
  void define_outputs();
  void lower(const Node& node);
  void lower_quantize(const Node& node);
  ValueId float_operand(Value* value);
  ValueId int8_operand(Value* value);
  ValueId known(const Value* value) const;
  ValueId new_value(const Value* value, DataType type, Quantization quantization);

  const ExportedProgram& program_;
  const Features& features_;
  common::ProgramFacts facts_;
  RuleRefusals refused_;
  Int8Chains chains_;
  PayloadGraph graph_;
  std::unordered_map<const Value*, ValueId> ids_;
  std::map<ValueId, ValueId> floats_;                              // int8 value to its converted float
  std::map<std::pair<ValueId, int32_t>, ValueId> dynamic_values_;  // and back, parameters found at run time
  const Node* node_ = nullptr;
  const qdq::Chain* chain_ = nullptr;
  const qdq::Dynamic* dynamic_ = nullptr;
  uint32_t debug_handle_ = 0;
};

// Sizes of a StaticReshape to this value's sizes; a symbolic one is inferred at run time.
DimsAttributes reshape_attributes(const Value& value);

// Lowering functions, by family; rows of rules.cpp name them.
namespace lower {
void unary(Lowering&, const Node&, NodeKind);
void binary(Lowering&, const Node&, NodeKind);
void add_or_subtract(Lowering&, const Node&, NodeKind);
void power(Lowering&, const Node&, NodeKind);
void reciprocal(Lowering&, const Node&, NodeKind);
void gelu(Lowering&, const Node&, NodeKind);
void binary_scalar(Lowering&, const Node&, NodeKind);
void clamp(Lowering&, const Node&, NodeKind);
void elu(Lowering&, const Node&, NodeKind);
void leaky_relu(Lowering&, const Node&, NodeKind);
void prelu(Lowering&, const Node&, NodeKind);
void softmax(Lowering&, const Node&, NodeKind);
void batch_norm(Lowering&, const Node&, NodeKind);
void convolution(Lowering&, const Node&, NodeKind);
void linear(Lowering&, const Node&, NodeKind);
void bmm(Lowering&, const Node&, NodeKind);
void matmul(Lowering&, const Node&, NodeKind);
void avg_pool(Lowering&, const Node&, NodeKind);
void adaptive_avg_pool(Lowering&, const Node&, NodeKind);
void max_pool(Lowering&, const Node&, NodeKind);
void mean(Lowering&, const Node&, NodeKind);
void sum(Lowering&, const Node&, NodeKind);
void maximum_of(Lowering&, const Node&, NodeKind);
void minimum_of(Lowering&, const Node&, NodeKind);
void variance(Lowering&, const Node&, NodeKind);
void layer_norm(Lowering&, const Node&, NodeKind);
void group_norm(Lowering&, const Node&, NodeKind);
void batch_statistics_norm(Lowering&, const Node&, NodeKind);
void expand(Lowering&, const Node&, NodeKind);
void where(Lowering&, const Node&, NodeKind);
void upsample(Lowering&, const Node&, NodeKind);
void upsample_nearest(Lowering&, const Node&, NodeKind);
void reshape(Lowering&, const Node&, NodeKind);
void permute(Lowering&, const Node&, NodeKind);
void slice(Lowering&, const Node&, NodeKind);
void cat(Lowering&, const Node&, NodeKind);
void pad(Lowering&, const Node&, NodeKind);
void pick(Lowering&, const Node&, NodeKind);
void unfold(Lowering&, const Node&, NodeKind);
void slice_scatter(Lowering&, const Node&, NodeKind);
void reflection_pad(Lowering&, const Node&, NodeKind);
void replication_pad(Lowering&, const Node&, NodeKind);
void copy(Lowering&, const Node&, NodeKind);
}  // namespace lower

}  // namespace intaglio::xnnpack
