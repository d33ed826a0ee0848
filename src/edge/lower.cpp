// Lowering, from top to bottom: exported program -> functional ATen -> core ATen -> edge dialect -> delegates cut out.

#include <algorithm>
#include <set>
#include <span>

#include <fmt/format.h>

#include <intaglio/edge.h>
#include <intaglio/error.h>

#include "base/thread_limit.h"
#include "decompose/decompose.h"
#include "edge/branches.h"
#include "edge/partition/cut.h"
#include "edge/passes/dim_order_ops.h"
#include "edge/passes/erase_asserts.h"
#include "edge/passes/fold_constants.h"
#include "edge/passes/fold_quantization.h"
#include "edge/passes/functionalize.h"
#include "edge/passes/inline_subgraphs.h"
#include "edge/passes/make_contiguous.h"
#include "edge/passes/merge_duplicates.h"
#include "edge/passes/promote_mixed_dtypes.h"
#include "edge/passes/restore_linear.h"
#include "edge/passes/scalars_to_tensors.h"
#include "edge/passes/share_repeated_heads.h"
#include "edge/passes/views_to_copies.h"
#include "ir/infer.h"

namespace intaglio {
namespace {

void refuse_complex(ExportedProgram& program) {
  for (const Node* node : program.graph().node_list())
    for (const Value* output : node->outputs())
      if (output->is_tensor() && is_complex(output->dtype()))
        throw_unsupported(fmt::format("{}: '{}' is {}, and no kernel takes complex numbers; compute with real and imaginary parts",
                                      describe(*node), escaped(output->name()), name(output->dtype())));
}

struct LoweringStep {
  std::string_view name;
  std::string_view why;
  void (*run)(ExportedProgram&);
};

// From the exported program to functional ATen without sub-graphs.
constexpr LoweringStep normalizing[] = {
    {"refuse_complex", "no kernel takes complex numbers, and no step after this one expects them", refuse_complex},
    {"check_metadata", "the file's claims about its tensors are checked before anything relies on them",
     [](ExportedProgram& program) { check_metadata(program.graph()); }},
    {"remove_unused_constants", "a quantized program still carries its float weights",
     [](ExportedProgram& program) { program.remove_unused_constants(); }},
    {"erase_asserts", "they would keep values alive", erase_asserts},
    {"inline_subgraphs", "everything after sees one flat graph", inline_subgraphs},
    {"functionalize", "from here on a value never changes", functionalize},
    {"make_contiguous", "kernels want one dim order; strides say nothing about values once there are no aliases", make_contiguous},
};

// From core ATen to the edge dialect.
constexpr LoweringStep edge[] = {
    {"share_repeated_heads", "while views and expands still have their own names", share_repeated_heads},
    {"restore_linear", "before transposes of weights are folded", restore_linear},
    {"scalars_to_tensors", "kernels take tensors where schemas say so", scalars_to_tensors},
    {"promote_mixed_dtypes", "kernels and delegates want operands of one type", promote_mixed_dtypes},
    {"fold_constants", "what depends on constants only is computed once", fold_constants},
    {"merge_duplicates", "decompositions repeat each other", merge_duplicates},
    {"fold_quantization", "removed copies leave dequantize and quantize beside each other", fold_quantization},
    {"views_to_copies", "a file has no aliases", views_to_copies},
    {"dim_order_ops", "the runtime's form of casts and copies", dim_order_ops},
    {"remove_unused_constants", "folding leaves originals behind", [](ExportedProgram& program) { program.remove_unused_constants(); }},
};

class Lowering {
 public:
  Lowering(ExportedProgram& program, const LowerOptions& options) : program_(program), options_(options) {}

  void run(std::span<const LoweringStep> steps) {
    for (const LoweringStep& step : steps) {
      step.run(program_);
      done(step.name);
    }
  }

  void done(std::string_view step) {
#ifndef NDEBUG
    verify(program_);
#endif
    if (options_.observe) options_.observe(step, program_);
  }

 private:
  ExportedProgram& program_;
  const LowerOptions& options_;
};

// Where a refusal is remembered until the leftovers are listed; nodes that replace the refused one inherit it.
constexpr const char* refusal_key = "refusal";

void partition(EdgeMethod& method, const Partitioner& partitioner) {
  partitioner.transform(method.program);
  PartitionResult result = partitioner.partition(method.program);
  for (const Refusal& refusal : result.refusals) refusal.node->metadata[refusal_key] = refusal.rule;
  delegate_partitions(method.program, partitioner, result.partitions, method.delegates);
}

bool is_bookkeeping(const Node& node) {
  const std::string_view space = node.op().name_space();
  return node.is(delegate_call) || node.is("higher_order.cond") || space == "_operator" || space == "math" ||
         node.op().base().starts_with("sym_");
}

void list_leftovers(ExportedProgram& program, std::vector<LeftoverOp>& leftovers) {
  for (Node* node : program.graph().node_list()) {
    auto refusal = node->metadata.find(refusal_key);
    if (!is_bookkeeping(*node))
      leftovers.push_back({std::string(node->op().name()), layer_name(*node), source_line(*node),
                           refusal == node->metadata.end() ? "" : refusal->second, node->name()});
    if (refusal != node->metadata.end()) node->metadata.erase(refusal);
  }
}

// `method` has its program; what becomes of it is added.
void lower_method(EdgeMethod& method, const PartitionerList& partitioners, const LowerOptions& options, int depth = 0);

// Branches of conditions are lowered as the program is; delegates and leftovers are counted with the method's.
void lower_branches_of(EdgeMethod& method, const PartitionerList& partitioners, const LowerOptions& options, int depth) {
  constexpr int deepest = 32;
  if (depth > deepest)
    throw_bad_input(
        fmt::format("method '{}': conditions are nested more than {} deep; write some of them as one", escaped(method.name), deepest));
  lower_branches(method.program, [&](ExportedProgram& branch) {
    EdgeMethod inner{method.name, std::move(branch), std::move(method.delegates), std::move(method.leftovers)};
    lower_method(inner, partitioners, options, depth + 1);
    branch = std::move(inner.program);
    method.delegates = std::move(inner.delegates);
    method.leftovers = std::move(inner.leftovers);
  });
}

void lower_method(EdgeMethod& method, const PartitionerList& partitioners, const LowerOptions& options, int depth) {
  Lowering lowering(method.program, options);
  lowering.run(normalizing);
  decompose(method.program, [&](const Node& node) {
    return std::any_of(partitioners.items().begin(), partitioners.items().end(),
                       [&](const auto& partitioner) { return partitioner->keeps(method.program, node); });
  });
  lowering.done("decompose");
  lowering.run(edge);
  if (!partitioners.items().empty()) {
    for (const auto& partitioner : partitioners.items()) {
      partition(method, *partitioner);
      lowering.done(fmt::format("delegate to {}", partitioner->backend_id()));
    }
    // What was kept whole for a backend that did not take it after all.
    decompose(method.program);
    lowering.done("decompose leftovers");
    lowering.run(edge);
  }
  list_leftovers(method.program, method.leftovers);
  lower_branches_of(method, partitioners, options, depth);
}

}  // namespace

EdgeProgram to_edge_transform_and_lower(ExportedProgram program, const PartitionerList& partitioners, const LowerOptions& options) {
  std::vector<std::pair<std::string, ExportedProgram>> methods;
  methods.emplace_back("forward", std::move(program));
  return to_edge_transform_and_lower(std::move(methods), partitioners, options);
}

EdgeProgram to_edge_transform_and_lower(std::vector<std::pair<std::string, ExportedProgram>> methods, const PartitionerList& partitioners,
                                        const LowerOptions& options) {
  const ThreadLimit limit(options.threads);
  std::set<std::string_view> names;
  for (const auto& [name, program] : methods)
    if (name.empty() || !names.insert(name).second) throw_usage(fmt::format("the method name '{}' is empty or used twice", escaped(name)));
  EdgeProgram lowered;
  lowered.partitioners = partitioners;
  for (auto& [name, program] : methods) {
    const std::string source = program.source;
    try {
      EdgeMethod method{std::move(name), std::move(program), {}, {}};
      lower_method(method, partitioners, options);
      lowered.methods.push_back(std::move(method));
    } catch (const Error& error) {
      if (source.empty()) throw;
      throw error.with_context(escaped(source));
    }
  }
  return lowered;
}

}  // namespace intaglio
