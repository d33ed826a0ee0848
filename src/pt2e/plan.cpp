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

// A weight that was given channels is decided anew: an entry of one scale is from before.
bool is_given_channels(const PreparedProgram::State& state, const Insertion& insertion) {
  const auto& spec = state.specs.groups[insertion.group].spec;
  const auto* plain = spec ? std::get_if<QuantizationSpec>(&*spec) : nullptr;
  return plain != nullptr && plain->qscheme == QScheme::per_channel_symmetric &&
         std::ranges::any_of(insertion.users, [&](const Node* user) {
           return std::ranges::find(state.options.per_channel, user->name()) != state.options.per_channel.end();
         });
}

}  // namespace

Plan PreparedProgram::plan() {
  State& state = *state_;
  observe_without_samples(state);
  Plan plan;
  plan.in_float = state.options.in_float;
  plan.per_channel = state.options.per_channel;
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
  for (const auto& [names, prepared] :
       {std::pair{&plan.in_float, &state.options.in_float}, std::pair{&plan.per_channel, &state.options.per_channel}})
    for (const std::string& name : *names)
      if (std::ranges::find(*prepared, name) == prepared->end())
        throw Error(ErrorKind::usage,
                    fmt::format("the plan decides on '{}' as a whole, and the program was not prepared so", escaped(name)));
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
    if (entry.qparams.is_per_tensor() && is_given_channels(state, insertion)) continue;
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

bool PreparedProgram::needs_samples() {
  State& state = *state_;
  observe_without_samples(state);
  return std::ranges::any_of(state.insertions.items, [&](const Insertion& insertion) {
    return has_static_params(state, insertion) && !is_calibrated(state, insertion.group);
  });
}

}  // namespace intaglio
