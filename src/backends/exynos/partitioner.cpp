#include <algorithm>
#include <cctype>
#include <span>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/exynos.h>

#include "backends/common/candidates.h"
#include "backends/exynos/op_table.h"
#include "backends/exynos/passes/passes.h"

namespace intaglio::exynos {
namespace {

// Operators that a node of the compiler stands for as a whole.
constexpr std::string_view kept_ops[] = {"aten.hardswish.default",     "aten.max_pool2d.default",      "aten.linear.default",
                                         "aten._safe_softmax.default", "aten.upsample_bilinear2d.vec", "aten.upsample_nearest2d.vec",
                                         "aten.prelu.default",         "aten.layer_norm.default",      "aten.pixel_shuffle.default",
                                         "aten.hardsigmoid.default",   "aten.rms_norm.default",        "aten.split_with_sizes.default",
                                         "aten.split.Tensor",          "aten.chunk.default",           "aten.select.int",
                                         "aten.relu6.default"};
// Decompositions make fewer of them, where ExecuTorch's leave them as they are written.
constexpr std::string_view kept_as_written[] = {"aten.view.default", "aten.permute.default", "aten.expand.default", "aten.transpose.int"};

// Those that have no node as they are written, but parts that have.
bool is_better_in_parts(const Node& node) {
  if (node.is("aten.rms_norm.default")) return node.optional_tensor("weight") == nullptr;
  return node.is("aten.pixel_shuffle.default") && node.tensor("self")->meta().rank() != 4;
}

bool is_among(std::span<const std::string_view> ops, const Node& node) { return std::ranges::find(ops, node.op().name()) != ops.end(); }

std::optional<std::string> refusal(const common::ProgramFacts& facts, const Node& node) {
  const OpRow* row = op_row(node);
  const std::string why = row == nullptr ? "Samsung's compiler has no node for it" : refusal_of(*row, {facts, node});
  if (why.empty()) return std::nullopt;
  return fmt::format("{}: {}", node.op().base(), why);
}

}  // namespace

std::string_view name(Chipset chipset) { return chipset == Chipset::e9955 ? "E9955" : "E9965"; }

Chipset chipset_named(std::string_view word) {
  std::string upper(word);
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  for (const Chipset chipset : {Chipset::e9955, Chipset::e9965})
    if (upper == name(chipset)) return chipset;
  throw_usage(fmt::format("chipset '{}': E9955 (Exynos 2500) and E9965 (Exynos 2600) are known", escaped(word)));
}

EnnPartitioner::EnnPartitioner(EnnPartitionerOptions options) : options_(std::move(options)) {
  if (!options_.compiler.empty() && !options_.binary.empty()) throw_usage("enn_compiler and enn_binary: give one of them");
}

bool EnnPartitioner::keeps(const ExportedProgram&, const Node& node) const {
  return (is_among(kept_ops, node) && !is_better_in_parts(node)) || is_written(node, options_.compat) ||
         (options_.compat == Compat::torchao && is_among(kept_as_written, node));
}

void EnnPartitioner::transform(ExportedProgram& program) const { write_products(program, options_.compat); }

PartitionResult EnnPartitioner::partition(const ExportedProgram& program) const {
  const common::ProgramFacts facts(program);
  common::Candidates candidates = common::find_candidates(program, [&](const Node& node) { return refusal(facts, node); });
  PartitionResult result{.refusals = std::move(candidates.refusals)};
  result.partitions = common::partition_candidates(facts, candidates);
  return result;
}

}  // namespace intaglio::exynos
