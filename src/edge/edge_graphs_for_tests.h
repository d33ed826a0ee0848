// Edge programs written by hand, for tests.
#pragma once

#include <intaglio/edge.h>

namespace intaglio::test {

class EdgeBuilder {
 public:
  ExportedProgram& program() { return program_; }

  Value* constant(std::string name, Tensor tensor) { return program_.add_constant(std::move(name), std::move(tensor)); }
  Value* buffer(std::string name, Tensor tensor) { return program_.add_buffer(std::move(name), std::move(tensor)); }
  Value* typed_input(std::string name, DType dtype, Sizes sizes) {
    return add_input(std::move(name), TensorMeta::contiguous(dtype, {sizes.begin(), sizes.end()}));
  }
  Value* input(std::string name, Sizes sizes) { return typed_input(std::move(name), DType::float32, std::move(sizes)); }
  Value* symbolic_input(std::string name, std::vector<SymInt> sizes) {
    return add_input(std::move(name), TensorMeta::contiguous(DType::float32, std::move(sizes)));
  }
  Value* add_input(std::string name, TensorMeta meta) {
    const size_t position = program_.graph().inputs().size();
    Value* value = program_.graph().add_input(position, {std::move(meta), std::move(name)});
    program_.input_specs.push_back({InputSpec::Kind::user_input, value, "", true});
    return value;
  }

  std::vector<Value*> ops(const char* name, std::vector<NamedArgument> arguments, std::vector<Sizes> sizes) {
    std::vector<OutputSpecification> outputs;
    for (const Sizes& s : sizes) outputs.push_back({TensorMeta::contiguous(DType::float32, {s.begin(), s.end()})});
    return program_.graph().insert_before(nullptr, Op::get(name), std::move(arguments), std::move(outputs)).outputs();
  }
  Value* op(const char* name, std::vector<NamedArgument> arguments, Sizes sizes) {
    return ops(name, std::move(arguments), {std::move(sizes)})[0];
  }
  Value* typed_op(const char* name, std::vector<NamedArgument> arguments, DType dtype, Sizes sizes) {
    return meta_op(name, std::move(arguments), TensorMeta::contiguous(dtype, {sizes.begin(), sizes.end()}));
  }
  Value* symbolic_op(const char* name, std::vector<NamedArgument> arguments, std::vector<SymInt> sizes) {
    return meta_op(name, std::move(arguments), TensorMeta::contiguous(DType::float32, std::move(sizes)));
  }
  Value* meta_op(const char* name, std::vector<NamedArgument> arguments, TensorMeta meta) {
    return program_.graph().insert_before(nullptr, Op::get(name), std::move(arguments), {{std::move(meta)}}).output();
  }
  std::vector<Value*> list_op(const char* name, std::vector<NamedArgument> arguments, std::vector<Sizes> sizes) {
    std::vector<OutputSpecification> outputs;
    for (const Sizes& s : sizes) outputs.push_back({TensorMeta::contiguous(DType::float32, {s.begin(), s.end()})});
    const size_t count = outputs.size();
    return program_.graph().insert_before(nullptr, Op::get(name), std::move(arguments), std::move(outputs), "", {{true, count}}).outputs();
  }
  std::vector<Value*> delegate_call(Delegate delegate, std::vector<Value*> inputs, std::vector<Sizes> sizes) {
    std::vector<NamedArgument> arguments = {{"", static_cast<int64_t>(delegates_.size())}};
    for (Value* value : inputs) arguments.push_back({"", value});
    delegates_.push_back(std::move(delegate));
    return ops("executorch_call_delegate", std::move(arguments), std::move(sizes));
  }

  void output(Argument value) { add_output(std::move(value), {OutputSpec::Kind::user_output, ""}); }
  void mutation(std::string target, Value* value) { add_output(value, {OutputSpec::Kind::buffer_mutation, std::move(target)}); }
  void input_mutation(std::string target, Value* value) { add_output(value, {OutputSpec::Kind::user_input_mutation, std::move(target)}); }

  EdgeMethod method(std::string name) && {
    program_.graph().set_outputs(outputs_);
    EdgeMethod result;
    result.name = std::move(name);
    result.program = std::move(program_);
    result.delegates = std::move(delegates_);
    return result;
  }
  ExecutorchProgram lower(const ExecutorchOptions& options, PartitionerList partitioners = {}) && {
    EdgeProgram edge;
    edge.partitioners = std::move(partitioners);
    edge.methods.push_back(std::move(*this).method("forward"));
    return std::move(edge).to_executorch(options);
  }

 private:
  void add_output(Argument value, OutputSpec spec) {
    outputs_.push_back(std::move(value));
    program_.output_specs.push_back(std::move(spec));
  }

  ExportedProgram program_;
  std::vector<Argument> outputs_;
  std::vector<Delegate> delegates_;
};

}  // namespace intaglio::test
