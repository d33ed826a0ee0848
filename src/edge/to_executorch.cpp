// The back half: an edge program to an ExecuTorch file.
#include <algorithm>

#include <fmt/format.h>
#include <intaglio/edge.h>
#include <intaglio/error.h>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "base/thread_limit.h"
#include "edge/branches.h"
#include "edge/emit/emitter.h"
#include "edge/lower_checks.h"
#include "edge/passes/passes.h"
#include "pte/runtime_needs.h"
#include "pte/verifier.h"
#include "pte/writer.h"

namespace intaglio {

using namespace edge;

namespace {

// The steps in order. Each method gets the same.
void prepare(ExportedProgram& program, const ExecutorchOptions& options) {
  check_kernels(program, options.runtime);           // first: everything that has no kernel is named, in the user's own ops
  write_in_place(program);                           // before: what is in place needs no copy
  insert_write_back(program, !options.plan_inputs);  // mutated buffers get their values at the end
  for_each_graph(program.graph(), [](Graph& graph) {
    legalize_dim_order(graph);    // kernels that take row-major tensors only get a copy in front
    graph.eliminate_dead_code();  // what write-back and legalisation left without users
  });
  check_kernels(program, options.runtime);
}

RuntimeNeeds needs_of(const pte::Program& program, const std::vector<EdgeMethod>& methods) {
  RuntimeNeeds needs = pte::runtime_needs(program);
  for (const EdgeMethod& method : methods)
    for (const Delegate& delegate : method.delegates) needs.add(delegate.needs);
  return needs;
}

// Numbers from the pools are provisional until every method has added its constants.
void settle_constants(std::vector<pte::ExecutionPlan>& plans, EmissionPools& pools) {
  pools.constants.settle();
  pools.mutable_state.settle();
  for (pte::ExecutionPlan& plan : plans)
    for (pte::EValue& value : plan.values) {
      auto* tensor = std::get_if<pte::TensorValue>(&value);
      if (tensor == nullptr || tensor->data_buffer_idx == 0) continue;
      const ConstantPool& pool = tensor->allocation ? pools.mutable_state : pools.constants;
      tensor->data_buffer_idx = pool.final_index(tensor->data_buffer_idx - 1);
    }
}

pte::SegmentData segment_data(const std::vector<EdgeMethod>& methods, const EmissionPools& pools) {
  pte::SegmentData data;
  data.constants = pools.constants.contents();
  data.mutable_state = pools.mutable_state.contents();
  data.payloads = pools.payloads;
  for (const EdgeMethod& method : methods)
    for (const Delegate& delegate : method.delegates)
      for (const NamedData& named : delegate.named_data) data.named_data.emplace_back(named.key, named.data);
  return data;
}

pte::ExecutionPlan constant_plan(const ConstantMethod& method) {
  pte::ExecutionPlan plan{.name = method.name, .chains = {{}}, .non_const_buffer_sizes = {0}};
  for (const ConstantValue& value : method.values) {
    plan.outputs.push_back(static_cast<int32_t>(plan.values.size()));
    std::visit([&](const auto& known) { plan.values.emplace_back(known); }, value);
  }
  TreeSpec results;
  if (method.values.size() != 1) results = {"builtins.list", "\"null\"", {}, std::vector<TreeSpec>(method.values.size())};
  plan.encoded_out_str = to_json(results);
  return plan;
}

// Nothing leaves this room that a reader would refuse.
void check_written(std::span<const std::byte> file, const PartitionerList& partitioners, const std::string& name) {
  const auto check_payload = [&](std::string_view backend_id, std::span<const std::byte> payload) {
    for (const auto& partitioner : partitioners.items())
      if (partitioner->backend_id() == backend_id) partitioner->check(payload);
  };
  try {
    pte::verify_pte(file, {.require_known_operators = true, .check_payload = check_payload});
  } catch (const Error& error) { throw_bug(fmt::format("the program written for {} does not pass its own check: {}", name, error.what())); }
}

}  // namespace

ExecutorchProgram EdgeProgram::to_executorch(const ExecutorchOptions& options) && {
  const ThreadLimit limit(options.threads);
  if (methods.empty()) throw_usage("the program has no method to write");
  for (const EdgeMethod& method : methods)
    for (const Delegate& delegate : method.delegates)
      if (!delegate.no_program.empty()) throw_unsupported(delegate.no_program);
  std::sort(methods.begin(), methods.end(), [](const EdgeMethod& a, const EdgeMethod& b) { return a.name < b.name; });
  for (size_t i = 1; i < methods.size(); ++i)
    if (methods[i].name == methods[i - 1].name) throw_usage(fmt::format("two methods are called '{}'; names must differ", methods[i].name));

  pte::Program program;
  EmissionPools pools;
  for (EdgeMethod& method : methods) {
    try {
      prepare(method.program, options);
      program.execution_plan.push_back(emit_method(method, options, pools));
    } catch (const Error& error) {
      const Error named = methods.size() == 1 ? error : error.with_context(fmt::format("method '{}'", method.name));
      const std::string files = method.program.files();
      throw files.empty() ? named : named.with_context(escaped(files));
    }
  }
  for (const ConstantMethod& method : options.constant_methods) {
    if (std::ranges::find(program.execution_plan, method.name, &pte::ExecutionPlan::name) != program.execution_plan.end())
      throw_usage(fmt::format("two methods are called '{}'; names must differ", method.name));
    program.execution_plan.push_back(constant_plan(method));
  }
  settle_constants(program.execution_plan, pools);
  RuntimeNeeds needs = needs_of(program, methods);
  if (needs.since_from_file() > options.runtime)
    throw_unsupported(fmt::format("the program {}, not {}; give its backends the runtime too", to_string(needs), name(options.runtime)));
  return ExecutorchProgram(pte::assemble(program, segment_data(methods, pools)), std::move(partitioners), std::move(needs));
}

void ExecutorchProgram::save(const std::filesystem::path& path,
                             const std::function<void(const std::filesystem::path& written)>& inspect) const {
  AtomicFile file(path);
  file.make_zeros(file_.size());
  file_.write_in_place([&](uint64_t position, std::span<const std::byte> bytes) { file.write_at(position, bytes); });
  check_written(MappedFile::open(file.temporary_path())->bytes(), partitioners_, escaped(path.string()));
  if (inspect) inspect(file.temporary_path());
  file.commit();
}

std::vector<std::byte> ExecutorchProgram::bytes() const {
  std::vector<std::byte> bytes = file_.bytes();
  check_written(bytes, partitioners_, "memory");
  return bytes;
}

}  // namespace intaglio
