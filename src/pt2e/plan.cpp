#include <algorithm>
#include <optional>
#include <type_traits>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "pt2e/prepared.h"

namespace intaglio {

using namespace pt2e;
namespace {

std::string used_by(const Insertion& insertion) {
  if (!insertion.parent || insertion.users.empty()) return "";
  return insertion.users.front()->name();
}

// The shape of what a group may be decided to be: an edit changes numbers, not the kind of quantization.
void check_fits(const PreparedProgram::State& state, const Insertion& insertion, const QuantParams& params) {
  const auto fail = [&](const std::string& message) {
    throw_bad_input(fmt::format("plan entry '{}': {}", escaped(insertion.value->name()), message));
  };
  const auto& spec = *state.specs.groups[insertion.group].spec;
  const DType dtype = std::visit(
      [](const auto& s) {
        if constexpr (std::is_same_v<std::decay_t<decltype(s)>, SharedQuantizationSpec>) return DType::int8;
        else return s.dtype;
      },
      spec);
  if (params.dtype != dtype) fail(fmt::format("its dtype is {}, the quantizer asks for {}", name(params.dtype), name(dtype)));
  if (params.is_per_tensor()) return;
  const std::optional<int64_t> axis = params.axis();
  if (!axis) fail("it has a block size; a plan holds one scale per tensor or per channel");
  const TensorMeta& meta = insertion.value->meta();
  if (*axis >= meta.rank()) fail(fmt::format("axis {} of a tensor of rank {}", *axis, meta.rank()));
  const auto channels = meta.sizes[static_cast<size_t>(*axis)].hint();
  if (params.scale.size() != 1 && channels && static_cast<int64_t>(params.scale.size()) != *channels)
    fail(fmt::format("{} scales for {} channels", params.scale.size(), *channels));
}

}  // namespace

Plan PreparedProgram::plan() const {
  const State& state = *state_;
  Plan plan;
  plan.in_float = state.options.in_float;
  for (const size_t index : graph_order(state)) {
    const Insertion& insertion = state.insertions.items[index];
    const ObservedGroup& group = state.groups[insertion.group];
    if (!has_static_params(state, insertion)) continue;
    if (!is_calibrated(state, insertion.group)) continue;
    PlanEntry entry;
    entry.tensor = insertion.value->name();
    entry.used_by = used_by(insertion);
    entry.layer = layer_of(insertion);
    entry.observer = group.decided ? "plan" : group.observer != nullptr ? std::string(group.observer->kind()) : "derived";
    entry.rule = insertion.rule;
    entry.group = insertion.group;
    if (group.observer != nullptr && group.observer->has_observed()) entry.statistics = group.observer->statistics();
    entry.qparams = qparams_of(state, insertion.group);
    plan.entries.push_back(std::move(entry));
  }
  return plan;
}

void PreparedProgram::apply_plan(const Plan& plan) {
  State& state = *state_;
  for (const std::string& name : plan.in_float)
    if (std::ranges::find(state.options.in_float, name) == state.options.in_float.end())
      throw Error(ErrorKind::usage, fmt::format("the plan leaves '{}' in float, and the program was not prepared so", escaped(name)));
  std::unordered_map<std::string, size_t> by_key;  // tensor and user to insertion
  for (size_t i = 0; i < state.insertions.items.size(); ++i) {
    const Insertion& insertion = state.insertions.items[i];
    by_key[insertion.value->name() + '\n' + used_by(insertion)] = i;
  }
  std::vector<std::optional<QuantParams>> decided(state.groups.size());
  for (const PlanEntry& entry : plan.entries) {
    const auto found = by_key.find(entry.tensor + '\n' + entry.used_by);
    if (found == by_key.end()) {
      if (state.program.graph().find_value(entry.tensor) == nullptr)
        throw_bad_input(
            fmt::format("plan entry '{}': the program has no such tensor; the plan belongs to another model", escaped(entry.tensor)));
      state.warn(fmt::format("plan entry '{}' is not used: this quantizer leaves the tensor in float", escaped(entry.tensor)));
      continue;
    }
    const Insertion& insertion = state.insertions.items[found->second];
    check_fits(state, insertion, entry.qparams);
    auto& slot = decided[insertion.group];
    if (slot && !(*slot == entry.qparams))
      throw_bad_input(
          fmt::format("plan entry '{}': it shares its parameters with other entries of group {}, and they differ; edit all of them alike",
                      escaped(entry.tensor), entry.group));
    slot = entry.qparams;
  }
  for (size_t i = 0; i < decided.size(); ++i)
    if (decided[i]) state.groups[i].decided = std::move(decided[i]);
}

}  // namespace intaglio
