// The `.test` files beside the passes, and graphs.test: programs after the passes that a case names, and the graphs that they become.
#include "backends/exynos/passes/passes.h"
#include "backends/exynos/make_graph.h"
#include "backends/exynos/preprocess.h"
#include "ir/parser.h"
#include "testing/text_cases.h"

namespace intaglio::exynos {
namespace {

std::string graph_of(const std::vector<std::string>& steps, const std::string& input) {
  ExportedProgram program = parse_program(input);
  const Compat compat = steps.at(0).find("torchao") == std::string::npos ? Compat::intaglio : Compat::torchao;
  return to_string(lower_partition(program, Chipset::e9955, compat));
}

const bool registered =
    test::register_text_cases(
        "ExynosPasses", "src/backends/exynos/passes",
        test::program_passes({{"remove_copies", remove_copies},
                              {"conv1d_to_conv2d", conv1d_to_conv2d},
                              {"compose_rms_norm", compose_rms_norm},
                              {"fit_masks", fit_masks},
                              {"write_products", [](ExportedProgram& p) { write_products(p, Compat::intaglio); }},
                              {"write_products_as_torchao", [](ExportedProgram& p) { write_products(p, Compat::torchao); }},
                              {"replace_scalars", replace_scalars}})) &&
    test::register_text_cases("ExynosGraphs", "src/backends/exynos/graphs.test", graph_of);

}  // namespace
}  // namespace intaglio::exynos
