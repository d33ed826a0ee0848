// Runs a graph on values: keeps the constants in place and one schedule for each set of observed values.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <intaglio/interpreter.h>

#include "interpreter/schedule.h"

namespace intaglio::interp {

class GraphRunner {
 public:
  explicit GraphRunner(const Graph& graph);

  const Aliasing& aliasing() const { return aliasing_; }
  // A value that no run changes. Before the first run.
  void set_constant(const Value* input, RuntimeValue value);
  // A value that runs may change and that outlives them.
  void keep(const Value* input, RuntimeValue value);
  RuntimeValue& place(const Value* value) { return values_[static_cast<size_t>(slots_.of(value))]; }

  void set_keep_packed_weights(bool keep) { keep_packed_weights_ = keep; }

  // Plans without running; an unsupported error names what cannot be run.
  void prepare(const ValueHook* hook, const std::vector<const Value*>* watched);
  // The inputs are in their places; the results of the graph are returned and the rest is cleared.
  std::vector<RuntimeValue> run(Pool& pool, int threads, const ValueHook* hook, const std::vector<const Value*>* watched);
  // Plans a run of what follows `replaced`; gives the other values that it reads of those that change from run to run.
  const std::vector<const Value*>& prepare_from(std::vector<const Value*> replaced);
  // Runs what was planned last: the replaced values and those others are in their places.
  std::vector<RuntimeValue> run_from(Pool& pool, int threads);

 private:
  // By node and result, which tell what is fused behind the node: schedules share what they have packed.
  using NodeStates = std::map<std::pair<const Node*, const Value*>, std::unique_ptr<NodeState>>;
  struct Prepared {
    bool hooked = false;
    std::optional<std::vector<const Value*>> watched;  // sorted
    NodeStates states;                                 // of a hooked one
    Schedule schedule;
  };
  struct Continuation {
    std::vector<const Value*> replaced;  // sorted
    Schedule schedule;
  };
  ScheduleRequest plain_request() const;
  Schedule scheduled(const ScheduleRequest& request, NodeStates& states) const;
  Schedule& schedule_for(const ValueHook* hook, const std::vector<const Value*>* watched);
  std::vector<RuntimeValue> execute(Schedule& schedule, Pool& pool, int threads, const ValueHook* hook,
                                    const std::optional<std::vector<const Value*>>& filter);
  // Shows the results of a step to the hook; true when it replaced one.
  bool observe(const Step& step, const ValueHook& hook, const std::optional<std::vector<const Value*>>& watched);

  const Graph& graph_;
  Slots slots_;
  Aliasing aliasing_;
  std::vector<RuntimeValue> values_;
  std::vector<bool> computed_;  // constant steps' results that are there, by place
  std::unordered_set<const Value*> constants_;
  std::unordered_set<const Value*> kept_;
  NodeStates states_;
  std::vector<std::unique_ptr<Prepared>> schedules_;
  std::optional<Continuation> continuation_;
  bool keep_packed_weights_ = true;
};

}  // namespace intaglio::interp
