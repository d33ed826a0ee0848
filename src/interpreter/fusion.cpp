#include "interpreter/fusion.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace intaglio::interp {
namespace {

constexpr std::array heads = {"aten.conv1d.default", "aten.conv1d.padding", "aten.conv2d.default", "aten.conv2d.padding",
                              "aten.conv3d.default", "aten.conv3d.padding", "aten.linear.default", "aten.convolution.default"};
constexpr std::array batch_norms = {"aten.batch_norm.default", "aten._native_batch_norm_legit_no_training.default"};

template <size_t N>
bool is_one_of(const Node& node, const std::array<const char*, N>& names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return node.is(name); });
}

std::optional<double> literal_number(const Node& node, std::string_view name) {
  const Argument argument = node.argument(name);
  if (const auto* integer = argument.get_if<int64_t>()) return static_cast<double>(*integer);
  if (const auto* floating = argument.get_if<double>()) return *floating;
  return std::nullopt;
}

// The only user of a value nobody else sees.
const Node* sole_user(const Value* value, const FusionQuery& query) {
  if (query.is_observed(value) || !value->has_one_user()) return nullptr;
  const Node* user = value->users().front();
  return user->outputs().empty() ? nullptr : user;  // the output node has no outputs of its own
}

bool fold_batch_norm(const Node& node, const Value* input, const FusionQuery& query, Epilogue& epilogue) {
  if (!is_one_of(node, batch_norms) || node.tensor("input") != input) return false;
  if (node.find("training") != nullptr && node.boolean("training")) return false;
  for (size_t i = 1; i < node.outputs().size(); ++i)
    if (!node.output(i)->users().empty() || query.is_observed(node.output(i))) return false;
  const auto read = [&](const char* name, float otherwise, size_t count) -> std::optional<std::vector<float>> {
    const Value* value = node.optional_tensor(name);
    if (value == nullptr) return std::vector<float>(count, otherwise);
    const Tensor* tensor = query.constant(value);
    if (tensor == nullptr || tensor->dtype() != DType::float32 || tensor->rank() != 1) return std::nullopt;
    const Tensor dense = tensor->contiguous();
    return std::vector<float>(dense.span<float>().begin(), dense.span<float>().end());
  };
  const auto variance = read("running_var", 1, 0);
  if (!variance || variance->empty()) return false;
  const size_t channels = variance->size();
  const auto mean = read("running_mean", 0, channels), weight = read("weight", 1, channels), bias = read("bias", 0, channels);
  if (!mean || !weight || !bias || mean->size() != channels || weight->size() != channels || bias->size() != channels) return false;
  const double eps = node.number("eps");
  for (size_t c = 0; c < channels; ++c) {
    const float scale = static_cast<float>((*weight)[c] / std::sqrt((*variance)[c] + eps));
    epilogue.scale.push_back(scale);
    epilogue.shift.push_back((*bias)[c] - (*mean)[c] * scale);
  }
  return true;
}

struct BoundedOp {
  const char* op;
  const char *low, *high;  // argument names, null: the constants below
  double low_value, high_value;
};
constexpr double positive_infinity = std::numeric_limits<double>::infinity();
constexpr BoundedOp bounded_ops[] = {
    {"aten.relu.default", nullptr, nullptr, 0, positive_infinity},
    {"aten.relu_.default", nullptr, nullptr, 0, positive_infinity},
    {"aten.relu6.default", nullptr, nullptr, 0, 6},
    {"aten.relu6_.default", nullptr, nullptr, 0, 6},
    {"aten.hardtanh.default", "min_val", "max_val", 0, 0},
    {"aten.hardtanh_.default", "min_val", "max_val", 0, 0},
    {"aten.clamp.default", "min", "max", -positive_infinity, positive_infinity},
    {"aten.clamp_.default", "min", "max", -positive_infinity, positive_infinity},
    {"aten.clamp_min.default", "min", nullptr, 0, positive_infinity},
    {"aten.clamp_max.default", nullptr, "max", -positive_infinity, 0},
};

bool fold_bounds(const Node& node, const Value* input, Epilogue& epilogue) {
  for (const BoundedOp& op : bounded_ops) {
    if (!node.is(op.op)) continue;
    if (node.tensor("self") != input) return false;
    const auto bound = [&](const char* name, double otherwise) -> std::optional<double> {
      if (name == nullptr || node.argument(name).is_none()) return otherwise;
      return literal_number(node, name);
    };
    const auto low = bound(op.low, op.low_value), high = bound(op.high, op.high_value);
    if (!low || !high || !(*low <= *high)) return false;
    epilogue.bounded = true;
    epilogue.low = static_cast<float>(*low);
    epilogue.high = static_cast<float>(*high);
    return true;
  }
  return false;
}

// The numbers of a constant operand that lies along `axis` from behind, or of a literal.
template <typename T>
std::optional<std::vector<T>> numbers_along(const Node& node, int64_t axis_from_behind, const FusionQuery& query) {
  if (const auto number = literal_number(node, "other")) return std::vector<T>{static_cast<T>(*number)};
  const Argument* other = node.find("other");
  Value* const* value = other ? other->get_if<Value*>() : nullptr;
  const Tensor* tensor = value && *value ? query.constant(*value) : nullptr;
  const DType wanted = std::is_same_v<T, float> ? DType::float32 : DType::int32;
  if (tensor == nullptr || tensor->dtype() != wanted) return std::nullopt;
  const bool lies_along = tensor->rank() > axis_from_behind && tensor->size(-axis_from_behind - 1) == tensor->numel();
  if (tensor->numel() != 1 && !lies_along) return std::nullopt;
  const Tensor dense = tensor->contiguous();
  return std::vector<T>(dense.data<T>(), dense.data<T>() + dense.numel());
}

// [add bias] -> mul -> round -> [add] -> clamp -> 8-bit integers, as the reference representation has it behind sums.
class RequantizationChain {
 public:
  RequantizationChain(Fusion& fusion, const FusionQuery& query) : fusion_(fusion), query_(query) {}

  bool fold(int64_t channel_axis) {
    Requantization result;
    if (const Node* bias = next("aten.add.Tensor"); bias && bias->number("alpha") == 1) {
      const auto numbers = numbers_along<int32_t>(*bias, channel_axis, query_);
      if (!numbers || bias->find("other")->is<int64_t>()) return false;
      result.bias = *numbers;
      take(bias);
    }
    const Node* scaled = take(next("aten.mul.Tensor"));
    const auto factor = scaled ? numbers_along<float>(*scaled, channel_axis, query_) : std::nullopt;
    if (!factor || !take(next("aten.round.default"))) return false;
    result.factor = *factor;
    if (const Node* shift = take(next("aten.add.Tensor"))) {
      const auto zero_point = literal_number(*shift, "other");
      if (!zero_point || shift->number("alpha") != 1) return false;
      result.zero_point = static_cast<float>(*zero_point);
    }
    const Node* clamp = take(next("aten.clamp.default"));
    if (!clamp || clamp->argument("min").is_none() || clamp->argument("max").is_none()) return false;
    const auto low = literal_number(*clamp, "min"), high = literal_number(*clamp, "max");
    const Node* cast = take(next("aten._to_copy.default"));
    if (!low || !high || !cast) return false;
    result.low = static_cast<float>(*low);
    result.high = static_cast<float>(*high);
    result.dtype = cast->output()->dtype();
    fusion_.epilogue.requantization = std::move(result);
    const bool is_small = fusion_.epilogue.requantization->dtype == DType::int8 || fusion_.epilogue.requantization->dtype == DType::uint8;
    return is_small && *low >= -128 && *high <= 255;
  }

 private:
  const Node* next(std::string_view op) const {
    const Node* user = sole_user(fusion_.result, query_);
    return user && user->is(op) && user->tensor("self") == fusion_.result ? user : nullptr;
  }
  const Node* take(const Node* node) {
    if (node == nullptr) return nullptr;
    fusion_.absorbed.push_back(node);
    fusion_.result = node->output();
    return node;
  }

  Fusion& fusion_;
  const FusionQuery& query_;
};

// Of an integer layer: the axis of channels from behind, or nullopt for any other node.
std::optional<int64_t> integer_layer_axis(const Node& node) {
  if (!node.is("higher_order.out_dtype") || node.arguments().size() < 4 || node.outputs().size() != 1) return std::nullopt;
  const auto* op = node.arguments()[0].value.get_if<OpName>();
  if (op == nullptr) return std::nullopt;
  if (op->target == "torch.ops.aten.linear.default") return 0;
  if (op->target == "torch.ops.aten.convolution.default") return node.output()->meta().rank() - 2;
  return std::nullopt;
}

// Reads what `quantize` writes, by the same numbers.
bool restores(const Node& quantize, const Node& node) {
  constexpr std::string_view numbers[] = {"scale", "zero_point"};
  return node.is("quantized_decomposed.dequantize_per_tensor.default") && node.tensor("input") == quantize.output() &&
         quantize.tensor("input")->dtype() == DType::float32 && node.output()->dtype() == DType::float32 &&
         std::ranges::all_of(numbers, [&](std::string_view name) {
           const auto a = literal_number(quantize, name), b = literal_number(node, name);
           return a && a == b;
         });
}

bool has_constant_weights(const Node& node, const FusionQuery& query) {
  const Value* bias = node.optional_tensor("bias");
  return query.constant(node.tensor("weight")) != nullptr && (bias == nullptr || query.constant(bias) != nullptr);
}

}  // namespace

std::unordered_map<const Node*, Fusion> find_fusions(const Graph& graph, const FusionQuery& query) {
  std::unordered_map<const Node*, Fusion> result;
  for (const Node* node : graph.node_list()) {
    if (const auto axis = integer_layer_axis(*node)) {
      Fusion fusion;
      fusion.result = node->output();
      if (RequantizationChain(fusion, query).fold(*axis)) result.emplace(node, std::move(fusion));
      continue;
    }
    if (node->is("quantized_decomposed.quantize_per_tensor.default")) {
      const Node* next = sole_user(node->output(), query);
      if (next == nullptr || !restores(*node, *next)) continue;
      Fusion fusion{.epilogue = {}, .result = next->output(), .absorbed = {next}};
      fusion.epilogue.restored = true;
      result.emplace(node, std::move(fusion));
      continue;
    }
    if (!is_one_of(*node, heads) || node->outputs().size() != 1 || node->output()->dtype() != DType::float32) continue;
    Fusion fusion;
    fusion.result = node->output();
    const Node* next = sole_user(fusion.result, query);
    const bool linear = node->is("aten.linear.default");
    if (next != nullptr && !linear && has_constant_weights(*node, query) && fold_batch_norm(*next, fusion.result, query, fusion.epilogue)) {
      fusion.absorbed.push_back(next);
      fusion.result = next->output();
      next = sole_user(fusion.result, query);
    }
    if (next != nullptr && fold_bounds(*next, fusion.result, fusion.epilogue)) {
      fusion.absorbed.push_back(next);
      fusion.result = next->output();
    }
    if (!fusion.absorbed.empty()) result.emplace(node, std::move(fusion));
  }
  return result;
}

}  // namespace intaglio::interp
