// Runs a graph on values: keeps the constants in place and one schedule for each set of observed values.
#pragma once

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

 private:
  struct Prepared {
    bool hooked = false;
    std::optional<std::vector<const Value*>> watched;  // sorted
    Schedule schedule;
  };
  Schedule& schedule_for(const ValueHook* hook, const std::vector<const Value*>* watched);
  // Shows the results of a step to the hook; true when it replaced one.
  bool observe(const Step& step, const ValueHook& hook, const std::optional<std::vector<const Value*>>& watched);

  const Graph& graph_;
  Slots slots_;
  Aliasing aliasing_;
  std::vector<RuntimeValue> values_;
  std::vector<bool> computed_;  // constant steps' results that are there, by place
  std::unordered_set<const Value*> constants_;
  std::unordered_set<const Value*> kept_;
  std::vector<std::unique_ptr<Prepared>> schedules_;
  bool keep_packed_weights_ = true;
};

}  // namespace intaglio::interp
