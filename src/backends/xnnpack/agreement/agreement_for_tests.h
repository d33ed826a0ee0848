// Edge programs on the stock runtime, delegated and undelegated: what the agreement tests share.
//
// A case is an edge program. It is emitted twice: as one XNNPACK delegate (and nothing else), and on portable kernels.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include <intaglio/edge.h>
#include <intaglio/xnnpack.h>

#include "edge/edge_programs_for_tests.h"
#include "runtime/runtime.h"

namespace intaglio::xnnpack::agreement {

using test::ProgramBuilder;

using Results = std::vector<Value*>;
using Ints = std::vector<int64_t>;
using Build = std::function<Results(ProgramBuilder&)>;

struct Case {
  const char* name;
  Build build;
  double tolerance = 1e-5;    // float: relative to the largest value; int8: steps of the last quantize
  Build reference = nullptr;  // where there is no portable kernel for an op
};
inline void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

inline runtime::PteRunner& runner() {
  static runtime::PteRunner instance(runtime::RunnerOptions{.threads = 1});
  return instance;
}

inline Tensor sample(const TensorMeta& meta, uint32_t seed) {
  Sizes sizes;
  for (const SymInt& size : meta.sizes) sizes.push_back(size.is_static() ? size.value() : 3);
  Tensor tensor = Tensor::empty(DType::float32, sizes);
  float* values = tensor.mutable_data<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = static_cast<float>(seed >> 8) / static_cast<float>(1 << 23) * 3 - 3;  // [-3, 3]
  }
  return meta.dtype == DType::float32 ? tensor : converted(tensor, meta.dtype);
}

// The whole program as one delegate call.
inline EdgeProgram delegated(ProgramBuilder& t) {
  const XnnpackPartitioner partitioner;
  partitioner.transform(t.program);
  const PartitionResult result = partitioner.partition(t.program);
  for (const Refusal& refusal : result.refusals) ADD_FAILURE() << refusal.rule;
  if (result.partitions.size() != 1) throw_bug("not one partition");

  EdgeProgram edge;
  edge.partitioners.add(partitioner.clone());
  EdgeMethod method;
  method.name = "forward";
  std::vector<OutputSpecification> outputs;
  for (const Argument& output : t.program.user_outputs()) outputs.push_back({.meta = (*output.get_if<Value*>())->meta()});
  std::vector<NamedArgument> arguments = {{"", int64_t{0}}};
  Graph& graph = method.program.graph();
  for (const Value* input : t.program.user_inputs()) {
    Value* value = graph.add_input(graph.inputs().size(), {.meta = input->meta(), .name = input->name()});
    method.program.input_specs.push_back({.kind = InputSpec::Kind::user_input, .value = value});
    arguments.push_back({"", value});
  }
  method.program.range_constraints = t.program.range_constraints;
  Node& call = graph.insert_before(nullptr, Op::get("executorch_call_delegate"), arguments, outputs);
  graph.set_outputs({call.outputs().begin(), call.outputs().end()});
  method.program.output_specs.assign(outputs.size(), OutputSpec{});
  std::vector<MethodPartition> partitions;
  partitions.push_back({"forward", 0, std::move(t.program)});
  method.delegates = partitioner.preprocess(std::move(partitions));
  edge.methods.push_back(std::move(method));
  return edge;
}

inline std::vector<Tensor> run(EdgeProgram edge, const std::vector<runtime::RunValue>& inputs) {
  const auto path = std::filesystem::temp_directory_path() / ("xnnpack_case_" + std::to_string(getpid()) + ".pte");
  std::move(edge).to_executorch().save(path);
  runner().load(path);
  std::vector<Tensor> results;
  for (runtime::RunValue& value : runner().run(inputs)) results.push_back(std::get<Tensor>(value));
  std::filesystem::remove(path);
  return results;
}

inline std::vector<runtime::RunValue> samples_for(const ExportedProgram& program) {
  std::vector<runtime::RunValue> inputs;
  for (const Value* input : program.user_inputs()) inputs.push_back(sample(input->meta(), 17 + static_cast<uint32_t>(inputs.size())));
  return inputs;
}

// A batch of 1 to 8; samples have 3.
inline SymInt batch(ProgramBuilder& t) {
  t.program.range_constraints["s0"] = {1, 8};
  return SymInt(parse_sym_expr("s0"), "s0", 3);
}
inline Value* half(ProgramBuilder& t, SymSizes sizes) { return t.input(std::move(sizes), DType::float16); }
inline Value* relu(ProgramBuilder& t, Value* x) { return t("aten.relu.default", x); }
inline Value* relu6(ProgramBuilder& t, Value* x) { return t("aten.hardtanh.default", x, 0.0, 6.0); }

inline void build(ProgramBuilder& t, const Build& builder) { t.returns(builder(t)); }

inline void expect_close(const Tensor& got, const Tensor& expected, double tolerance) {
  ASSERT_EQ(got.sizes(), expected.sizes());
  const Tensor a = converted(got, DType::float64).contiguous(), b = converted(expected, DType::float64).contiguous();
  double largest = 1e-9, worst = 0;
  for (int64_t i = 0; i < b.numel(); ++i) {
    largest = std::max(largest, std::abs(b.data<double>()[i]));
    worst = std::max(worst, std::abs(a.data<double>()[i] - b.data<double>()[i]));
  }
  EXPECT_GT(largest, 1e-3) << "the case computes nothing";
  EXPECT_LE(worst, tolerance >= 1e-3 ? tolerance : tolerance * largest);
}

inline void expect_agreement(const Case& given) {
  ProgramBuilder ours, theirs;
  build(ours, given.build);
  build(theirs, given.reference ? given.reference : given.build);
  const auto inputs = samples_for(ours.program);
  const std::vector<Tensor> expected = run(test::edge_of(theirs), inputs);
  const std::vector<Tensor> got = run(delegated(ours), inputs);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) expect_close(got[i], expected[i], given.tolerance);
}

}  // namespace intaglio::xnnpack::agreement
