// nn.TransformerEncoderLayer, which PyTorch calls as one op where no gradients are wanted.
#include "decompose/tables.h"

namespace intaglio::decompose {
namespace {

// Where attention may look, as a boolean that broadcasts over [batch, heads, queries, keys]. The op masks out what is not 0,
// whatever the type: minus infinity as well as true.
Argument attention_mask(GraphBuilder& b, const Node& n) {
  Value* mask = n.optional_tensor("mask");
  if (!mask) return {};
  enum Kind : int64_t { of_queries_and_keys, of_padded_keys, of_heads };
  if (n.optional_integer("mask_type").value_or(of_queries_and_keys) == of_padded_keys) mask = b.unsqueeze(b.unsqueeze(mask, 1), 1);
  return mask->dtype() == DType::boolean ? b("aten.logical_not.default", mask) : b("aten.eq.Scalar", mask, 0);
}

Value* self_attention(GraphBuilder& b, const Node& n, Value* x) {
  const int64_t width = n.integer("embed_dim"), heads = n.integer("num_heads");
  if (x->meta().rank() != 3 || heads <= 0 || width <= 0 || width % heads != 0) refuse(n, "an encoder layer of three-dimensional tensors");
  const SymSizes sizes = x->sizes();
  Value* projected = b("aten.linear.default", x, n.tensor("qkv_weight"), n.tensor("qkv_bias"));
  std::vector<Value*> parts;
  for (int64_t i = 0; i < 3; ++i) {
    Value* part = b.slice(projected, 2, i * width, (i + 1) * width);
    parts.push_back(b.permute(b.view(part, {sizes[0], sizes[1], heads, width / heads}), {0, 2, 1, 3}));
  }
  Value* attended = b("aten.scaled_dot_product_attention.default", parts[0], parts[1], parts[2], attention_mask(b, n));
  attended = b.view(b.permute(attended, {0, 2, 1, 3}), sizes);
  return b("aten.linear.default", attended, n.tensor("proj_weight"), n.tensor("proj_bias"));
}

Values encoder_layer(GraphBuilder& b, const Node& n) {
  const auto normalized = [&](Value* x, std::string_view weight, std::string_view bias) {
    return b("aten.layer_norm.default", x, Ints{n.integer("embed_dim")}, n.tensor(weight), n.tensor(bias), n.number("eps"));
  };
  const auto first = [&](Value* x) { return normalized(x, "norm_weight_1", "norm_bias_1"); };
  const auto second = [&](Value* x) { return normalized(x, "norm_weight_2", "norm_bias_2"); };
  const auto feed_forward = [&](Value* x) {
    x = b("aten.linear.default", x, n.tensor("ffn_weight_1"), n.tensor("ffn_bias_1"));
    x = b(n.boolean("use_gelu") ? "aten.gelu.default" : "aten.relu.default", x);
    return b("aten.linear.default", x, n.tensor("ffn_weight_2"), n.tensor("ffn_bias_2"));
  };
  Value* x = n.tensor("src");
  const bool before = n.boolean("norm_first");
  x = b("aten.add.Tensor", self_attention(b, n, before ? first(x) : x), x);
  if (!before) x = first(x);
  x = b("aten.add.Tensor", feed_forward(before ? second(x) : x), x);
  return {before ? x : second(x)};
}

const DecompositionRow encoder_layer_rows[] = {
    {encoder_layer, {"aten._transformer_encoder_layer_fwd.default"}},
};

}  // namespace

std::span<const DecompositionRow> encoder_layer_decompositions() { return encoder_layer_rows; }

}  // namespace intaglio::decompose
