#include "pt2e/spreads.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <fmt/format.h>

#include "pt2e/pattern_table.h"
#include "pt2e/prepared.h"
#include "quant/range.h"

namespace intaglio::pt2e {
namespace {

// What their operands hold is in the result, in the same unit.
constexpr std::string_view joining[] = {
    "aten.add.Tensor",         "aten.add_.Tensor",         "aten.sub.Tensor",         "aten.sub_.Tensor",         "aten.where.self",
    "aten.masked_fill.Tensor", "aten.masked_fill_.Tensor", "aten.masked_fill.Scalar", "aten.masked_fill_.Scalar", "aten.where.ScalarOther",
    "aten.where.ScalarSelf",   "aten.cat.default",         "aten.stack.default",      "aten.maximum.default",     "aten.minimum.default"};
// A result that these clip or rearrange is still the joined one.
constexpr std::string_view clipping[] = {"aten.relu.default",  "aten.relu_.default",  "aten.hardtanh.default", "aten.hardtanh_.default",
                                         "aten.relu6.default", "aten.relu6_.default", "aten.clamp.default",    "aten.clamp_.default"};

bool is_view(const Value* value) {
  const Node* producer = value->producer();
  return producer != nullptr && producer->op().schema() != nullptr && producer->op().schema()->is_view();
}

// The sum or selection that a tensor is the result of; null when it is of another kind.
const Node* joining_node(const Value* value) {
  while (value != nullptr && (is_view(value) || (value->producer() != nullptr && contains(clipping, *value->producer()))))
    value = first_tensor(*value->producer());
  const Node* node = value == nullptr ? nullptr : value->producer();
  return node != nullptr && contains(joining, *node) ? node : nullptr;
}

std::vector<const Value*> float_operands(const Node& node) {
  std::vector<const Value*> operands;
  for (const Value* input : node.inputs())
    if (input->is_tensor() && is_floating(input->dtype())) operands.push_back(input);
  return operands;
}

// Of each value with an observer that sees nothing else: that observer.
std::unordered_map<const Value*, const Observer*> own_observers(const PreparedProgram::State& state) {
  std::vector<const Value*> lone(state.groups.size());
  std::vector<bool> shared(state.groups.size());
  for (const Insertion& insertion : state.insertions.items) {
    if (lone[insertion.group] != nullptr && lone[insertion.group] != insertion.value) shared[insertion.group] = true;
    lone[insertion.group] = insertion.value;
  }
  std::unordered_map<const Value*, const Observer*> own;
  for (const Insertion& insertion : state.insertions.items)
    if (!shared[insertion.group] && has_static_params(state, insertion) && state.groups[insertion.group].observer != nullptr)
      own.emplace(insertion.value, state.groups[insertion.group].observer.get());
  return own;
}

// What a step cannot be above: an observer's search of the best range takes long and is seldom needed.
double largest_step(const ObservedGroup& group) {
  if (group.decided || group.observer == nullptr || !group.observer->has_observed()) return std::numeric_limits<double>::infinity();
  const ObservedStatistics statistics = group.observer->statistics();
  const ObserverSettings& settings = group.observer->settings();
  if (statistics.min.size() != 1 || !settings.quant_min || !settings.quant_max) return std::numeric_limits<double>::infinity();
  const double reach = std::max(std::fabs(statistics.min[0]), std::fabs(statistics.max[0]));
  return std::max(settings.eps, 2 * reach / static_cast<double>(*settings.quant_max - *settings.quant_min));
}

class Warner {
 public:
  explicit Warner(const PreparedProgram::State& state) : state_(state), own_observers_(own_observers(state)) {}

  void run() {
    for (const size_t index : graph_order(state_)) {
      const Insertion& insertion = state_.insertions.items[index];
      if (!has_static_params(state_, insertion)) continue;
      if (const Node* node = joining_node(insertion.value))
        for (const Value* operand : float_operands(*node)) check(insertion, operand, describe(*node), layer_name(*node));
    }
    for (const size_t index : graph_order(state_)) {
      const Insertion& insertion = state_.insertions.items[index];
      if (has_static_params(state_, insertion) && !is_view(insertion.value))
        check(insertion, insertion.value, place_of(insertion), layer_of(insertion));
    }
  }

 private:
  std::string name_of(const Value* value) const {
    const std::string* target = state_.program.target_of(value);
    return target != nullptr ? *target : value->name();
  }

  double width_of(const Value* value) const {
    if (const auto watched = state_.spreads.find(value); watched != state_.spreads.end()) return watched->second.width();
    const auto own = own_observers_.find(value);
    if (own == own_observers_.end() || !own->second->has_observed()) return 0;
    const ObservedStatistics statistics = own->second->statistics();
    return statistics.min.size() == 1 ? Spread{statistics.min[0], statistics.max[0]}.width() : 0;
  }

  void check(const Insertion& range, const Value* value, const std::string& place, const std::string& layer) {
    const double width = width_of(value);
    if (width == 0 || lost_.contains(value) || largest_step(state_.groups[range.group]) <= width) return;
    const QuantParams params = qparams_of(state_, range.group);
    if (!params.is_per_tensor() || params.scale.front() <= width) return;
    lost_.insert(value);
    if (!layers_.insert(layer.empty() ? place : layer).second) return;
    const auto bound = [&](int64_t integer) { return static_cast<double>(integer - params.zero_point.front()) * params.scale.front(); };
    state_.warn(fmt::format(
        "{}: one step of its range [{:.4g}, {:.4g}] in {} is {:.4g}, and all of '{}' spans {:.4g}, which is lost; "
        "leave the layer in float (a rule with \"config\": null) or keep far values out of the range",
        place, bound(params.quant_min), bound(params.quant_max), name(params.dtype), params.scale.front(), escaped(name_of(value)), width));
  }

  const PreparedProgram::State& state_;
  std::unordered_map<const Value*, const Observer*> own_observers_;
  std::unordered_set<const Value*> lost_;
  std::set<std::string> layers_;
};

}  // namespace

void Spread::extend(const Tensor& tensor) {
  const quant::FloatElements elements(tensor);
  for (const float value : elements.values()) {
    const bool finite = std::fabs(value) <= std::numeric_limits<float>::max();
    min = finite && value < min ? value : min;
    max = finite && value > max ? value : max;
  }
}

Spreads spreads_to_watch(const PreparedProgram::State& state) {
  const auto own = own_observers(state);
  Spreads spreads;
  const auto watch = [&](const Value* value) {
    if (!own.contains(value)) spreads.try_emplace(value);
  };
  for (const Insertion& insertion : state.insertions.items) {
    if (!has_static_params(state, insertion)) continue;
    if (!is_view(insertion.value)) watch(insertion.value);
    if (const Node* node = joining_node(insertion.value)) std::ranges::for_each(float_operands(*node), watch);
  }
  for (auto& [value, spread] : spreads)
    if (const Tensor* constant = state.program.is_constant(value) ? state.program.constant(value) : nullptr)
      spread.extend(constant->for_one_use());
  return spreads;
}

void warn_of_lost_tensors(const PreparedProgram::State& state) { Warner(state).run(); }

}  // namespace intaglio::pt2e
