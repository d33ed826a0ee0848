

#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

constexpr const char* training_mode = "the model was exported in training mode; call eval() before the export";

Argument optional(const Node& n, std::string_view argument) {
  Value* value = n.optional_tensor(argument);
  return value ? Argument(value) : Argument();
}

// Statistics of each sample and channel: batch and channels become the channels of one sample.
Value* instance_statistics(GraphBuilder& b, const Node& n, Value* x) {
  const SymSizes sizes = x->sizes();
  const bool one_sample = sizes[0].is_static() && sizes[0].value() == 1;
  SymSizes merged = sizes;
  merged[0] = 1;
  merged[1] = size_quotient({sizes[0], sizes[1]}, {});
  Value* flat = b.view(x, merged);
  const std::vector<Argument> affine = {optional(n, "weight"), optional(n, "bias")};
  const bool inside = one_sample;
  Value* normal = b.call("aten._native_batch_norm_legit.no_stats", {flat, inside ? affine[0] : Argument(), inside ? affine[1] : Argument(),
                                                                    true, n.number("momentum"), n.number("eps")});
  normal = b.view(normal, sizes);
  if (inside) return normal;
  SymSizes per_channel(sizes.size(), 1);
  per_channel[1] = sizes[1];
  if (Value* weight = n.optional_tensor("weight")) normal = b("aten.mul.Tensor", normal, b.view(weight, per_channel));
  if (Value* bias = n.optional_tensor("bias")) normal = b("aten.add.Tensor", normal, b.view(bias, per_channel));
  return normal;
}

Node& running_statistics_node(GraphBuilder& b, const Node& n) {
  return b.node("aten._native_batch_norm_legit_no_training.default",
                {n.tensor("input"), optional(n, "weight"), optional(n, "bias"), n.tensor("running_mean"), n.tensor("running_var"),
                 n.number("momentum"), n.number("eps")});
}
Value* running_statistics(GraphBuilder& b, const Node& n) { return running_statistics_node(b, n).output(); }

Values batch_norm(GraphBuilder& b, const Node& n) {
  if (!n.boolean("training")) return {running_statistics(b, n)};
  if (n.optional_tensor("running_mean")) refuse(n, training_mode);
  return {b.call("aten._native_batch_norm_legit.no_stats",
                 {n.tensor("input"), optional(n, "weight"), optional(n, "bias"), true, n.number("momentum"), n.number("eps")})};
}

Values instance_norm(GraphBuilder& b, const Node& n) {
  if (!n.boolean("use_input_stats")) return {running_statistics(b, n)};
  return {instance_statistics(b, n, n.tensor("input"))};
}

// The form whose other results are the statistics.
Values native_batch_norm(GraphBuilder& b, const Node& n) {
  const bool functional = n.op().base().ends_with("_functional");
  if (n.boolean("training") && n.optional_tensor("running_mean")) refuse(n, training_mode);
  if (n.boolean("training"))
    return b
        .node("aten._native_batch_norm_legit.no_stats",
              {n.tensor("input"), optional(n, "weight"), optional(n, "bias"), true, n.number("momentum"), n.number("eps")})
        .outputs();
  Values results = running_statistics_node(b, n).outputs();
  if (functional) results.insert(results.end(), {n.tensor("running_mean"), n.tensor("running_var")});
  return results;
}

Values layer_norm(GraphBuilder& b, const Node& n) {
  return {b.call("aten.native_layer_norm.default",
                 {n.tensor("input"), n.argument("normalized_shape"), optional(n, "weight"), optional(n, "bias"), n.number("eps")})};
}

Values group_norm(GraphBuilder& b, const Node& n) {
  Value* x = n.tensor("input");
  const SymSizes& sizes = x->sizes();
  if (sizes.size() < 2) refuse(n, "the input has no dimension of channels");
  const SymInt area = size_product(sizes.all_but_first(2));
  if (!sizes[1].is_static() || !area.is_static()) refuse(n, "channels and image size must be fixed");
  return {b.call("aten.native_group_norm.default", {x, optional(n, "weight"), optional(n, "bias"), b.size(x, 0), sizes[1].value(),
                                                    area.value(), n.integer("num_groups"), n.number("eps")})};
}

// x / sqrt(mean(x^2) + eps), in float32 for half precision.
Values rms_norm(GraphBuilder& b, const Node& n) {
  Value* input = n.tensor("input");
  const bool is_half = input->dtype() == DType::float16 || input->dtype() == DType::bfloat16;
  Value* x = is_half ? b.cast(input, DType::float32) : input;
  Ints dims;
  const auto normalized = symbolic_sizes(n.argument("normalized_shape"));
  const size_t count = normalized ? normalized->size() : 1;
  for (size_t i = 0; i < count; ++i) dims.push_back(-static_cast<int64_t>(count - i));
  const double eps = n.optional_number("eps").value_or(x->dtype() == DType::float64 ? 0x1p-52 : 0x1p-23);
  Value* mean = b("aten.mean.dim", b("aten.mul.Tensor", x, x), dims, true);
  Value* normal = b("aten.mul.Tensor", x, b("aten.rsqrt.default", b("aten.add.Tensor", mean, eps)));
  if (Value* weight = n.optional_tensor("weight")) normal = b("aten.mul.Tensor", normal, weight);
  return {b.cast(normal, input->dtype())};
}

const DecompositionRow normalization_rows[] = {
    {batch_norm, {"aten.batch_norm.default"}},
    {instance_norm, {"aten.instance_norm.default"}},
    {layer_norm, {"aten.layer_norm.default"}},
    {group_norm, {"aten.group_norm.default"}},
    {rms_norm, {"aten.rms_norm.default"}},
    {native_batch_norm,
     {"aten.native_batch_norm.default", "aten._native_batch_norm_legit_functional.default", "aten._native_batch_norm_legit.default"}},
};

}  // namespace

std::span<const DecompositionRow> normalization_decompositions() { return normalization_rows; }

}  // namespace intaglio::decompose
