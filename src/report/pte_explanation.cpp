#include "report/pte_explanation.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "backends/registry/parts.h"
#include "edge/emit/tensor_values.h"
#include "pte/kernel_table.h"
#include "pte/runtime_needs.h"
#include "pte/verifier.h"
#include "report/memory_use.h"

namespace intaglio::report {
namespace {

using namespace pte;

Counts sorted_counts(const std::map<std::string, size_t>& counts) {
  Counts result(counts.begin(), counts.end());
  std::ranges::stable_sort(result, std::greater(), [](const auto& entry) { return entry.second; });
  return result;
}

Work work_of(const DecodedNode& node) {
  CallShapes call;
  call.op = node.op;
  call.result = node.output.sizes;
  call.transposed = node.transposed;
  for (const DecodedValue& input : node.inputs) call.elements = saturating_add(call.elements, element_count(input.sizes));
  call.elements = saturating_add(call.elements, element_count(call.result));
  call.sizes_of = [&](std::string_view argument) -> std::optional<Sizes> {
    if (argument == "weight") return node.weight;
    return node.inputs.empty() ? std::nullopt : std::optional(node.inputs.front().sizes);
  };
  return intaglio::work_of(call);
}

DelegateContents contents_of(const BackendDelegate& delegate, const ParsedProgram& parsed, std::span<const std::byte> file,
                             std::span<const Backend> known) {
  DelegateContents contents;
  contents.backend = delegate.id;
  const Backend* backend = find_delegate_backend(known, delegate.id);
  if (backend == nullptr || !backend->decode) return contents;
  const std::span<const std::byte> payload = payload_of(parsed, delegate, file);
  const auto part = payload_part(delegate.id, payload);
  contents.payload = part ? decode_part(delegate.id, named_data_of(parsed, part->key, file), part->name) : backend->decode(payload);
  if (!delegate.in_segment) contents.payload->needs.forget_from_file();
  std::map<std::string, size_t> kinds, types;
  for (const DecodedNode& node : contents.payload->nodes) {
    ++kinds[node.kind];
    ++types[node.output.dtype];
    contents.node_work.push_back(work_of(node));
    contents.work = saturating_add(contents.work, contents.node_work.back().amount);
  }
  contents.kinds = sorted_counts(kinds);
  contents.types = sorted_counts(types);
  return contents;
}

std::vector<int64_t> sizes_of(const TensorValue& tensor) { return {tensor.sizes.begin(), tensor.sizes.end()}; }

std::string value_text(const ExecutionPlan& plan, int32_t index) {
  const EValue& value = plan.values[static_cast<size_t>(index)];
  const auto* tensor = std::get_if<TensorValue>(&value);
  if (tensor == nullptr) return fmt::format("v{}", index);
  return fmt::format("v{}:{}[{}]", index, scalar_type_text(tensor->scalar_type), fmt::join(tensor->sizes, ","));
}

// For each instruction of a plan the tensors that it names, members of lists included.
class Mentions {
 public:
  Mentions(const ExecutionPlan& plan, uint64_t budget) : plan_(plan), budget_(budget) {
    for (const auto& chain : plan.chains)
      for (const Instruction& instruction : chain) {
        found_.emplace_back();
        seen_.clear();
        std::visit(*this, instruction);
      }
  }
  const std::vector<std::vector<int32_t>>& all() const { return found_; }

  void operator()(const KernelCall& call) {
    std::ranges::for_each(call.args, [&](int32_t arg) { add(arg); });
  }
  void operator()(const DelegateCall& call) {
    std::ranges::for_each(call.args, [&](int32_t arg) { add(arg); });
  }
  void operator()(const MoveCall& call) { add(call.move_from), add(call.move_to); }
  void operator()(const JumpFalseCall& call) { add(call.cond_value_index); }
  void operator()(const FreeCall& call) { add(call.value_index); }

 private:
  void add(int32_t index) {
    // -1 stands for None. Calls may share long lists: what they name together has a bound.
    if (index < 0 || !seen_.insert(index).second) return;
    if (budget_-- == 0) throw_bad_input("the program's calls name their tensors too often to be a real program");
    const EValue& value = plan_.values[static_cast<size_t>(index)];
    if (std::holds_alternative<TensorValue>(value)) found_.back().push_back(index);
    if (const auto* list = std::get_if<TensorList>(&value))
      for (const int32_t item : list->items) add(item);
    if (const auto* list = std::get_if<OptionalTensorList>(&value))
      for (const int32_t item : list->items) add(item);
  }

  const ExecutionPlan& plan_;
  uint64_t budget_;
  std::vector<std::vector<int32_t>> found_;
  std::unordered_set<int32_t> seen_;
};

Work work_of(const ExecutionPlan& plan, const KernelCall& call, std::string_view key, const std::vector<int32_t>& tensors) {
  CallShapes shapes;
  const RuntimeKernel* kernel = find_runtime_kernel(key);
  const OpSchema* schema = kernel == nullptr || kernel->schema_text.empty() ? nullptr : &schema_of(*kernel);
  const auto tensor = [&](size_t argument) -> const TensorValue* {
    return argument < call.args.size() ? std::get_if<TensorValue>(&plan.values[static_cast<size_t>(call.args[argument])]) : nullptr;
  };
  for (const int32_t index : tensors)
    shapes.elements =
        saturating_add(shapes.elements, element_count(sizes_of(std::get<TensorValue>(plan.values[static_cast<size_t>(index)]))));
  std::string base(key.substr(key.find("::") == std::string_view::npos ? 0 : key.find("::") + 2));
  base.resize(std::min(base.find('.'), base.size()));
  shapes.op = base;
  if (!call.args.empty())
    if (const TensorValue* result = tensor(call.args.size() - 1)) shapes.result = sizes_of(*result);
  shapes.sizes_of = [&](std::string_view argument) -> std::optional<Sizes> {
    for (size_t i = 0; schema != nullptr && i < schema->arguments.size(); ++i)
      if (schema->arguments[i].name == argument && tensor(i) != nullptr) return sizes_of(*tensor(i));
    return std::nullopt;
  };
  for (size_t i = 0; schema != nullptr && i < schema->arguments.size(); ++i)
    if (schema->arguments[i].name == "transposed" && i < call.args.size())
      if (const bool* flag = std::get_if<bool>(&plan.values[static_cast<size_t>(call.args[i])])) shapes.transposed = *flag;
  return intaglio::work_of(shapes);
}

struct DescribeInstruction {
  const ExecutionPlan& plan;
  const std::vector<DelegateContents>& delegates;
  const std::vector<int32_t>& tensors;

  std::string operands() const {
    std::vector<std::string> texts;
    for (const int32_t tensor : tensors) texts.push_back(value_text(plan, tensor));
    return fmt::format("{}", fmt::join(texts, ", "));
  }
  InstructionText operator()(const KernelCall& call) const {
    const Operator& op = plan.operators[static_cast<size_t>(call.op_index)];
    return {"kernel", op.key(), operands(), work_of(plan, call, op.key(), tensors), 0};
  }
  InstructionText operator()(const DelegateCall& call) const {
    const DelegateContents& delegate = delegates[static_cast<size_t>(call.delegate_index)];
    return {"delegate", fmt::format("{} {}", delegate.backend, call.delegate_index), operands(), {delegate.work, true}, 0};
  }
  InstructionText operator()(const MoveCall& call) const {
    return {"move", "", value_text(plan, call.move_from) + " to " + value_text(plan, call.move_to), {}, 0};
  }
  InstructionText operator()(const JumpFalseCall& call) const {
    return {"jump_if_false", "", fmt::format("v{}, to {}", call.cond_value_index, call.destination_instruction), {}, 0};
  }
  InstructionText operator()(const FreeCall& call) const { return {"free", "", fmt::format("v{}", call.value_index), {}, 0}; }
};

MethodContents contents_of(const ParsedProgram& parsed, const ExecutionPlan& plan, const Mentions& mentions,
                           std::span<const std::byte> file, std::span<const Backend> known) {
  MethodContents method;
  method.name = plan.name;
  for (size_t i = 0; i < plan.delegates.size(); ++i) {
    try {
      method.delegates.push_back(contents_of(plan.delegates[i], parsed, file, known));
    } catch (const Error& error) { throw error.with_context(fmt::format("method '{}', delegate {}", escaped(plan.name), i)); }
  }
  for (const auto& chain : plan.chains)
    for (const Instruction& instruction : chain) {
      method.instructions.push_back(
          std::visit(DescribeInstruction{plan, method.delegates, mentions.all()[method.instructions.size()]}, instruction));
      method.work = saturating_add(method.work, method.instructions.back().work.amount);
    }
  const auto share = [&](uint64_t work) { return method.work == 0 ? 0 : static_cast<double>(work) / static_cast<double>(method.work); };
  for (DelegateContents& delegate : method.delegates) delegate.share = share(delegate.work);
  for (InstructionText& instruction : method.instructions) instruction.share = share(instruction.work.amount);
  add_memory_use(plan, mentions.all(), method);
  return method;
}

// Collects what reads each weight while methods are walked.
class Weights {
 public:
  explicit Weights(const ParsedProgram& parsed) : program_(parsed.program) {
    for (const pte::NamedData& named : program_.named_data)
      // ExecuTorch stores scales per channel apart, under names of this form.
      weights_.push_back({named.key, program_.segments[named.segment_index].size, "", {}, named.key.starts_with("scale_") ? "scales" : ""});
    for (size_t i = 0; i < weights_.size(); ++i) named_.emplace(weights_[i].key, i);
  }

  void add(const MethodContents& method, const ExecutionPlan& plan, const Mentions& mentions) {
    const std::string place = program_.execution_plan.size() == 1 ? "" : plan.name + ": ";
    for (size_t d = 0; d < method.delegates.size(); ++d)
      if (method.delegates[d].payload) add_delegate(*method.delegates[d].payload, fmt::format("{}delegate {}", place, d));
    size_t index = 0;
    for (const std::vector<int32_t>& values : mentions.all()) {
      for (const int32_t value : values)
        add_constant(plan, value, fmt::format("{}{}, instruction {}", place, method.instructions[index].name, index));
      ++index;
    }
  }

  std::vector<StoredWeight> take() {
    std::ranges::stable_sort(weights_, std::greater(), &StoredWeight::bytes);
    return std::move(weights_);
  }

 private:
  void add_delegate(const DecodedPayload& payload, const std::string& place) {
    for (size_t n = 0; n < payload.nodes.size(); ++n)
      for (const DecodedValue& input : payload.nodes[n].inputs) {
        const auto found = input.key.empty() ? named_.end() : named_.find(input.key);
        if (found == named_.end() || !weights_[found->second].dtype.empty()) continue;
        StoredWeight& weight = weights_[found->second];
        weight.dtype = input.dtype;
        weight.sizes = input.sizes;
        weight.used_by = fmt::format("{}, {} {}", place, payload.nodes[n].kind, n);
      }
  }
  void add_constant(const ExecutionPlan& plan, int32_t value, std::string user) {
    const auto& tensor = std::get<TensorValue>(plan.values[static_cast<size_t>(value)]);
    if (tensor.allocation || tensor.data_buffer_idx == 0 || !constants_.insert(tensor.data_buffer_idx).second) return;
    weights_.push_back({"", edge::planned_bytes(tensor), scalar_type_text(tensor.scalar_type), sizes_of(tensor), std::move(user)});
  }

  const Program& program_;
  std::vector<StoredWeight> weights_;
  std::unordered_map<std::string, size_t> named_;
  std::set<uint32_t> constants_;
};

}  // namespace

PteContents read_pte_contents(std::span<const std::byte> file, std::span<const Backend> known) {
  const ParsedProgram parsed = verify_pte(file, {.check_payload = payload_check(known)});
  PteContents contents;
  contents.summary = summarize(parsed);
  contents.needs = runtime_needs(parsed.program);
  Weights weights(parsed);
  for (const ExecutionPlan& plan : parsed.program.execution_plan) {
    const Mentions mentions(plan, 4 * file.size() + 4096);
    contents.methods.push_back(contents_of(parsed, plan, mentions, file, known));
    weights.add(contents.methods.back(), plan, mentions);
    for (const DelegateContents& delegate : contents.methods.back().delegates)
      if (delegate.payload) contents.needs.add(delegate.payload->needs);
  }
  contents.weights = weights.take();
  return contents;
}

}  // namespace intaglio::report
