// A graph made ready to run: one step per node that has to run, with its kernel, places and lifetimes.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <intaglio/program.h>

#include "interpreter/call.h"
#include "interpreter/fusion.h"
#include "interpreter/kernel_table.h"

namespace intaglio::interp {

// A place for each value of a graph.
class Slots {
 public:
  explicit Slots(const Graph& graph);
  int32_t of(const Value* value) const;
  size_t count() const { return slots_.size(); }

 private:
  std::unordered_map<const Value*, int32_t> slots_;
};

// Which values share memory, and what in-place ops do to them.
struct Aliasing {
  bool has_in_place = false;
  std::unordered_set<const Value*> written;    // some op writes into the memory of this value
  std::unordered_set<const Value*> row_major;  // written through a view: the layout must be PyTorch's
  std::unordered_set<const Node*> regions;     // those in whose sub-graphs something is written
};
Aliasing analyse_aliasing(const Graph& graph);

struct Step {
  const Node* node = nullptr;
  const Kernel* kernel = nullptr;
  bool in_place = false;
  std::string_view written_argument;  // of an in-place step
  std::vector<BoundArgument> arguments;
  std::vector<int32_t> outputs;
  std::vector<const Value*> values;  // of outputs
  std::vector<int32_t> dead;         // places to clear afterwards
  bool constant = false;             // depends on constants only: runs once
  bool row_major = false;            // results must be laid out row-major
  std::unique_ptr<Epilogue> epilogue;
  std::unique_ptr<NodeState>* state = nullptr;  // of whoever runs it, who may have several schedules
};

struct Schedule {
  std::vector<Step> steps;
  std::vector<bool> constants;      // by place: the same in every run
  std::vector<const Value*> given;  // of ScheduleRequest::is_given, those that steps or results read
};

struct ScheduleRequest {
  std::function<bool(const Value*)> is_observed;
  // The tensor of a graph input that never changes, or null.
  std::function<const Tensor*(const Value*)> constant;
  // Graph inputs that outlive a run: the state, written or not.
  std::function<bool(const Value*)> is_kept;
  // Values that are in their places before the run, which computes none of them; null: there are none but the inputs.
  std::function<bool(const Value*)> is_given;
  bool is_at_hand(const Value* value) const { return is_given && is_given(value); }
  bool fuse = true;
};
// Unsupported error naming op, layer and line when a node has no kernel.
Schedule make_schedule(const Graph& graph, const Slots& slots, const Aliasing& aliasing, const ScheduleRequest& request);

// The arguments of one node, ready for a Call.
std::vector<BoundArgument> bind_arguments(const Node& node, const std::function<int32_t(const Value*)>& slot);
std::string_view written_argument(const Node& node);
// Runs one step on places that hold its inputs.
void run_step(Step& step, std::vector<RuntimeValue>& values, Context& context);

}  // namespace intaglio::interp
