#include "pt2e/steps.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include <fmt/format.h>

#include "interpreter/constant_values.h"
#include "ir/work.h"
#include "quant/int32_sums.h"

namespace intaglio::pt2e {
namespace {

constexpr std::string_view summing_ops[] = {"linear",      "conv1d",           "conv2d",           "conv3d",
                                            "convolution", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"};

bool is_int8(DType dtype) { return dtype == DType::int8 || dtype == DType::uint8; }

bool is_transposed(const Node& node) {
  return node.op().base().starts_with("conv_transpose") || (node.op().base() == "convolution" && node.boolean("transposed"));
}

// A layer whose weight is quantized ahead, beside an 8-bit input.
struct SummingLayer {
  const Node* node = nullptr;
  size_t weight = 0, input = 0;  // insertions
  bool dynamic = false;          // input
};

class Keeper {
 public:
  explicit Keeper(PreparedProgram::State& state) : state_(state), constants_(state.program), share_(state.program) {
    for (const auto& [value, here] : state.insertions.of_value)
      for (const size_t index : here)
        for (const Node* user : state.insertions.items[index].users) read_by_.try_emplace({const_cast<Value*>(value), user}, index);
  }

  void run() {
    for (const Node* node : state_.program.graph().node_list())
      if (const std::optional<SummingLayer> layer = layer_of(*node)) keep(*layer);
  }

 private:
  const QuantizationSpec* spec_of(const Insertion& insertion) const {
    const auto& spec = state_.specs.groups[insertion.group].spec;
    return spec ? std::get_if<QuantizationSpec>(&*spec) : nullptr;
  }

  // Searching a histogram takes time: what is known is kept for conversion. Derived parameters may still change.
  QuantParams params_of(size_t insertion) {
    const size_t group = state_.insertions.items[insertion].group;
    ObservedGroup& observed = state_.groups[group];
    if (observed.observer != nullptr && !observed.decided) observed.decided = qparams_of(state_, group);
    return qparams_of(state_, group);
  }

  // Where `node` reads the value; a stacked one reads int8 all the same.
  std::optional<size_t> insertion_for(const Value* value, const Node& node) const {
    const auto found = read_by_.find({const_cast<Value*>(value), &node});
    return found == read_by_.end() ? std::nullopt : std::optional(found->second);
  }

  std::optional<SummingLayer> layer_of(const Node& node) {
    if (node.op().name_space() != "aten" || std::ranges::find(summing_ops, node.op().base()) == std::end(summing_ops)) return std::nullopt;
    const auto weight = insertion_for(node.tensor("weight"), node), input = insertion_for(node.tensor("input"), node);
    if (!weight || !input || !constants_.is_constant(node.tensor("weight"))) return std::nullopt;
    const QuantizationSpec* spec = spec_of(state_.insertions.items[*weight]);
    if (spec == nullptr || spec->is_dynamic || spec->dtype != DType::int8) return std::nullopt;
    const QuantizationSpec* read = spec_of(state_.insertions.items[*input]);
    const bool dynamic = read != nullptr && read->is_dynamic;
    if (read != nullptr ? !is_int8(read->dtype) : !is_int8(params_of(*input).dtype)) return std::nullopt;
    return SummingLayer{&node, *weight, *input, dynamic};
  }

  std::optional<quant::SummedLayer> summed(const SummingLayer& layer) {
    const Node& node = *layer.node;
    const Tensor* weight = constants_.find(node.tensor("weight"));
    if (weight == nullptr) return std::nullopt;
    quant::SummedLayer result{.weight = *weight, .channel_axis = is_transposed(node) ? 1 : 0};
    if (node.find("groups") != nullptr) result.groups = node.integer("groups");
    // A dynamic layer adds its bias in float.
    const Value* bias = layer.dynamic ? nullptr : node.optional_tensor("bias");
    const Tensor* values = bias == nullptr ? nullptr : constants_.find(bias);
    if (values == nullptr) return result;
    const Tensor floats = converted(*values, DType::float32).contiguous();
    result.bias.assign(floats.span<float>().begin(), floats.span<float>().end());
    result.input_scale = params_of(layer.input).scale[0];
    return result;
  }

  void keep(const SummingLayer& layer) {
    const QuantParams params = params_of(layer.weight);
    if (std::ranges::any_of(params.zero_point, [](int64_t zero) { return zero != 0; })) return;
    const std::optional<quant::SummedLayer> sums = summed(layer);
    if (!sums || (!params.is_per_tensor() && params.axis() != sums->channel_axis)) return;
    const auto raised = quant::raise_scales(*sums, params);
    if (!raised) return leave_in_float(layer);
    if (raised->raised == 0) return;
    state_.groups[state_.insertions.items[layer.weight].group].decided = raised->params;
    state_.warn(Warning::at(describe(*layer.node),
                            fmt::format("{} of {} weight scales raised, up to {:.4g} times, for its bias and sums to stay within int32",
                                        raised->raised, params.scale.size(), raised->largest)));
  }

  void leave_in_float(const SummingLayer& layer) {
    withdraw(layer.weight, layer.node);
    if (layer.dynamic) withdraw(layer.input, layer.node);
    state_.warn(Warning::at(describe(*layer.node),
                            fmt::format("stays in float ({:.1f}% of the work), since its sums over {} products leave int32 at any fine "
                                        "enough scale; split the layer",
                                        100 * share_.of({layer.node}), sums_length(*layer.node)),
                            true));
  }

  static int64_t sums_length(const Node& node) {
    const TensorMeta& weight = node.tensor("weight")->meta();
    const int64_t outputs = weight.sizes[is_transposed(node) ? 1 : 0].hint().value_or(1);
    return element_count(weight.static_sizes()) / std::max<int64_t>(1, outputs);
  }

  // One nobody reads through is no insertion.
  void withdraw(size_t index, const Node* user) {
    Insertion& insertion = state_.insertions.items[index];
    std::erase(insertion.users, user);
    const auto& here = state_.insertions.at(insertion.value);
    const bool is_parent = std::ranges::any_of(here, [&](size_t other) { return state_.insertions.items[other].parent == index; });
    if (insertion.users.empty() && !is_parent) std::erase(state_.insertions.of_value[insertion.value], index);
  }

  PreparedProgram::State& state_;
  ConstantValues constants_;
  WorkShare share_;
  std::unordered_map<SpecKey, size_t, SpecKeyHash> read_by_;  // the insertion that a node reads a value through
};

}  // namespace

void keep_sums_in_int32(PreparedProgram::State& state) { Keeper(state).run(); }

}  // namespace intaglio::pt2e
