// Small graphs for tests.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include <intaglio/error.h>
#include <intaglio/interpreter.h>

#include "base/test_errors.h"

namespace intaglio::test {

using testing::message_of;

// A node on its own, run on tensors: `arguments` refer to them by name.
struct OpCall {
  Graph graph;
  std::vector<Value*> inputs;

  explicit OpCall(const std::vector<Tensor>& tensors) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      std::vector<SymInt> sizes(tensors[i].sizes().begin(), tensors[i].sizes().end());
      inputs.push_back(graph.add_input(i, {TensorMeta::contiguous(tensors[i].dtype(), sizes), "x" + std::to_string(i)}));
    }
  }
};

using MakeArguments = std::function<std::vector<NamedArgument>(const std::vector<Value*>&)>;

inline std::vector<Tensor> run_op(const char* op, const std::vector<Tensor>& tensors, const MakeArguments& arguments, size_t outputs = 1) {
  OpCall call(tensors);
  std::vector<OutputSpecification> specifications(outputs, OutputSpecification{TensorMeta::contiguous(DType::float32, {}), ""});
  Node& node = call.graph.insert_before(nullptr, Op::get(op), arguments(call.inputs), specifications, "",
                                        outputs == 1 ? std::vector<Node::OutputGroup>{} : std::vector<Node::OutputGroup>(outputs));
  std::vector<Tensor> used;
  for (const Value* value : node.inputs())
    for (size_t i = 0; i < call.inputs.size(); ++i)
      if (call.inputs[i] == value) used.push_back(tensors[i]);
  auto result = evaluate_node(node, used);
  if (!result) throw_bug(std::string("no kernel for ") + op);
  return *result;
}

// One tensor in, one out; extra arguments as given.
inline Tensor run_unary(const char* op, const Tensor& x, std::vector<NamedArgument> extra = {}, const char* name = "self") {
  return run_op(op, {x}, [&](const std::vector<Value*>& v) {
    std::vector<NamedArgument> arguments = {{name, v[0]}};
    for (NamedArgument& argument : extra) arguments.push_back(std::move(argument));
    return arguments;
  })[0];
}

inline std::vector<double> values(const Tensor& tensor) {
  const Tensor wide = converted(tensor, DType::float64).contiguous();
  return {wide.span<double>().begin(), wide.span<double>().end()};
}

inline void expect_values(const Tensor& tensor, const std::vector<double>& expected, double tolerance = 0) {
  const std::vector<double> actual = values(tensor);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] == expected[i]) continue;  // infinities too
    EXPECT_NEAR(actual[i], expected[i], tolerance) << "element " << i;
  }
}

// Deterministic values in [-1, 1).
inline Tensor noise(Sizes sizes, uint32_t seed = 1) {
  std::vector<float> data(static_cast<size_t>(element_count(sizes)));
  uint32_t state = seed * 2654435761u + 12345u;
  for (float& value : data) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
  }
  return Tensor::of<float>(data, std::move(sizes));
}

}  // namespace intaglio::test
