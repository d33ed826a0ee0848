#include "testing/program_builder.h"

namespace intaglio::test {

Value* ProgramBuilder::input(std::string name, Meta meta) {
  Graph& graph = program.graph();
  Value* value = graph.add_input(graph.inputs().size(), {.meta = std::move(meta), .name = std::move(name)});
  program.input_specs.push_back({.kind = InputSpec::Kind::user_input, .value = value});
  return value;
}

Value* ProgramBuilder::input(std::string name, Meta meta, DType dtype) {
  meta.dtype = dtype;
  return input(std::move(name), std::move(meta));
}

Value* ProgramBuilder::parameter(std::string target, Sizes sizes, DType dtype) {
  return parameter(std::move(target), Tensor::zeros(dtype, std::move(sizes)));
}

Value* ProgramBuilder::weight(std::string target, Sizes sizes) {
  Tensor tensor = Tensor::empty(DType::float32, std::move(sizes));
  for (int64_t i = 0; i < tensor.numel(); ++i)
    tensor.mutable_data<float>()[i] = 0.01f * static_cast<float>(i % 97 + 1) * (i % 2 ? -1.0f : 1.0f);
  return parameter(std::move(target), std::move(tensor));
}

Node& ProgramBuilder::node(std::string_view op, std::vector<Argument> arguments) {
  return decompose::GraphBuilder(program, nullptr, program.graph().output_node()).node(op, std::move(arguments));
}

Node& ProgramBuilder::raw(std::string_view op, std::vector<NamedArgument> arguments, std::vector<Meta> results,
                          std::vector<Node::OutputGroup> groups) {
  std::vector<OutputSpecification> outputs;
  for (Meta& meta : results) outputs.push_back({.meta = std::move(meta)});
  return program.graph().insert_before(nullptr, Op::get(op), std::move(arguments), std::move(outputs), "", std::move(groups));
}

Value* ProgramBuilder::call(std::string_view op, std::vector<NamedArgument> arguments, Meta result, const std::string& name,
                            const Modules& modules) {
  Node& node = program.graph().insert_before(nullptr, Op::get(op), std::move(arguments), {{.meta = std::move(result), .name = name}}, name);
  std::string stack;
  for (const auto& [path, type] : modules)
    stack += (stack.empty() ? "" : ";") + std::string("k") + std::to_string(stack.size()) + "," + path + "," + type;
  if (!stack.empty()) node.metadata["nn_module_stack"] = stack;
  return node.output();
}

Value* ProgramBuilder::convolution(Value* x, Value* w, Value* b, int64_t stride, int64_t padding, int64_t groups) {
  using Ints = std::vector<int64_t>;
  const size_t n = w->sizes().size() - 2;
  return (*this)("aten.convolution.default", x, w, b ? Argument(b) : Argument(), Ints(n, stride), Ints(n, padding), Ints(n, 1), false,
                 Ints(n, 0), groups);
}

Value* ProgramBuilder::quantize(Value* x, double scale, int64_t zero_point) {
  return (*this)("quantized_decomposed.quantize_per_tensor.default", x, scale, zero_point, -128, 127, DType::int8);
}

Value* ProgramBuilder::dequantize(Value* q, double scale, int64_t zero_point) {
  return (*this)("quantized_decomposed.dequantize_per_tensor.default", q, scale, zero_point, -128, 127, DType::int8);
}

Value* ProgramBuilder::dynamic_qdq(Value* x, std::string_view op) {
  const Node& choose = node("quantized_decomposed." + std::string(op), {x, -128, 127, 0x1p-12, DType::int8});
  Value *scale = choose.output(0), *zero = choose.output(1);
  Value* q = (*this)("quantized_decomposed.quantize_per_tensor.tensor", x, scale, zero, -128, 127, DType::int8);
  Node& dequantize = node("quantized_decomposed.dequantize_per_tensor.tensor", {q, scale, zero, -128, 127, DType::int8});
  program.graph().set_argument(dequantize, "out_dtype", x->dtype());
  dequantize.output()->meta().dtype = x->dtype();
  return dequantize.output();
}

Value* ProgramBuilder::dynamic_rows(Value* x, std::string_view op) {
  const Node& choose = node("quantized_decomposed." + std::string(op), {x, DType::int8});
  Value *scale = choose.output(0), *zero = choose.output(1);
  Value* q = (*this)("quantized_decomposed.quantize_per_token.default", x, scale, zero, -128, 127, DType::int8);
  return (*this)("quantized_decomposed.dequantize_per_token.default", q, scale, zero, -128, 127, DType::int8, DType::float32);
}

Value* ProgramBuilder::int8_weight(const std::string& name, Sizes sizes, int64_t axis) {
  Tensor data = Tensor::empty(DType::int8, sizes);
  for (int64_t i = 0; i < data.numel(); ++i) data.mutable_data<int8_t>()[i] = static_cast<int8_t>(i * 37 % 255 - 127);
  const int64_t channels = sizes[static_cast<size_t>(axis)];
  Tensor scale = Tensor::empty(DType::float32, {channels});
  for (int64_t c = 0; c < channels; ++c) scale.mutable_data<float>()[c] = 0.001f * static_cast<float>(c + 1);
  Value* q = buffer(name, data);
  Value* s = buffer(name + "_scale", scale);
  Value* z = buffer(name + "_zero_point", Tensor::zeros(DType::int64, {channels}));
  return (*this)("quantized_decomposed.dequantize_per_channel.default", q, s, z, axis, -127, 127, DType::int8);
}

void ProgramBuilder::output(Argument value, OutputSpec spec) {
  std::vector<Argument> outputs = program.graph().outputs();
  outputs.push_back(std::move(value));
  program.graph().set_outputs(std::move(outputs));
  program.output_specs.push_back(std::move(spec));
}

ExportedProgram& ProgramBuilder::returns(const std::vector<Value*>& outputs) {
  program.graph().set_outputs({outputs.begin(), outputs.end()});
  program.output_specs.assign(outputs.size(), OutputSpec{});
  verify(program);
  return program;
}

std::string ProgramBuilder::ops() const {
  std::string text;
  for (const Node* node : program.graph().node_list()) text += (text.empty() ? "" : " ") + std::string(node->op().base());
  return text;
}

Tensor ramp(Sizes sizes, float start, float step) {
  Tensor tensor = Tensor::empty(DType::float32, std::move(sizes));
  float* values = tensor.mutable_data<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = start + step * static_cast<float>(i % 17);
  return tensor;
}

}  // namespace intaglio::test
