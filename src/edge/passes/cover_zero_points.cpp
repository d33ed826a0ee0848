#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/integer_range.h"
#include "edge/passes/passes.h"

namespace intaglio::edge {
namespace {

// The kernels assert it of each zero point; of one for the whole tensor they do not.
constexpr std::string_view asserting[] = {"quantized_decomposed.dequantize_per_channel.default",
                                          "quantized_decomposed.dequantize_per_token.default"};

void cover(ExportedProgram& program, Node& node) {
  const Value* given = node.find("zero_points") ? node.optional_tensor("zero_points") : nullptr;
  const Tensor* constant = given ? program.constant(given) : nullptr;
  if (constant == nullptr || constant->numel() == 0) return;
  const Tensor wide = converted(*constant, DType::int64).contiguous();
  const auto [least, greatest] = std::ranges::minmax(wide.span<int64_t>());
  const auto limits = integer_range(node.tensor("input")->dtype());
  if (!limits) return;
  for (const int64_t zero_point : {least, greatest})
    if (!limits->holds(zero_point))
      throw_unsupported(
          fmt::format("{}: the runtime's kernel takes no zero point {}, which {} does not hold; quantize with zero points that it holds",
                      describe(node), zero_point, name(node.tensor("input")->dtype())));
  if (least < node.integer("quant_min")) program.graph().set_argument(node, "quant_min", least);
  if (greatest > node.integer("quant_max")) program.graph().set_argument(node, "quant_max", greatest);
}

}  // namespace

void cover_zero_points(ExportedProgram& program) {
  for (Node* node : program.graph().node_list())
    if (std::ranges::find(asserting, node->op().name()) != std::end(asserting)) cover(program, *node);
}

}  // namespace intaglio::edge
