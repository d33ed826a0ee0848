#include "decompose/advice.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace intaglio::decompose {
namespace {

// Of PyTorch, torchao and ExecuTorch; whatever else registers ops is a library of its own.
constexpr std::string_view known_libraries[] = {"aten",      "prims", "quantized_decomposed", "torchao",    "dim_order_ops", "export",
                                                "_operator", "math",  "higher_order",         "torch",      "quant",         "builtins",
                                                "prim",      "et_vk", "executorch_prim",      "torchvision"};

}  // namespace

std::string export_advice(const Node& node) {
  const std::string_view library = node.op().name_space();
  if (node.op().base().find("grouped_mm") != std::string_view::npos)
    return "it multiplies by the weights of several experts at once; export the model after "
           "`model.set_experts_implementation(\"batched_mm\")`";
  if (std::ranges::find(known_libraries, library) == std::end(known_libraries))
    return fmt::format(
        "it is an operator of the library '{}', which the exporter cannot look into; export the model with that layer in "
        "PyTorch's own operators",
        escaped(library));
  return "";
}

}  // namespace intaglio::decompose
