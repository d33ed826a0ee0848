// Hand-built exported programs and golden texts for the tests of passes.
//
// Golden files stand in the room's folder `golden`; INTAGLIO_UPDATE_GOLDEN=1 rewrites them.
#pragma once

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include <intaglio/error.h>
#include <intaglio/program.h>

#include "decompose/builder.h"
#include "testing/source_dir.h"

namespace intaglio::test {

struct TestProgram {
  ExportedProgram program;
  GraphBuilder build{program, nullptr, program.graph().output_node()};

  Value* input(const char* name, std::vector<SymInt> sizes, DType dtype = DType::float32) {
    Value* value = program.graph().add_input(program.graph().inputs().size(), {TensorMeta::contiguous(dtype, std::move(sizes)), name});
    program.input_specs.push_back({InputSpec::Kind::user_input, value, "", true});
    return value;
  }
  Value* parameter(const char* name, Sizes sizes, DType dtype = DType::float32) {
    return program.add_parameter(name, Tensor::zeros(dtype, std::move(sizes)));
  }
  Value* buffer(const char* name, Sizes sizes) { return program.add_buffer(name, Tensor::zeros(DType::float32, std::move(sizes))); }
  Value* op(std::string_view name, std::vector<Argument> positional, GraphBuilder::Keywords keywords = {}) {
    return build.call(name, std::move(positional), std::move(keywords));
  }
  // A node that the inference has no rule for, or that returns nothing of use.
  Node& raw(std::string_view name, std::vector<NamedArgument> arguments, std::vector<TensorMeta> outputs) {
    std::vector<OutputSpecification> specifications;
    for (TensorMeta& meta : outputs) specifications.push_back({std::move(meta)});
    return program.graph().insert_before(nullptr, Op::get(name), std::move(arguments), std::move(specifications));
  }
  void returns(std::vector<Value*> values) {
    std::vector<Argument> outputs(values.begin(), values.end());
    program.graph().set_outputs(std::move(outputs));
    program.output_specs.assign(values.size(), {OutputSpec::Kind::user_output, ""});
    verify(program);
  }
  // The base names of the ops left, in order, parted by spaces.
  std::string ops() const {
    std::string text;
    for (const Node* node : program.graph().node_list()) text += (text.empty() ? "" : " ") + std::string(node->op().base());
    return text;
  }
};

inline void expect_golden(const std::string& name, const ExportedProgram& program, const std::string& room = "edge") {
  const std::string path = test::source_dir().string() + "/src/" + room + "/golden/" + name + ".txt";
  const std::string text = to_string(program);
  if (std::getenv("INTAGLIO_UPDATE_GOLDEN")) {
    std::ofstream(path) << text;
    return;
  }
  std::ostringstream expected;
  std::ifstream file(path);
  ASSERT_TRUE(file) << "no golden file " << path;
  expected << file.rdbuf();
  EXPECT_EQ(text, expected.str()) << path;
}

template <typename Action>
std::string refusal_of(ErrorKind kind, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "not refused";
  return "";
}

}  // namespace intaglio::test
