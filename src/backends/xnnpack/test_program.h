// Small edge programs for this room's tests.
#pragma once

#include <string>
#include <vector>

#include <intaglio/program.h>

#include "decompose/builder.h"

namespace intaglio::xnnpack {

class TestProgram {
 public:
  TestProgram() : builder_(program, nullptr, program.graph().output_node()) {}

  ExportedProgram program;

  Value* input(std::vector<SymInt> sizes, DType dtype = DType::float32) {
    const size_t position = program.graph().inputs().size();
    Value* value = program.graph().add_input(
        position, {.meta = TensorMeta::contiguous(dtype, std::move(sizes)), .name = "x" + std::to_string(position)});
    program.input_specs.push_back({.kind = InputSpec::Kind::user_input, .value = value});
    return value;
  }
  // A parameter with values 0.01, 0.02, ... of alternating sign.
  Value* weight(const std::string& name, Sizes sizes) {
    Tensor tensor = Tensor::empty(DType::float32, std::move(sizes));
    for (int64_t i = 0; i < tensor.numel(); ++i)
      tensor.mutable_data<float>()[i] = 0.01f * static_cast<float>(i % 97 + 1) * (i % 2 ? -1.0f : 1.0f);
    return program.add_parameter(name, tensor);
  }
  Value* constant(const std::string& name, Tensor tensor) { return program.add_buffer(name, std::move(tensor)); }

  template <typename... A>
  Value* operator()(std::string_view op, A&&... arguments) {
    return builder_(op, std::forward<A>(arguments)...);
  }
  Node& node(std::string_view op, std::vector<Argument> arguments) { return builder_.node(op, std::move(arguments)); }

  Value* convolution(Value* x, Value* w, Value* b, int64_t stride = 1, int64_t padding = 0, int64_t groups = 1) {
    using L = std::vector<int64_t>;
    const size_t n = w->sizes().size() - 2;
    return (*this)("aten.convolution.default", x, w, b ? Argument(b) : Argument(), L(n, stride), L(n, padding), L(n, 1), false, L(n, 0),
                   groups);
  }
  Value* quantize(Value* x, double scale, int64_t zero_point) {
    return (*this)("quantized_decomposed.quantize_per_tensor.default", x, scale, zero_point, -128, 127, DType::int8);
  }
  Value* dequantize(Value* q, double scale, int64_t zero_point) {
    return (*this)("quantized_decomposed.dequantize_per_tensor.default", q, scale, zero_point, -128, 127, DType::int8);
  }
  Value* qdq(Value* x, double scale, int64_t zero_point) { return dequantize(quantize(x, scale, zero_point), scale, zero_point); }
  // With parameters found at run time, for the whole tensor or for each row.
  Value* dynamic_qdq(Value* x) {
    const Node& choose = node("quantized_decomposed.choose_qparams.tensor", {x, -128, 127, 0x1p-12, DType::int8});
    Value *scale = choose.output(0), *zero = choose.output(1);
    Value* q = (*this)("quantized_decomposed.quantize_per_tensor.tensor", x, scale, zero, -128, 127, DType::int8);
    Node& dequantize = node("quantized_decomposed.dequantize_per_tensor.tensor", {q, scale, zero, -128, 127, DType::int8});
    program.graph().set_argument(dequantize, "out_dtype", x->dtype());
    dequantize.output()->meta().dtype = x->dtype();
    return dequantize.output();
  }
  Value* dynamic_rows(Value* x) {
    const Node& choose = node("quantized_decomposed.choose_qparams_per_token_asymmetric.default", {x, DType::int8});
    Value *scale = choose.output(0), *zero = choose.output(1);
    Value* q = (*this)("quantized_decomposed.quantize_per_token.default", x, scale, zero, -128, 127, DType::int8);
    return (*this)("quantized_decomposed.dequantize_per_token.default", q, scale, zero, -128, 127, DType::int8, DType::float32);
  }
  // An int8 weight with a scale for each index of `axis`, dequantized.
  Value* int8_weight(const std::string& name, Sizes sizes, int64_t axis = 0) {
    Tensor data = Tensor::empty(DType::int8, sizes);
    for (int64_t i = 0; i < data.numel(); ++i) data.mutable_data<int8_t>()[i] = static_cast<int8_t>(i * 37 % 255 - 127);
    const int64_t channels = sizes[static_cast<size_t>(axis)];
    Tensor scale = Tensor::empty(DType::float32, {channels});
    for (int64_t c = 0; c < channels; ++c) scale.mutable_data<float>()[c] = 0.001f * static_cast<float>(c + 1);
    Value* q = constant(name, data);
    Value* s = constant(name + "_scale", scale);
    Value* z = constant(name + "_zero_point", Tensor::zeros(DType::int64, {channels}));
    return (*this)("quantized_decomposed.dequantize_per_channel.default", q, s, z, axis, -127, 127, DType::int8);
  }

  ExportedProgram& returns(std::vector<Value*> outputs) {
    program.graph().set_outputs({outputs.begin(), outputs.end()});
    program.output_specs.assign(outputs.size(), OutputSpec{});
    verify(program);
    return program;
  }

 private:
  GraphBuilder builder_;
};

}  // namespace intaglio::xnnpack
