// Small programs for the tests of this room and of the quantizers, built by hand as torch.export would give them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::test {

class ProgramBuilder {
 public:
  Value* input(const std::string& name, Sizes sizes, DType dtype = DType::float32) {
    Graph& graph = program_.graph();
    Value* value = graph.add_input(graph.inputs().size(), {meta(std::move(sizes), dtype), name});
    program_.input_specs.push_back({InputSpec::Kind::user_input, value, "", true});
    return value;
  }
  Value* parameter(const std::string& target, Tensor tensor) { return program_.add_parameter(target, std::move(tensor)); }
  Value* buffer(const std::string& target, Tensor tensor) { return program_.add_buffer(target, std::move(tensor)); }

  // `modules` are (path, type) pairs, outermost first, written as the exporter writes `nn_module_stack`.
  Value* call(const std::string& op, std::vector<NamedArgument> arguments, Sizes sizes, const std::string& name,
              const std::vector<std::pair<std::string, std::string>>& modules = {}, DType dtype = DType::float32) {
    Node& node = program_.graph().insert_before(nullptr, Op::get(op), std::move(arguments), {{meta(std::move(sizes), dtype), name}}, name);
    std::string stack;
    for (const auto& [path, type] : modules)
      stack += (stack.empty() ? "" : ";") + std::string("k") + std::to_string(stack.size()) + "," + path + "," + type;
    if (!stack.empty()) node.metadata["nn_module_stack"] = stack;
    return node.output();
  }

  ExportedProgram finish(const std::vector<Value*>& outputs) {
    std::vector<Argument> arguments;
    for (Value* output : outputs) {
      arguments.emplace_back(output);
      program_.output_specs.push_back({});
    }
    program_.graph().set_outputs(std::move(arguments));
    verify(program_);
    return std::move(program_);
  }

  ExportedProgram& program() { return program_; }

 private:
  static TensorMeta meta(Sizes sizes, DType dtype) {
    return TensorMeta::contiguous(dtype, std::vector<SymInt>(sizes.begin(), sizes.end()));
  }
  ExportedProgram program_;
};

// Values that differ and repeat from run to run.
inline Tensor ramp(Sizes sizes, float start, float step) {
  Tensor tensor = Tensor::empty(DType::float32, std::move(sizes));
  float* values = tensor.mutable_data<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = start + step * static_cast<float>(i % 17);
  return tensor;
}

inline std::pair<std::string, std::string> module(const std::string& path, const std::string& type) { return {path, type}; }

inline const std::string conv2d_type = "torch.nn.modules.conv.Conv2d";
inline const std::string linear_type = "torch.nn.modules.linear.Linear";
inline const std::string relu_type = "torch.nn.modules.activation.ReLU";
inline const std::string batch_norm_type = "torch.nn.modules.batchnorm.BatchNorm2d";
inline const std::string pool_type = "torch.nn.modules.pooling.AdaptiveAvgPool2d";

// A batch norm over `channels` channels, training IR.
inline Value* batch_norm(ProgramBuilder& b, Value* x, int64_t channels, const std::string& name, bool training = false) {
  Sizes sizes;
  for (const SymInt& size : x->sizes()) sizes.push_back(size.value());
  Value* weight = b.parameter(name + ".weight", ramp({channels}, 0.5f, 0.125f));
  Value* bias = b.parameter(name + ".bias", ramp({channels}, -0.25f, 0.0625f));
  Value* mean = b.buffer(name + ".running_mean", ramp({channels}, 0.1f, 0.03f));
  Value* variance = b.buffer(name + ".running_var", ramp({channels}, 0.7f, 0.11f));
  return b.call("aten.batch_norm.default",
                {{"input", x},
                 {"weight", weight},
                 {"bias", bias},
                 {"running_mean", mean},
                 {"running_var", variance},
                 {"training", training},
                 {"momentum", 0.1},
                 {"eps", 1e-05},
                 {"cudnn_enabled", true}},
                sizes, name, {module(name, batch_norm_type)});
}

// conv (no bias) + bn + relu -> conv -> + skip -> max_pool -> adaptive_avg_pool -> flatten -> linear -> * 2.0
inline ExportedProgram residual_network() {
  ProgramBuilder b;
  Value* w1 = b.parameter("c1.weight", ramp({4, 3, 3, 3}, -0.5f, 0.07f));
  Value* w2 = b.parameter("c2.weight", ramp({4, 4, 3, 3}, 0.4f, -0.05f));
  Value* b2 = b.parameter("c2.bias", ramp({4}, 0.1f, 0.1f));
  Value* wl = b.parameter("fc.weight", ramp({5, 4}, -0.3f, 0.04f));
  Value* bl = b.parameter("fc.bias", ramp({5}, 0.0f, 0.2f));
  Value* x = b.input("x", {1, 3, 8, 8});
  const std::vector<int64_t> one = {1, 1};
  Value* c1 = b.call("aten.conv2d.default", {{"input", x}, {"weight", w1}, {"bias", Argument()}, {"stride", one}, {"padding", one}},
                     {1, 4, 8, 8}, "conv2d", {module("c1", conv2d_type)});
  Value* bn = batch_norm(b, c1, 4, "bn1");
  Value* r1 = b.call("aten.relu.default", {{"self", bn}}, {1, 4, 8, 8}, "relu", {module("r1", relu_type)});
  Value* c2 = b.call("aten.conv2d.default", {{"input", r1}, {"weight", w2}, {"bias", b2}, {"stride", one}, {"padding", one}}, {1, 4, 8, 8},
                     "conv2d_1", {module("c2", conv2d_type)});
  Value* sum = b.call("aten.add.Tensor", {{"self", c2}, {"other", r1}}, {1, 4, 8, 8}, "add");
  Value* pool = b.call("aten.max_pool2d.default", {{"self", sum}, {"kernel_size", std::vector<int64_t>{2, 2}}}, {1, 4, 4, 4}, "max_pool2d");
  Value* mean = b.call("aten.adaptive_avg_pool2d.default", {{"self", pool}, {"output_size", one}}, {1, 4, 1, 1}, "adaptive_avg_pool2d",
                       {module("pool", pool_type)});
  Value* flat = b.call("aten.flatten.using_ints", {{"self", mean}, {"start_dim", 1}}, {1, 4}, "flatten");
  Value* fc = b.call("aten.linear.default", {{"input", flat}, {"weight", wl}, {"bias", bl}}, {1, 5}, "linear", {module("fc", linear_type)});
  Value* twice = b.call("aten.mul.Tensor", {{"self", fc}, {"other", 2.0}}, {1, 5}, "mul");
  return b.finish({twice});
}

}  // namespace intaglio::test
