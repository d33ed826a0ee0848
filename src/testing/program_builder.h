// Programs made by hand, for tests: exported ones and edge ones. Longer ones are shorter as text (text_cases.h).
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <intaglio/program.h>

#include "decompose/builder.h"

namespace intaglio::test {

// What a tensor is: `{2, 3}`, `{{2, 3}, DType::int8}`, or any other TensorMeta.
struct Meta : TensorMeta {
  Meta(std::initializer_list<SymInt> sizes = {}, DType dtype = DType::float32) : Meta(SymSizes(sizes), dtype) {}
  Meta(SymSizes sizes, DType dtype = DType::float32) : Meta(TensorMeta::contiguous(dtype, std::move(sizes))) {}
  Meta(const Sizes& sizes, DType dtype = DType::float32) : Meta(SymSizes(sizes.begin(), sizes.end()), dtype) {}
  Meta(TensorMeta meta) : TensorMeta(std::move(meta)) {}
};

class ProgramBuilder {
 public:
  ExportedProgram program;

  Value* input(std::string name, Meta meta);
  Value* input(std::string name, Meta meta, DType dtype);
  // Named x0, x1, ...
  Value* input(Meta meta) { return input("x" + std::to_string(program.graph().inputs().size()), std::move(meta)); }
  Value* input(Meta meta, DType dtype) { return input({std::move(meta.sizes), dtype}); }
  Value* parameter(std::string target, Tensor tensor) { return program.add_parameter(std::move(target), std::move(tensor)); }
  // Zeros.
  Value* parameter(std::string target, Sizes sizes, DType dtype = DType::float32);
  Value* buffer(std::string target, Tensor tensor) { return program.add_buffer(std::move(target), std::move(tensor)); }
  Value* constant(std::string target, Tensor tensor) { return program.add_constant(std::move(target), std::move(tensor)); }
  // A parameter with values 0.01, 0.02, ... of alternating sign.
  Value* weight(std::string target, Sizes sizes);

  // A node with arguments in the schema's order and the results that they imply; the first result.
  Node& node(std::string_view op, std::vector<Argument> arguments);
  template <typename... A>
  Value* operator()(std::string_view op, A&&... arguments) {
    return node(op, {Argument(std::forward<A>(arguments))...}).output(0);
  }
  // A node as it stands here, whatever its op. `modules` are (path, type) pairs, outermost first, written as the exporter
  // writes `nn_module_stack`.
  Node& raw(std::string_view op, std::vector<NamedArgument> arguments, std::vector<Meta> results,
            std::vector<Node::OutputGroup> groups = {});
  using Modules = std::vector<std::pair<std::string, std::string>>;
  Value* call(std::string_view op, std::vector<NamedArgument> arguments, Meta result, const std::string& name = "",
              const Modules& modules = {});

  Value* convolution(Value* x, Value* w, Value* b, int64_t stride = 1, int64_t padding = 0, int64_t groups = 1);
  // int8, one scale for the tensor.
  Value* quantize(Value* x, double scale, int64_t zero_point);
  Value* dequantize(Value* q, double scale, int64_t zero_point);
  Value* qdq(Value* x, double scale, int64_t zero_point) { return dequantize(quantize(x, scale, zero_point), scale, zero_point); }
  // With parameters found at run time, for the whole tensor or for each row.
  Value* dynamic_qdq(Value* x) { return dynamic_qdq(x, "choose_qparams.tensor"); }
  Value* dynamic_rows(Value* x) { return dynamic_rows(x, "choose_qparams_per_token_asymmetric.default"); }
  Value* dynamic_qdq(Value* x, std::string_view choose);
  Value* dynamic_rows(Value* x, std::string_view choose);
  // An int8 weight with a scale for each index of `axis`, dequantized.
  Value* int8_weight(const std::string& name, Sizes sizes, int64_t axis = 0);

  void output(Argument value, OutputSpec spec = {});
  void mutation(std::string target, Value* value) { output(value, {OutputSpec::Kind::buffer_mutation, std::move(target)}); }
  // The program with these user outputs alone, verified.
  ExportedProgram& returns(const std::vector<Value*>& outputs);
  ExportedProgram finish(const std::vector<Value*>& outputs) { return std::move(returns(outputs)); }

  // The base names of the ops, in order, parted by spaces.
  std::string ops() const;
};

// Values that differ and repeat from run to run.
Tensor ramp(Sizes sizes, float start, float step);

}  // namespace intaglio::test
