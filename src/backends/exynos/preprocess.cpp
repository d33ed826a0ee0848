#include "backends/exynos/preprocess.h"

#include <array>
#include <bit>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "backends/common/rewrites.h"
#include "backends/exynos/handover/compiler.h"
#include "backends/exynos/handover/graph_bytes.h"
#include "backends/exynos/make_graph.h"
#include "backends/exynos/passes/passes.h"
#include "pt2e/passes.h"

namespace intaglio::exynos {
namespace {

constexpr common::RewriteStep rewrites[] = {
    {"remove_copies", "first: they would keep layers and activations apart", remove_copies},
    {"fold_batch_norm", "while a convolution of one dimension is right before it",
     [](ExportedProgram& p) { pt2e::fold_batch_norm(p, Compat::intaglio); }},
    {"conv1d_to_conv2d", "the compiler has no other", conv1d_to_conv2d},
    {"compose_rms_norm", "while its parts are as they were written", compose_rms_norm},
    {"replace_scalars", "its nodes take tensors", replace_scalars},
};

}  // namespace

EnnGraph lower_partition(ExportedProgram& partition, Chipset chipset, Compat compat) {
  common::rewrite(partition, rewrites);
  // What it hides would still count a little: by default the sum is in float, as the model has it.
  if (compat == Compat::torchao) fit_masks(partition);
  return make_graph(partition, chipset, compat);
}

// Identifier EETO; a table whose first field is the chipset. The second one, perf_mode, is its default and left out.
std::vector<std::byte> compile_options(Chipset chipset) {
  std::array<uint8_t, 24> bytes = {0x10, 0, 0, 0, 'E', 'E', 'T', 'O', 0, 0, 6, 0, 8, 0, 4, 0, 6, 0, 0, 0};
  for (size_t i = 0; i < 4; ++i) bytes[20 + i] = static_cast<uint8_t>(static_cast<uint32_t>(chipset) >> (8 * i));
  const auto raw = std::as_bytes(std::span(bytes));
  return {raw.begin(), raw.end()};
}

std::vector<Delegate> EnnPartitioner::preprocess(std::vector<MethodPartition> partitions) const {
  if (!options_.binary.empty() && partitions.size() > 1)
    throw_unsupported(fmt::format("{}: is one compiled graph, and the program has {}; give a compiler that is asked for each",
                                  escaped(options_.binary), partitions.size()));
  std::vector<Delegate> delegates;
  for (MethodPartition& partition : partitions) {
    const EnnGraph graph = lower_partition(partition.program, options_.chipset, options_.compat);
    Delegate delegate{.backend_id = std::string(delegate_id)};
    delegate.compile_specs = {{"enn_compile_options", compile_options(options_.chipset)}};
    if (!options_.binary.empty()) delegate.payload = compiled_file(options_.binary);
    else if (!options_.compiler.empty()) delegate.payload = compile(graph, options_.compiler);
    else {
      delegate.backend_id = hand_over_id;
      delegate.payload = write_graph(graph);
      delegate.no_program =
          "Samsung's compiler makes the delegates of a .pte, and none is at hand: write the hand-over with `-o X.enn`, or give "
          "`--set enn_compiler=LIBRARY` or `--set enn_binary=FILE`";
    }
    delegate.program = std::make_unique<ExportedProgram>(std::move(partition.program));
    delegates.push_back(std::move(delegate));
  }
  return delegates;
}

}  // namespace intaglio::exynos
