// Lowering, from top to bottom: exported program -> functional ATen -> core ATen -> edge dialect -> delegates cut out.
#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <span>
#include <stdexcept>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/edge.h>
#include <intaglio/error.h>

#include "base/number_text.h"
#include "base/thread_limit.h"
#include "decompose/decompose.h"
#include "decompose/recognize_linear.h"
#include "edge/branches.h"
#include "edge/partition/cut.h"
#include "edge/passes/passes.h"
#include "ir/at_node.h"
#include "ir/infer.h"

namespace intaglio {

using namespace edge;
namespace {

// Of operators without a rule of inference nothing has looked at the operands before a step reads them.
template <typename Work>
void at_step(std::string_view step, const Work& work) {
  reading_operands([&] { return fmt::format("an operator in step '{}'", step); }, work);
}

struct LoweringStep {
  std::string_view name;
  std::string_view why;
  void (*run)(ExportedProgram&);
};

// What the file says is so, and is needed.
constexpr LoweringStep checking[] = {
    {"check_metadata", "the file's claims about its tensors are checked before anything relies on them",
     [](ExportedProgram& program) {
       settle_metadata(program.graph());
       check_control_flow(program.graph());
     }},
    {"remove_unused_constants", "a quantized program still carries its float weights",
     [](ExportedProgram& program) { program.remove_unused_constants(); }},
};

// From the exported program to functional ATen without sub-graphs.
constexpr LoweringStep normalizing[] = {
    {"erase_asserts", "they would keep values alive", erase_asserts},
    {"inline_subgraphs", "everything after sees one flat graph", inline_subgraphs},
    {"lower_complex", "kernels and delegates compute with real numbers; what writes in place does so in the parts",
     decompose::lower_complex},
    {"functionalize", "from here on a value never changes", decompose::functionalize},
    {"recognize_gelu", "while its parts are still as they were written", decompose::recognize_gelu},
    {"recognize_linear", "while products and transposes are still as they were written",
     [](ExportedProgram& program) { decompose::recognize_linear(program); }},
    {"make_contiguous", "kernels want one dim order; strides say nothing about values once there are no aliases", make_contiguous},
};

// From core ATen to the edge dialect.
constexpr LoweringStep edge[] = {
    {"share_repeated_heads", "while views and expands still have their own names", share_repeated_heads},
    {"restore_linear", "before transposes of weights are folded", restore_linear},
    {"scalars_to_tensors", "kernels take tensors where schemas say so", scalars_to_tensors},
    {"promote_mixed_dtypes", "kernels and delegates want operands of one type", promote_mixed_dtypes},
    {"sum_in_float32", "kernels sum in the type of their operands", sum_in_float32},
    {"settle_masks", "before constants are folded: what it settles is constant", settle_masks},
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
      at_step(step.name, [&] { program_.add_at_once([&] { step.run(program_); }); });
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

bool is_bookkeeping(const Node& node) {
  const std::string_view space = node.op().name_space();
  return node.is(delegate_call) || is_control_flow(node) || space == "_operator" || space == "math" || node.op().base().starts_with("sym_");
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

// Code books that no backend keeps are looked up by plain operators. What they cost then is said: they were chosen for their size.
void warn_of_code_books(const ExportedProgram& program, const std::function<bool(const Node&)>& keeps, const WarningSink& warn) {
  const Node* first = nullptr;
  size_t layers = 0;
  uint64_t weights = 0, bits = 0, floats = 0;
  for (const Node* node : program.graph().node_list()) {
    if (!node->is("quant.dequantize_codebook.default") || keeps(*node) || !node->tensor("codes")->meta().is_static()) continue;
    const auto count = static_cast<uint64_t>(element_count(node->tensor("codes")->meta().static_sizes()));
    if (layers++ == 0) first = node;
    weights += count;
    bits += count * static_cast<uint64_t>(node->integer("nbits"));
    floats += count * item_size(node->output()->dtype());
  }
  if (first == nullptr || !warn) return;
  warn(Warning::at(
      describe(*first),
      fmt::format("no kernel reads code books, here{}: the file has a byte for each weight, {} where packed codes are {}, and every "
                  "call looks up {} of floats; choose integers or a backend with code books",
                  layers == 1 ? "" : fmt::format(" and in {} layers more", layers - 1), bytes_text(weights), bytes_text((bits + 7) / 8),
                  bytes_text(floats)),
      true));
}

// The program of a method, or of a body of control flow in it, which is lowered as a method is.
struct Body {
  std::string method;
  int depth = 0;  // conditions and loops around it
  Branch branch;
  std::vector<Delegate> delegates;  // of this body and, once it is finished, of the branches in it
  std::vector<LeftoverOp> leftovers;
  std::vector<Body> branches;

  ExportedProgram& program() { return branch.program; }
};

// Errors of `work` name the file.
template <typename Work>
void within_file(const std::string& file, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (file.empty()) throw;
    throw error.with_context(escaped(file));
  }
}

// Calls `step(body)` for the body and those in it, outer ones first.
template <typename Step>
void for_each_body(Body& body, const Step& step) {
  within_file(body.program().files(), [&] { step(body); });
  for (Body& branch : body.branches) for_each_body(branch, step);
}

// What a backend takes of all bodies.
class Delegation {
 public:
  Delegation(const Partitioner& partitioner, const LowerOptions& options) : partitioner_(partitioner), options_(options) {}

  void partition(Body& body) {
    partitioner_.transform(body.program());
    PartitionResult result = partitioner_.partition(body.program());
    for (const Refusal& refusal : result.refusals) refusal.node->metadata[refusal_key] = refusal.rule;
    for (const Refusal& warning : result.warnings)
      if (options_.warn) options_.warn(Warning::at(describe(*warning.node), warning.rule, true));
    arrange_partitions(body.program(), result.partitions);
    const WholeProgram whole(body.program());
    for (const Partition& partition : result.partitions)
      cut_out_.push_back({body.method, taken_[body.method]++, extract_partition(body.program(), whole, partition)});
    partitions_.push_back(std::move(result.partitions));
  }

  void preprocess() {
    std::vector<ExportedProgram> programs;
    for (const MethodPartition& partition : cut_out_) programs.push_back(partition.program.clone());
    delegates_ = partitioner_.preprocess(std::move(cut_out_));
    if (delegates_.size() != programs.size())
      throw_bug(fmt::format("{} made {} delegates of {} partitions", partitioner_.backend_id(), delegates_.size(), programs.size()));
    for (size_t i = 0; i < programs.size(); ++i)
      if (!delegates_[i].program) delegates_[i].program = std::make_unique<ExportedProgram>(std::move(programs[i]));
  }

  // In the order of `partition`.
  void cut(Body& body) {
    drop_owned_results(body.program(), partitions_[next_body_]);
    const WholeProgram whole(body.program());
    for (const Partition& partition : partitions_[next_body_]) {
      cut_partition(body.program(), whole, partition, body.delegates.size());
      body.delegates.push_back(std::move(delegates_[next_delegate_++]));
    }
    if (!partitions_[next_body_++].empty()) body.program().remove_unused_constants();
  }

 private:
  const Partitioner& partitioner_;
  const LowerOptions& options_;
  std::vector<std::vector<Partition>> partitions_;  // by body
  std::map<std::string, size_t> taken_;             // by method
  std::vector<MethodPartition> cut_out_;
  std::vector<Delegate> delegates_;
  size_t next_body_ = 0;
  size_t next_delegate_ = 0;
};

class ProgramLowering {
 public:
  ProgramLowering(const PartitionerList& partitioners, const LowerOptions& options)
      : partitioners_(partitioners.items()), options_(options) {}

  std::vector<EdgeMethod> run(std::vector<std::pair<std::string, ExportedProgram>> methods) {
    for (auto& [name, program] : methods) bodies_.push_back({std::move(name), 0, {nullptr, std::move(program), {}}, {}, {}, {}});
    for (Body& body : bodies_) for_each_body(body, [&](Body& each) { to_edge_dialect(each); });
    for (const auto& partitioner : partitioners_) delegate_to(*partitioner);
    std::vector<EdgeMethod> lowered;
    for (Body& body : bodies_) {
      for_each_body(body, [&](Body& each) { finish(each); });
      within_file(body.program().files(), [&] { put_branches_of(body); });
      lowered.push_back({std::move(body.method), std::move(body.program()), std::move(body.delegates), std::move(body.leftovers)});
    }
    return lowered;
  }

 private:
  // For as long as the program writes to the same inputs.
  std::function<bool(const Node&)> keeper_of(const ExportedProgram& program) const {
    std::vector<std::function<bool(const Node&)>> keepers;
    for (const auto& partitioner : partitioners_) keepers.push_back(partitioner->keeper(program));
    return [keepers = std::move(keepers)](const Node& node) {
      return std::ranges::any_of(keepers, [&](const auto& keeps) { return keeps(node); });
    };
  }

  void to_edge_dialect(Body& body) {
    Lowering lowering(body.program(), options_);
    lowering.run(checking);
    // What they write is seen by everything after.
    expand_llama_ops(body.program(), keeper_of(body.program()));
    lowering.done("expand_llama_ops");
    lowering.run(normalizing);
    const auto keeps = keeper_of(body.program());
    recognize_caches(body.program(), keeps);  // while attention is one operator
    lowering.done("recognize_caches");
    warn_of_code_books(body.program(), keeps, options_.warn);
    decompose::decompose(
        body.program(), [&](const Node& node) { return is_quantized_table(body.program(), node) || keeps(node); },
        decompose::Claims::checked);
    lowering.done("decompose");
    lowering.run(edge);
    constexpr int deepest = 32;
    if (body.depth > deepest)
      throw_bad_input(fmt::format("method '{}': conditions and loops are nested more than {} deep; write some of them as one",
                                  escaped(body.method), deepest));
    // Only now: what the program knows of the operands, those inside know too.
    for (Branch& branch : take_branches(body.program()))
      body.branches.push_back({body.method, body.depth + 1, std::move(branch), {}, {}, {}});
  }

  void delegate_to(const Partitioner& partitioner) {
    Delegation delegation(partitioner, options_);
    const std::string step = fmt::format("delegate to {}", partitioner.backend_id());
    for (Body& body : bodies_) for_each_body(body, [&](Body& each) { at_step(step, [&] { delegation.partition(each); }); });
    within_file(bodies_.size() == 1 ? bodies_[0].program().files() : "", [&] { at_step(step, [&] { delegation.preprocess(); }); });
    for (Body& body : bodies_)
      for_each_body(body, [&](Body& each) {
        delegation.cut(each);
        Lowering(each.program(), options_).done(step);
      });
  }

  void finish(Body& body) {
    Lowering lowering(body.program(), options_);
    fuse_quantized_embeddings(body.program());
    dim_order_ops(body.program());  // casts of indices
    lowering.done("fuse_quantized_embeddings");
    if (!partitioners_.empty()) {
      // What was kept whole for a backend that did not take it after all.
      expand_llama_ops(body.program());
      warn_of_code_books(body.program(), [](const Node&) { return false; }, options_.warn);
      decompose::decompose(body.program());
      lowering.done("decompose leftovers");
      lowering.run(edge);
    }
    cover_zero_points(body.program());
    lowering.done("cover_zero_points");
    list_leftovers(body.program(), body.leftovers);
  }

  // Delegates and leftovers of branches are counted with the method's.
  void put_branches_of(Body& body) {
    std::unordered_map<const Node*, std::vector<Body*>> sides_of;
    for (Body& branch : body.branches) sides_of[branch.branch.owner].push_back(&branch);
    for (Node* node : body.program().graph().node_list()) {
      const auto sides = sides_of.find(node);
      if (sides == sides_of.end()) continue;
      std::vector<const Branch*> lowered;
      for (Body* side : sides->second) {
        put_branches_of(*side);
        renumber_delegates(side->program().graph(), body.delegates.size());
        std::ranges::move(side->delegates, std::back_inserter(body.delegates));
        std::ranges::move(side->leftovers, std::back_inserter(body.leftovers));
        lowered.push_back(&side->branch);
      }
      put_branches(body.program(), *node, lowered);
    }
    if (!body.branches.empty()) body.program().remove_unused_constants();  // those that were operands
  }

  static void renumber_delegates(Graph& graph, size_t before) {
    for_each_graph(graph, [&](Graph& each) {
      for (Node* node : each.node_list())
        if (node->is(delegate_call))
          each.set_argument(*node, "delegate", *node->find("delegate")->get_if<int64_t>() + static_cast<int64_t>(before));
    });
  }

  const std::vector<std::shared_ptr<Partitioner>>& partitioners_;
  const LowerOptions& options_;
  std::vector<Body> bodies_;
};

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
  lowered.methods = ProgramLowering(partitioners, options).run(std::move(methods));
  return lowered;
}

}  // namespace intaglio
