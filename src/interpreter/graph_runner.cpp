#include "interpreter/graph_runner.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "interpreter/constant_values.h"

namespace intaglio::interp {

GraphRunner::GraphRunner(const Graph& graph)
    : graph_(graph), slots_(graph), aliasing_(analyse_aliasing(graph)), values_(slots_.count()), computed_(slots_.count(), false) {}

void GraphRunner::set_constant(const Value* input, RuntimeValue value) {
  place(input) = std::move(value);
  constants_.insert(input);
}

void GraphRunner::keep(const Value* input, RuntimeValue value) {
  place(input) = std::move(value);
  kept_.insert(input);
}

ScheduleRequest GraphRunner::plain_request() const {
  ScheduleRequest request;
  request.is_observed = [](const Value*) { return false; };
  request.constant = [this](const Value* value) -> const Tensor* {
    return constants_.contains(value) ? std::get_if<Tensor>(&values_[static_cast<size_t>(slots_.of(value))]) : nullptr;
  };
  request.is_kept = [this](const Value* value) { return kept_.contains(value); };
  return request;
}

Schedule GraphRunner::scheduled(const ScheduleRequest& request, NodeStates& states) const {
  Schedule schedule = make_schedule(graph_, slots_, aliasing_, request);
  for (Step& step : schedule.steps) step.state = &states[{step.node, step.values.empty() ? nullptr : step.values.front()}];
  return schedule;
}

Schedule& GraphRunner::schedule_for(const ValueHook* hook, const std::vector<const Value*>* watched) {
  std::optional<std::vector<const Value*>> wanted;
  if (hook != nullptr && watched != nullptr) {
    wanted = *watched;
    std::sort(wanted->begin(), wanted->end());
  }
  for (size_t i = 0; i < schedules_.size(); ++i) {
    if (schedules_[i]->hooked != (hook != nullptr) || schedules_[i]->watched != wanted) continue;
    std::swap(schedules_[i], schedules_.back());
    return schedules_.back()->schedule;
  }
  constexpr size_t max_schedules = 4;
  if (schedules_.size() == max_schedules) schedules_.erase(schedules_.begin());
  auto prepared = std::make_unique<Prepared>();
  prepared->hooked = hook != nullptr;
  prepared->watched = std::move(wanted);
  ScheduleRequest request = plain_request();
  request.is_observed = [&entry = *prepared](const Value* value) {
    if (!entry.hooked) return false;
    return !entry.watched || std::binary_search(entry.watched->begin(), entry.watched->end(), value);
  };
  // A hook may put others in the places of constants: what is packed of these is the schedule's own.
  prepared->schedule = scheduled(request, hook != nullptr ? prepared->states : states_);
  schedules_.push_back(std::move(prepared));
  return schedules_.back()->schedule;
}

void GraphRunner::prepare(const ValueHook* hook, const std::vector<const Value*>* watched) { schedule_for(hook, watched); }

// The value as the hook sees it, replaced where the hook wants that.
static bool show(const ValueHook& hook, const Value* value, RuntimeValue& place) {
  const auto* tensor = std::get_if<Tensor>(&place);
  if (tensor == nullptr || !tensor->defined()) return false;
  std::optional<Tensor> replacement = hook(value, tensor->is_dense() ? *tensor : tensor->contiguous());
  if (!replacement) return false;
  if (replacement->dtype() != tensor->dtype() || replacement->sizes() != tensor->sizes())
    throw_bug(fmt::format("the hook replaced '{}' by a tensor of another type or other sizes", value->name()));
  place = std::move(*replacement);
  return true;
}

bool GraphRunner::observe(const Step& step, const ValueHook& hook, const std::optional<std::vector<const Value*>>& watched) {
  bool replaced = false;
  for (size_t i = 0; i < step.values.size(); ++i) {
    if (watched && !std::binary_search(watched->begin(), watched->end(), step.values[i])) continue;
    replaced |= show(hook, step.values[i], values_[static_cast<size_t>(step.outputs[i])]);
  }
  return replaced;
}

std::vector<RuntimeValue> GraphRunner::run(Pool& pool, int threads, const ValueHook* hook, const std::vector<const Value*>* watched) {
  Schedule& schedule = schedule_for(hook, watched);
  const auto& filter = schedules_.back()->watched;
  if (hook != nullptr)
    for (const Value* input : graph_.inputs()) {
      if (constants_.contains(input) || kept_.contains(input)) continue;
      if (!filter || std::binary_search(filter->begin(), filter->end(), input)) show(*hook, input, place(input));
    }
  return execute(schedule, pool, threads, hook, filter);
}

std::vector<RuntimeValue> GraphRunner::execute(Schedule& schedule, Pool& pool, int threads, const ValueHook* hook,
                                               const std::optional<std::vector<const Value*>>& filter) {
  Context context{pool, threads, aliasing_.has_in_place, &schedule.constants, keep_packed_weights_};
  for (Step& step : schedule.steps) {
    const bool ready = step.constant && computed_[static_cast<size_t>(step.outputs.front())];
    if (!ready) run_step(step, values_, context);
    const bool replaced = hook != nullptr && observe(step, *hook, filter);
    if (step.constant && (!ready || replaced))  // the next run needs what was computed, not what stood in for it
      for (const int32_t slot : step.outputs) computed_[static_cast<size_t>(slot)] = !replaced;
    for (const int32_t slot : step.dead) values_[static_cast<size_t>(slot)] = std::monostate();
  }
  std::vector<RuntimeValue> results;
  for (const Argument& output : graph_.outputs()) {
    if (const auto* value = output.get_if<Value*>()) results.push_back(place(*value));
    else if (const auto* integer = output.get_if<int64_t>()) results.emplace_back(Number(*integer));
    else if (const auto* floating = output.get_if<double>()) results.emplace_back(Number(*floating));
    else if (const auto* boolean = output.get_if<bool>()) results.emplace_back(Number(*boolean));
    else results.emplace_back();
  }
  return results;
}

// What depends on a replaced value is computed anew; what depends on the inputs alone is at hand.
const std::vector<const Value*>& GraphRunner::prepare_from(std::vector<const Value*> replaced) {
  std::ranges::sort(replaced);
  if (continuation_ && continuation_->replaced == replaced) return continuation_->schedule.given;
  std::unordered_set<const Value*> changed(replaced.begin(), replaced.end()), varying, given = changed;
  for (const Value* input : graph_.inputs())
    if (!constants_.contains(input) && !kept_.contains(input) && !changed.contains(input)) {
      varying.insert(input);
      given.insert(input);
    }
  for (const Node* node : graph_.node_list()) {
    const std::vector<Value*> inputs = node->inputs();
    const auto is_in = [&](const auto& set) {
      return std::ranges::any_of(inputs, [&](const Value* value) { return set.contains(value); });
    };
    const bool is_changed = is_in(changed), is_varying = is_in(varying) || draws_random_numbers(*node);
    for (const Value* output : node->outputs()) {
      if (is_changed) changed.insert(output);
      else if (is_varying) varying.insert(output);
      if (!changed.contains(output) && is_varying && output->is_tensor()) given.insert(output);
    }
  }
  ScheduleRequest request = plain_request();
  request.is_given = [&](const Value* value) { return given.contains(value); };
  continuation_.emplace(Continuation{std::move(replaced), scheduled(request, states_)});
  std::erase_if(continuation_->schedule.given,
                [&](const Value* value) { return std::ranges::binary_search(continuation_->replaced, value); });
  return continuation_->schedule.given;
}

std::vector<RuntimeValue> GraphRunner::run_from(Pool& pool, int threads) {
  return execute(continuation_->schedule, pool, threads, nullptr, std::nullopt);
}

}  // namespace intaglio::interp
