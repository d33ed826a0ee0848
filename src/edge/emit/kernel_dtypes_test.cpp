// The table of element types against the runtime itself: every kernel that a lowered program can hold, every type.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "edge/edge_programs_for_tests.h"
#include "edge/emit/emitter.h"
#include "edge/emit/kernel_cases_for_tests.h"
#include "pte/kernel_dtypes.h"
#include "pte/writer.h"
#include "runtime/runtime.h"
#include "testing/source_dir.h"

namespace intaglio::edge {
namespace {

using test::KernelCase;
using test::ProgramBuilder;

constexpr DType measured_types[] = {DType::uint8,    DType::int8,    DType::int16,   DType::int32,     DType::int64,
                                    DType::uint16,   DType::uint32,  DType::uint64,  DType::boolean,   DType::float16,
                                    DType::bfloat16, DType::float32, DType::float64, DType::complex64, DType::complex128};

// The types of one call: those of the inputs, of each fixed operand and of the first result.
struct Types {
  DType inputs;
  std::vector<DType> fixed;
  std::optional<DType> result;
};

DType output_type(const KernelCase& c, const Types& types, size_t output) {
  if (output == 0 && types.result) return *types.result;
  return output < c.output_types.size() ? c.output_types[output] : test::result_type(c.result, types.inputs, output);
}

// The program without the check that is under test.
void write_unchecked(const KernelCase& c, const Types& types, const std::filesystem::path& path) {
  ProgramBuilder b;
  std::vector<NamedArgument> arguments;
  std::vector<Value*> inputs, fixed;
  for (const auto& [name, sizes] : c.inputs) inputs.push_back(b.input(name, sizes, types.inputs));
  for (size_t i = 0; i < c.fixed.size(); ++i) fixed.push_back(b.input(std::get<0>(c.fixed[i]), std::get<2>(c.fixed[i]), types.fixed[i]));
  if (c.list != nullptr) arguments.push_back({c.list, inputs});
  if (c.index_list != nullptr) arguments.push_back({c.index_list, fixed});
  for (size_t i = 0; c.list == nullptr && i < inputs.size(); ++i) arguments.push_back({c.inputs[i].first, inputs[i]});
  for (size_t i = 0; c.index_list == nullptr && i < fixed.size(); ++i) arguments.push_back({std::get<0>(c.fixed[i]), fixed[i]});
  arguments.insert(arguments.end(), c.others.begin(), c.others.end());
  if (c.names_input != nullptr) arguments.push_back({c.names_input, types.inputs});
  if (c.names_result != nullptr) arguments.push_back({c.names_result, output_type(c, types, 0)});
  std::vector<test::Meta> outputs;
  for (size_t i = 0; i < c.outputs.size(); ++i) outputs.emplace_back(c.outputs[i], output_type(c, types, i));
  std::vector<Node::OutputGroup> groups;
  if (c.list_result) groups.push_back({true, outputs.size()});
  b.output(b.raw(c.op, std::move(arguments), std::move(outputs), std::move(groups)).output());
  const EdgeMethod method = test::method_of(b);
  EmissionPools pools;
  pte::Program program;
  program.execution_plan.push_back(emit_method(method, {}, pools));
  const std::vector<std::byte> bytes = pte::assemble(program, {}).bytes();
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Tensor ones(DType dtype, const Sizes& sizes) {
  Tensor tensor = Tensor::zeros(DType::int64, sizes);
  std::fill_n(tensor.mutable_data<int64_t>(), tensor.numel(), 1);
  return is_complex(dtype) ? Tensor::zeros(dtype, sizes) : converted(tensor, dtype);
}

// "aten.add.Tensor.float32", with the types of fixed operands and of the result where a case varies them.
std::string text_of(const KernelCase& c, const Types& types) {
  std::string text = fmt::format("{}.{}", c.op, name(types.inputs));
  for (const DType dtype : types.fixed) text += fmt::format("-{}", name(dtype));
  if (types.result) text += fmt::format("-to-{}", name(*types.result));
  return text;
}

// tests/make_records/runtime_versions.py tries on older runtimes what this one takes.
void leave_for_other_runtimes(const KernelCase& c, const Types& types, const std::filesystem::path& path) {
  static size_t count = 0;
  const char* folder = std::getenv("INTAGLIO_DTYPE_PROGRAMS");
  if (folder == nullptr) return;
  const auto target = std::filesystem::path(folder) / fmt::format("{:05}.{}.pte", count++, text_of(c, types));
  std::filesystem::copy_file(path, target, std::filesystem::copy_options::overwrite_existing);
}

// The tables' releases against those that the record found.
void expect_recorded_release(const KernelCase& c, const Types& types) {
  static const nlohmann::json recorded = [] {
    std::ifstream file(test::source_dir() / "tests/records/runtime_versions.json");
    return nlohmann::json::parse(file)["types"];
  }();
  const pte::RuntimeKernel& kernel = *pte::runtime_kernel_for(c.op);
  RuntimeVersion since = kernel.since;
  const auto add = [&](std::string_view argument, DType dtype) { since = std::max(since, pte::taken_since(kernel, argument, dtype)); };
  for (const auto& [argument, sizes] : c.inputs) add(argument, types.inputs);
  for (size_t i = 0; i < c.fixed.size(); ++i) add(std::get<0>(c.fixed[i]), types.fixed[i]);
  add(pte::result_argument, output_type(c, types, 0));
  EXPECT_EQ(name(since), recorded.value(text_of(c, types), std::string(name(kernel.since)))) << text_of(c, types);
}

bool runs(runtime::PteRunner& runner, const KernelCase& c, const Types& types) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / fmt::format("intaglio_dtypes_{}.pte", getpid());
  std::vector<runtime::RunValue> inputs;
  for (const auto& [name, sizes] : c.inputs) inputs.emplace_back(ones(types.inputs, sizes));
  for (size_t i = 0; i < c.fixed.size(); ++i) inputs.emplace_back(ones(types.fixed[i], std::get<2>(c.fixed[i])));
  bool result = true;
  try {
    write_unchecked(c, types, path);
    runner.load(path);
    runner.run(inputs);
  } catch (const Error&) { result = false; }
  if (result) leave_for_other_runtimes(c, types, path);
  if (result) expect_recorded_release(c, types);
  std::filesystem::remove(path);
  return result;
}

TEST(KernelDtypes, TheTableSaysWhatTheRuntimeTakes) {
  runtime::PteRunner runner({.threads = 1});
  std::set<std::string_view> measured;
  for (const KernelCase& c : test::kernel_cases()) {
    const pte::RuntimeKernel* kernel = pte::runtime_kernel_for(c.op);
    ASSERT_NE(kernel, nullptr) << c.op;
    measured.insert(kernel->key);
    std::vector<DType> fixed;
    for (const auto& operand : c.fixed) fixed.push_back(std::get<1>(operand));
    const auto compare = [&](std::string_view argument, const auto& types_with) {
      std::string taken;
      bool wrong = false;
      for (const DType dtype : measured_types) {
        const bool accepted = runs(runner, c, types_with(dtype));
        taken += accepted ? fmt::format(" {}", name(dtype)) : "";
        wrong |= accepted != pte::refused_dtype(*kernel, argument, dtype).empty();
      }
      EXPECT_FALSE(wrong) << kernel->key << (argument.empty() ? "" : ":") << argument << " takes" << taken;
    };
    if (!c.inputs.empty()) compare("", [&](DType dtype) { return Types{dtype, fixed, {}}; });
    for (size_t i = 0; i < c.fixed.size(); ++i)
      compare(std::get<0>(c.fixed[i]), [&](DType dtype) {
        Types types{c.base, fixed, {}};
        types.fixed[i] = dtype;
        return types;
      });
    if (c.any_result) compare("out", [&](DType dtype) { return Types{c.base, fixed, dtype}; });
  }
  // No program holds the others: gradients.
  const std::set<std::string_view> unused = {"aten::convolution_backward.out", "aten::max_pool2d_with_indices_backward.grad_input"};
  for (const pte::RuntimeKernel& kernel : pte::runtime_kernels()) {
    EXPECT_EQ(pte::has_measured_dtypes(kernel), measured.contains(kernel.key)) << kernel.key;
    const bool wanted = !kernel.functional.empty() && !unused.contains(kernel.key);
    EXPECT_EQ(pte::has_measured_dtypes(kernel), wanted) << kernel.key;
  }
}

}  // namespace
}  // namespace intaglio::edge
