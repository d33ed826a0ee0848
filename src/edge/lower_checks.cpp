#include "edge/lower_checks.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/integer_range.h"
#include "decompose/advice.h"
#include "edge/branches.h"
#include "pte/kernel_dtypes.h"

namespace intaglio::edge {
namespace {

constexpr std::string_view erased_ops[] = {
    "aten._assert_scalar.default",          "aten._assert_async.msg",           "aten._assert_async.default",
    "aten._assert_tensor_metadata.default", "aten.sym_constrain_range.default", "aten.sym_constrain_range_for_size.default",
};

// Ops of the front half's own: what they become is decided here, not in the table.
constexpr std::string_view symbol_sources[] = {
    "aten.sym_size.int",
    "aten.sym_numel.default",
    "aten._local_scalar_dense.default",
    "aten.item.default",
};

// One message holds a few of the nodes it is about.
std::string listed(const std::vector<std::string>& nodes) {
  constexpr size_t most = 3;
  if (nodes.size() <= most) return fmt::format("{}", fmt::join(nodes, "; "));
  return fmt::format("{}; and {} more", fmt::join(nodes.begin(), nodes.begin() + most, "; "), nodes.size() - most);
}

struct Findings {
  RuntimeVersion runtime;
  std::vector<std::string> missing;
  std::string advice;  // about the first of them that there is any for
  std::vector<std::string> newer;
  std::vector<std::string> refused;
};

// What a node calls in the runtime, or null: a kernel, or a primitive for sizes and numbers.
const pte::RuntimeKernel* called_by(const Node& node) {
  const std::string_view primitive = pte::primitive_for_symbolic_op(node.op().name());
  return primitive.empty() ? kernel_of(node) : pte::find_runtime_kernel(primitive);
}

// Kernels that refuse a number which the type of their result does not hold.
constexpr std::string_view converts_numbers[] = {"hardtanh",        "clamp",      "full", "full_like", "fill", "masked_fill",
                                                 "constant_pad_nd", "leaky_relu", "elu",  "add",       "sub",  "scalar_tensor"};

double largest_float(DType dtype) {
  switch (dtype) {
    case DType::float16: return 65504;
    case DType::bfloat16: return 0x1.FEp127;
    case DType::float32: return std::numeric_limits<float>::max();
    default: return std::numeric_limits<double>::max();
  }
}
bool holds(DType dtype, double number) {
  if (!std::isfinite(number)) return true;
  if (const auto range = integer_range(dtype))
    return number >= static_cast<double>(range->min) && number <= static_cast<double>(range->max);
  return std::abs(number) <= largest_float(dtype);
}

void check_numbers(const Node& node, Findings& findings) {
  if (std::ranges::find(converts_numbers, node.op().base()) == std::end(converts_numbers)) return;
  if (node.outputs().empty() || !node.output()->is_tensor()) return;
  for (const NamedArgument& argument : node.arguments()) {
    const ArgSchema* formal = node.op().schema() ? node.op().schema()->find(argument.name) : nullptr;
    const bool is_number = argument.value.is<double>() || argument.value.is<int64_t>();
    if (!formal || formal->type != ArgType::scalar || !is_number || holds(node.output()->dtype(), node.number(argument.name))) continue;
    findings.refused.push_back(fmt::format("{} has {} for '{}', which {} does not hold", describe(node), to_string(argument.value),
                                           argument.name, name(node.output()->dtype())));
  }
}

void check_node(const Node& node, Findings& findings);

void check_graph(const Graph& graph, Findings& findings) {
  for (const Node* node : graph.node_list()) check_node(*node, findings);
}

void check_node(const Node& node, Findings& findings) {
  for (const NamedArgument& argument : node.arguments())
    if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) check_graph(*(*subgraph)->graph, findings);
  if (const pte::RuntimeKernel* called = called_by(node); called != nullptr && called->since > findings.runtime)
    findings.newer.push_back(fmt::format("{} needs {} for {}", describe(node), name(called->since), called->key));
  if (const auto primitive = pte::primitive_for_symbolic_op(node.op().name()); !primitive.empty())
    if (pte::inputs_of(*pte::find_runtime_kernel(primitive)).size() != node.arguments().size()) findings.missing.push_back(describe(node));
  if (is_delegate_call(node) || is_erased(node) || is_symbolic_op(node) || is_control_flow(node)) return;
  check_numbers(node, findings);
  if (node.is("aten.view_as_complex_copy.default")) return;  // the emitter reads the same bytes as another type
  const pte::RuntimeKernel* kernel = kernel_of(node);
  if (kernel == nullptr) {
    findings.missing.push_back(describe(node));
    if (findings.advice.empty()) findings.advice = decompose::export_advice(node);
    return;
  }
  const auto check = [&](std::string_view argument, const Value* value) {
    if (!value->is_tensor()) return true;
    const std::string taken = pte::refused_dtype(*kernel, argument, value->dtype());
    const RuntimeVersion since = pte::taken_since(*kernel, argument, value->dtype());
    if (taken.empty() && since > std::max(kernel->since, findings.runtime)) {
      findings.newer.push_back(
          fmt::format("{} needs {} for '{}' of {}", describe(node), name(since), escaped(value->name()), name(value->dtype())));
      return false;
    }
    if (taken.empty()) return true;
    findings.refused.push_back(
        fmt::format("{} has '{}' of {} where its kernel takes {}", describe(node), escaped(value->name()), name(value->dtype()), taken));
    return false;
  };
  for (const NamedArgument& argument : node.arguments())
    for (const Value* value : values_in(argument.value))
      if (!check(argument.name, value)) return;
  if (!node.outputs().empty()) check(pte::result_argument, node.output());
}

}  // namespace

bool is_delegate_call(const Node& node) {
  return node.op().base().ends_with("executorch_call_delegate") || node.op().name().ends_with("executorch_call_delegate");
}

bool is_erased(const Node& node) {
  return std::find(std::begin(erased_ops), std::end(erased_ops), node.op().name()) != std::end(erased_ops);
}

bool is_symbolic_op(const Node& node) {
  const std::string_view name = node.op().name();
  if (std::find(std::begin(symbol_sources), std::end(symbol_sources), name) != std::end(symbol_sources)) return true;
  return !pte::primitive_for_symbolic_op(name).empty();
}

const pte::RuntimeKernel* kernel_of(const Node& node) { return pte::runtime_kernel_for(node.op().name()); }

void check_kernels(const ExportedProgram& program, RuntimeVersion runtime) {
  Findings findings{runtime, {}, {}, {}, {}};
  check_graph(program.graph(), findings);
  if (!findings.missing.empty())
    throw_unsupported(fmt::format("the ExecuTorch runtime has no kernel for {} operator call{}: {}; {}", findings.missing.size(),
                                  findings.missing.size() == 1 ? "" : "s", listed(findings.missing),
                                  findings.advice.empty() ? "let a backend take them, or change the model" : findings.advice));
  if (!findings.newer.empty())
    throw_unsupported(fmt::format("ExecuTorch {} has no kernel for {} operator call{}: {}; ask for a newer runtime, or change the model",
                                  name(runtime), findings.newer.size(), findings.newer.size() == 1 ? "" : "s", listed(findings.newer)));
  if (!findings.refused.empty())
    throw_unsupported(
        fmt::format("the ExecuTorch runtime's kernels do not take these operands: {}; give them a type that is taken in the "
                    "model (export `model.float()` if it is in bfloat16), or let a backend take them",
                    listed(findings.refused)));
}

}  // namespace intaglio::edge
