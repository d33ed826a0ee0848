#include "qdq/patterns.h"

#include <algorithm>
#include <array>
#include <limits>

namespace intaglio::qdq {

Node* dequantize_of(const Value* value) {
  Node* producer = value->producer();
  return producer && is_tensor_or_channel_dequantize(*producer) ? producer : nullptr;
}

namespace {
// Backends copy dequantize nodes, one for each reader.
bool are_one_value(const Value* a, const Value* b) {
  if (a == b) return true;
  const Node *x = dequantize_of(a), *y = dequantize_of(b);
  return x && y && x->op() == y->op() && x->inputs() == y->inputs() && x->arguments().size() == y->arguments().size();
}

bool is_bound(const Node& choose, std::string_view name, int64_t bound) {
  return choose.argument(name).is_none() || choose.number(name) == static_cast<double>(bound);
}

// Of torchao's many forms the one that has a range for each row, all of int8's.
bool is_per_token(const Node& choose, const Node& quantize, const Node& dequantize) {
  const SymSizes& sizes = choose.tensor("input")->sizes();
  if (sizes.empty() || !sizes.back().is_static()) return false;
  std::vector<int64_t> row(sizes.size(), 1);
  row.back() = sizes.back().value();
  const auto is_row_by_row = [&](const Node* node) { return node->integers("block_size") == row; };
  return choose.string("mapping_type") == "ASYMMETRIC" && is_bound(choose, "quant_min", -128) && is_bound(choose, "quant_max", 127) &&
         std::ranges::all_of(std::array{&choose, &quantize, &dequantize}, is_row_by_row);
}
}  // namespace

std::optional<Dequantized> dequantized(const ExportedProgram& program, const Value* value) {
  Node* node = dequantize_of(value);
  if (!node) return std::nullopt;
  std::optional<QuantParams> params = params_of(program, *node);
  if (!params) return std::nullopt;
  return Dequantized{node, node->tensor("input"), std::move(*params)};
}

static std::optional<Dynamic> dynamic_with(const Value* value, Variant chosen) {
  Node* dequantize = value->producer();
  const OpRow* row = dequantize ? find(*dequantize) : nullptr;
  constexpr Granularity found_at_run_time[] = {Granularity::tensor, Granularity::token, Granularity::block};
  if (!row || row->role != Role::dequantize || std::ranges::find(found_at_run_time, row->granularity) == std::end(found_at_run_time))
    return std::nullopt;
  if (chosen == Variant::symmetric && row->granularity == Granularity::block) return std::nullopt;  // plain names both
  // Scale and zero point stand at the same places in all of these schemas.
  const std::vector<Value*> read = dequantize->inputs();
  if (read.size() != 3) return std::nullopt;
  Node *quantize = read[0]->producer(), *choose = read[1]->producer();
  const auto is_a = [&](const Node* node, Role role, Variant variant) { return node && node->is(op_of(role, row->granularity, variant)); };
  if (!is_a(quantize, Role::quantize, Variant::plain) || !is_a(choose, Role::choose, chosen)) return std::nullopt;
  if (read[1] != choose->output(0) || read[2] != choose->output(1)) return std::nullopt;
  Value* source = choose->tensor("input");
  const std::vector<Value*> quantized = quantize->inputs();
  if (quantized.size() != 3 || !are_one_value(quantized[0], source) || quantized[1] != read[1] || quantized[2] != read[2])
    return std::nullopt;
  const bool in_blocks = row->granularity == Granularity::block;
  if (in_blocks && !is_per_token(*choose, *quantize, *dequantize)) return std::nullopt;
  return Dynamic{source, choose, quantize, dequantize, in_blocks || row->granularity == Granularity::token, read[0]->dtype()};
}

std::optional<Dynamic> dynamic_of(const Value* value) { return dynamic_with(value, Variant::plain); }

std::optional<Dynamic> any_dynamic_of(const Value* value) {
  const auto dynamic = dynamic_of(value);
  return dynamic ? dynamic : dynamic_with(value, Variant::symmetric);
}

bool has_one_reader(const Dynamic& dynamic) {
  const auto is_own = [&](const Node* user) { return user == dynamic.quantize || user == dynamic.dequantize; };
  for (const Value* value : dynamic.choose->outputs())
    if (!std::ranges::all_of(value->users(), is_own)) return false;
  return dynamic.quantize->output()->has_one_user() && dynamic.dequantize->output()->has_one_user();
}

std::optional<Chain> find_chain(const ExportedProgram& program, Node& op, const std::function<bool(const Node& activation)>& fusable) {
  Chain chain{.op = &op};
  const Value* result = op.output();
  if (fusable && result->has_one_user() && fusable(*result->users().front())) {
    chain.activation = result->users().front();
    result = chain.activation->output();
  }
  for (Node* user : result->users()) {
    if (!is_tensor_or_channel_quantize(*user) || user->tensor("input") != result) return std::nullopt;
    std::optional<QuantParams> params = params_of(program, *user);
    if (!params || !params->is_per_tensor()) return std::nullopt;
    if (!chain.quantizes.empty() && !(*params == chain.output)) return std::nullopt;
    chain.output = std::move(*params);
    chain.quantizes.push_back(user);
  }
  if (chain.quantizes.empty()) return std::nullopt;
  return chain;
}

std::optional<Bounds> clamp_bounds(const Node& node) {
  if (node.op().name_space() != "aten" || node.op().overload() != "default") return std::nullopt;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::string_view base = node.op().base();
  if (base.ends_with('_')) base.remove_suffix(1);
  const auto bounds = [](double min, double max) { return Bounds{static_cast<float>(min), static_cast<float>(max)}; };
  if (base == "relu") return bounds(0, infinity);
  if (base == "relu6") return bounds(0, 6);
  if (base == "hardtanh") return bounds(node.number("min_val"), node.number("max_val"));
  if (base == "clamp") return bounds(node.optional_number("min").value_or(-infinity), node.optional_number("max").value_or(infinity));
  return std::nullopt;
}

}  // namespace intaglio::qdq
