#include <cmath>

#include "backends/coreml/lower/rows.h"

namespace intaglio::coreml::rows {
namespace {

// What each of `queries` rows sees of `keys` ones: those that are not behind it.
Literal causal_mask(int64_t queries, int64_t keys) {
  Tensor mask = Tensor::zeros(DType::boolean, {queries, keys});
  bool* sees = mask.mutable_data<bool>();
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t j = 0; j < keys; ++j) sees[i * keys + j] = j <= i;
  return literal(std::move(mask));
}

}  // namespace

// The operation scales by the root of the heads' size.
void attention(Lowering& l, const Node& node, std::string_view mil) {
  NamedType query = l.operand(node, "query");
  const NamedType key = l.operand(node, "key");
  const double root = std::sqrt(static_cast<double>(query.type.dims.back()));
  if (const auto scale = node.optional_number("scale"); scale && std::abs(*scale * root - 1) > 1e-6)
    query = l.op("mul", {{"x", query}, {"y", l.number(*scale * root, query.type.type)}}, query.type);
  Lowering::Parameters parameters = {{"query", query}, {"key", key}, {"value", l.operand(node, "value")}};
  if (const Value* mask = node.optional_tensor("attn_mask")) parameters.emplace_back("attn_mask", l.operand(mask));
  if (node.boolean("is_causal"))
    parameters.emplace_back("attn_mask", causal_mask(query.type.dims[query.type.dims.size() - 2], key.type.dims[key.type.dims.size() - 2]));
  l.finish(node, mil, std::move(parameters));
}

}  // namespace intaglio::coreml::rows
