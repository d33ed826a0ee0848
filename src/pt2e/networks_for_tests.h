// Networks for the tests of this room and of the quantizers, as torch.export would give them.
#pragma once

#include "testing/program_builder.h"

namespace intaglio::test {

inline const std::string conv2d_type = "torch.nn.modules.conv.Conv2d";
inline const std::string linear_type = "torch.nn.modules.linear.Linear";
inline const std::string relu_type = "torch.nn.modules.activation.ReLU";
inline const std::string batch_norm_type = "torch.nn.modules.batchnorm.BatchNorm2d";
inline const std::string pool_type = "torch.nn.modules.pooling.AdaptiveAvgPool2d";

// A batch norm over `channels` channels, training IR.
inline Value* batch_norm(ProgramBuilder& b, Value* x, int64_t channels, const std::string& name) {
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
                 {"training", false},
                 {"momentum", 0.1},
                 {"eps", 1e-05},
                 {"cudnn_enabled", true}},
                x->sizes(), name, {{name, batch_norm_type}});
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
                     {1, 4, 8, 8}, "conv2d", {{"c1", conv2d_type}});
  Value* bn = batch_norm(b, c1, 4, "bn1");
  Value* r1 = b.call("aten.relu.default", {{"self", bn}}, {1, 4, 8, 8}, "relu", {{"r1", relu_type}});
  Value* c2 = b.call("aten.conv2d.default", {{"input", r1}, {"weight", w2}, {"bias", b2}, {"stride", one}, {"padding", one}}, {1, 4, 8, 8},
                     "conv2d_1", {{"c2", conv2d_type}});
  Value* sum = b.call("aten.add.Tensor", {{"self", c2}, {"other", r1}}, {1, 4, 8, 8}, "add");
  Value* pool = b.call("aten.max_pool2d.default", {{"self", sum}, {"kernel_size", std::vector<int64_t>{2, 2}}}, {1, 4, 4, 4}, "max_pool2d");
  Value* mean = b.call("aten.adaptive_avg_pool2d.default", {{"self", pool}, {"output_size", one}}, {1, 4, 1, 1}, "adaptive_avg_pool2d",
                       {{"pool", pool_type}});
  Value* flat = b.call("aten.flatten.using_ints", {{"self", mean}, {"start_dim", 1}}, {1, 4}, "flatten");
  Value* fc = b.call("aten.linear.default", {{"input", flat}, {"weight", wl}, {"bias", bl}}, {1, 5}, "linear", {{"fc", linear_type}});
  Value* twice = b.call("aten.mul.Tensor", {{"self", fc}, {"other", 2.0}}, {1, 5}, "mul");
  return b.finish({twice});
}

}  // namespace intaglio::test
