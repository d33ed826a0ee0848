// Single nodes, run on tensors.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include <intaglio/error.h>
#include <intaglio/interpreter.h>

#include "testing/errors.h"
#include "testing/program_builder.h"

namespace intaglio::test {

using MakeArguments = std::function<std::vector<NamedArgument>(const std::vector<Value*>&)>;

inline std::vector<Tensor> run_op(const char* op, const std::vector<Tensor>& tensors, const MakeArguments& arguments, size_t outputs = 1) {
  ProgramBuilder b;
  std::vector<Value*> inputs;
  for (const Tensor& tensor : tensors) inputs.push_back(b.input({tensor.sizes(), tensor.dtype()}));
  Node& node = b.raw(op, arguments(inputs), std::vector<Meta>(outputs), std::vector<Node::OutputGroup>(outputs == 1 ? 0 : outputs));
  std::vector<Tensor> used;
  for (const Value* value : node.inputs())
    for (size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i] == value) used.push_back(tensors[i]);
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
