// A partition's program to a function of an ML program: what rows of the operator table write with.
#pragma once

#include <map>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "backends/common/program_facts.h"
#include "backends/coreml/mil/builder.h"

namespace intaglio::coreml {

// What a computation of float32 numbers is done in.
struct LoweringOptions {
  Version version = Version::ios15;
  bool in_float16 = true;
};

// The function's inputs and outputs are the delegate's, in their order, and behind the inputs the states: buffers that the
// partition owns.
Function lower_to_function(const ExportedProgram& partition, std::string_view name, const LoweringOptions& options);

class Lowering {
 public:
  using Given = FunctionBuilder::Given;
  using Parameters = std::vector<FunctionBuilder::Parameter>;

  Lowering(const ExportedProgram& program, std::string_view name, const LoweringOptions& options);
  Function run() &&;

  // ---- what rows ask
  const common::ProgramFacts& facts() const { return facts_; }
  Version version() const { return options_.version; }
  FunctionBuilder& builder() { return builder_; }
  // The type that the node at hand computes float32 numbers in: numbers that float16 has not, and angles, keep the node in float32.
  DataType float_type() const { return float_type_; }
  DataType element_type(DType dtype) const;
  // As the node at hand reads or makes it.
  ValueType type_of(const Value* value) const;
  NamedType operand(const Value* value);
  NamedType operand(const Node& node, std::string_view argument) { return operand(node.tensor(argument)); }
  NamedType first_operand(const Node& node) { return operand(node.inputs().front()); }
  // A number of the type: of a 16-bit one never 0 when it is not 0.
  Literal number(double value, DataType type) const;
  // Limits of activations and terms that keep from division by zero: from iOS 17 on they may be of float32 beside float16 tensors.
  Literal parameter(double value) const;

  // ---- what rows write
  NamedType op(std::string_view mil, Parameters parameters, ValueType type);  // on the way to the result
  NamedType cast(const NamedType& value, DataType type);
  NamedType of_rank(const NamedType& value, size_t rank);  // dimensions of 1 in front, as broadcasting means it
  // The operation makes the node's first result.
  void finish(const Node& node, std::string_view mil, Parameters parameters);
  void finish(const Node& node, std::string_view mil, Parameters parameters, ValueType type);  // of another type than the result's: cast
  void set(const Value* value, NamedType is);

 private:
  void add_inputs();
  void add_input(const Value& value);
  void lower(const Node& node);
  std::vector<NamedType> outputs();
  NamedType output(const Value& value, const std::unordered_set<std::string>& taken);
  void write_states();
  NamedType constant(const Value* value);
  bool needs_float32(const Node& node) const;
  DataType default_float() const { return options_.in_float16 ? DataType::float16 : DataType::float32; }

  const ExportedProgram& program_;
  common::ProgramFacts facts_;
  LoweringOptions options_;
  FunctionBuilder builder_;
  DataType float_type_;
  const Node* node_ = nullptr;
  std::unordered_map<const Value*, NamedType> values_;
  std::unordered_map<std::string, NamedType> states_;  // by the target of the buffer
  std::unordered_set<std::string> inputs_;
  std::unordered_set<const Value*> in_float32_;  // what stays so in a float16 program
  std::map<std::pair<const Value*, DataType>, NamedType> constants_;
};

Sizes dims_of(const Value* value);  // with `unknown_size` where a size is symbolic
// A dimension counted from the front.
int64_t dim_of(const Node& node, std::string_view argument, int64_t rank);

}  // namespace intaglio::coreml
