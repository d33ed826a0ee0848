#include "interpreter/schedule.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/advice.h"
#include "decompose/decompose.h"
#include "decompose/regions.h"
#include "interpreter/constant_values.h"
#include "interpreter/fallbacks.h"
#include "interpreter/strided.h"

namespace intaglio::interp {

Slots::Slots(const Graph& graph) {
  const auto add = [&](const Value* value) { slots_.emplace(value, static_cast<int32_t>(slots_.size())); };
  for (const Value* input : graph.inputs()) add(input);
  for (const Node* node : graph.node_list())
    for (const Value* output : node->outputs()) add(output);
}

int32_t Slots::of(const Value* value) const {
  if (value == nullptr) return -1;
  const auto found = slots_.find(value);
  if (found == slots_.end()) throw_bug(fmt::format("value '{}' has no place", escaped(value->name())));
  return found->second;
}

namespace {

class UnionFind {
 public:
  const Value* root(const Value* value) {
    auto [it, fresh] = parent_.emplace(value, value);
    if (it->second == value) return value;
    const Value* top = root(it->second);
    parent_[value] = top;
    return top;
  }
  void merge(const Value* a, const Value* b) { parent_[root(a)] = root(b); }

 private:
  std::unordered_map<const Value*, const Value*> parent_;
};

}  // namespace

std::string_view written_argument(const Node& node) {
  if (const OpSchema* schema = node.op().schema())
    for (const ArgSchema& argument : schema->arguments)
      if (argument.mutated) return argument.name;
  return {};
}

namespace {

// What a node's sub-graphs take: the values behind the last of them.
std::vector<const Value*> operands_of_subgraphs(const Node& node) {
  std::vector<const Value*> operands;
  for (const NamedArgument& argument : node.arguments()) {
    if (argument.value.is<std::shared_ptr<Subgraph>>()) operands.clear();
    else
      for (const Value* value : values_in(argument.value)) operands.push_back(value);
  }
  return operands;
}

}  // namespace

Aliasing analyse_aliasing(const Graph& graph) {
  Aliasing result;
  UnionFind sets;
  std::vector<const Value*> written, viewed;
  for (const Node* node : graph.node_list()) {
    const std::string_view target = written_argument(*node);
    const Kernel* kernel = find_kernel(node->op()).kernel;
    const bool in_place = !target.empty();
    for (const Graph* body : decompose::subgraphs_of(*node)) {
      const Aliasing inside = analyse_aliasing(*body);
      if (!inside.has_in_place) continue;
      result.has_in_place = true;
      result.regions.insert(node);
      const std::vector<const Value*> operands = operands_of_subgraphs(*node);
      for (size_t i = 0; i < std::min(operands.size(), body->inputs().size()); ++i) {
        if (inside.written.contains(body->inputs()[i])) written.push_back(operands[i]);
        if (inside.row_major.contains(body->inputs()[i])) viewed.push_back(operands[i]);
      }
    }
    const bool view = kernel != nullptr && kernel->aliases;
    if (in_place) {
      result.has_in_place = true;
      if (const Argument* argument = node->find(target))
        for (const Value* value : values_in(*argument)) {
          written.push_back(value);
          for (const Value* output : node->outputs()) sets.merge(output, value);
        }
      if (decompose::is_in_place_view(node->op())) viewed.push_back(node->output());
    } else if (view) {
      viewed.insert(viewed.end(), node->outputs().begin(), node->outputs().end());
      // All of them are one set, over the first operand: results times operands would be pairs without end in a wide loop.
      std::vector<const Value*> operands;
      for (const Value* input : node->inputs())
        if (input->is_tensor()) operands.push_back(input);
      if (operands.empty() || node->outputs().empty()) continue;
      for (const Value* input : operands) sets.merge(input, operands.front());
      for (const Value* output : node->outputs()) sets.merge(output, operands.front());
    }
  }
  std::unordered_set<const Value*> written_sets, viewed_sets;
  for (const Value* value : written) written_sets.insert(sets.root(value));
  for (const Value* value : viewed) viewed_sets.insert(sets.root(value));
  const auto classify = [&](const Value* value) {
    const Value* root = sets.root(value);
    if (!written_sets.contains(root)) return;
    result.written.insert(value);
    if (viewed_sets.contains(root)) result.row_major.insert(value);
  };
  for (const Value* input : graph.inputs()) classify(input);
  for (const Node* node : graph.node_list())
    for (const Value* output : node->outputs()) classify(output);
  return result;
}

namespace {

BoundArgument bind_argument(std::string_view name, Argument argument, int fixed_length, const std::function<int32_t(const Value*)>& slot) {
  BoundArgument bound;
  bound.name = name;
  bound.fixed_length = fixed_length;
  if (const auto* value = argument.get_if<Value*>()) {
    bound.form = *value == nullptr ? BoundArgument::Form::literal : BoundArgument::Form::value;
    if (*value != nullptr) bound.slots.push_back(slot(*value));
    return bound;
  }
  if (const auto* list = argument.get_if<std::vector<Value*>>()) {
    bound.form = BoundArgument::Form::values;
    for (const Value* value : *list) bound.slots.push_back(value == nullptr ? -1 : slot(value));
    return bound;
  }
  if (const auto* list = argument.get_if<std::vector<SymArg>>()) {
    bound.form = BoundArgument::Form::mixed;
    for (const SymArg& item : *list)
      if (const auto* value = std::get_if<Value*>(&item)) bound.slots.push_back(slot(*value));
  }
  bound.literal = std::move(argument);
  return bound;
}

}  // namespace

std::vector<BoundArgument> bind_arguments(const Node& node, const std::function<int32_t(const Value*)>& slot) {
  std::vector<BoundArgument> result;
  const OpSchema* schema = node.op().schema();
  if (schema == nullptr) {
    for (const NamedArgument& argument : node.arguments()) result.push_back(bind_argument(argument.name, argument.value, 0, slot));
    return result;
  }
  for (const ArgSchema& argument : schema->arguments) {
    const bool known = node.find(argument.name) != nullptr || argument.default_text;
    if (known) result.push_back(bind_argument(argument.name, node.argument(argument.name), argument.fixed_length, slot));
    else if (argument.optional) result.push_back(bind_argument(argument.name, Argument(), 0, slot));
  }
  return result;
}

namespace {

// Nodes whose results are wanted, directly or not, and those with an effect of their own.
std::unordered_set<const Node*> needed_nodes(const std::vector<Node*>& nodes, const Graph& graph, const Aliasing& aliasing,
                                             const ScheduleRequest& request) {
  std::unordered_set<const Value*> wanted;
  for (const Argument& output : graph.outputs())
    for (const Value* value : values_in(output)) wanted.insert(value);
  std::unordered_set<const Node*> needed;
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    const Node* node = *it;
    const bool has_effect = node->outputs().empty() || !written_argument(*node).empty() || aliasing.regions.contains(node);
    bool keep = has_effect && !request.is_given;
    for (const Value* output : node->outputs())
      keep = keep || (wanted.contains(output) && !request.is_at_hand(output)) || request.is_observed(output);
    if (!keep) continue;
    needed.insert(node);
    for (const Value* input : node->inputs()) wanted.insert(input);
  }
  return needed;
}

std::vector<const Value*> given_values(const Graph& graph, const std::vector<Node*>& nodes, const std::unordered_set<const Node*>& needed,
                                       const ScheduleRequest& request) {
  std::vector<const Value*> given;
  std::unordered_set<const Value*> seen;
  const auto add = [&](const Value* value) {
    if (request.is_given(value) && seen.insert(value).second) given.push_back(value);
  };
  for (const Node* node : nodes)
    if (needed.contains(node))
      for (const Value* input : node->inputs()) add(input);
  for (const Argument& output : graph.outputs())
    for (const Value* value : values_in(output)) add(value);
  return given;
}

void set_lifetimes(Schedule& schedule, const Graph& graph, const Slots& slots, const std::vector<bool>& lasting) {
  std::vector<bool> seen = lasting;
  for (const Argument& output : graph.outputs())
    for (const Value* value : values_in(output)) seen[static_cast<size_t>(slots.of(value))] = true;
  for (auto step = schedule.steps.rbegin(); step != schedule.steps.rend(); ++step) {
    const auto last_use = [&](int32_t slot) {
      if (slot < 0 || seen[static_cast<size_t>(slot)]) return;
      seen[static_cast<size_t>(slot)] = true;
      step->dead.push_back(slot);
    };
    for (const BoundArgument& argument : step->arguments)
      for (const int32_t slot : argument.slots) last_use(slot);
    for (const int32_t slot : step->outputs) last_use(slot);
  }
}

[[noreturn]] void no_kernel(const Node& node) {
  const std::string advice = decompose::export_advice(node);
  throw_unsupported(
      fmt::format("{} cannot be run: the interpreter has no kernel for this op{}{}", describe(node), advice.empty() ? "" : "; ", advice));
}

// The kernel of a functional op asks for its arguments by that op's names.
void use_names_of(Op functional, const Node& node, Step& step) {
  const auto renamed = [&](std::string_view& name) {
    const auto place = node.op().schema()->index_of(name);
    if (!functional.schema()->find(name) && place && *place < functional.schema()->arguments.size())
      name = functional.schema()->arguments[*place].name;
  };
  renamed(step.written_argument);
  for (BoundArgument& argument : step.arguments) renamed(argument.name);
}

Step make_step(const Node& node, const Slots& slots) {
  Step step;
  step.node = &node;
  const FoundKernel found = find_kernel(node.op());
  step.kernel = found.kernel;
  // Before the registry, whose kernels need results of fixed size.
  if (step.kernel == nullptr) step.kernel = expansion_kernel(node);
  if (step.kernel == nullptr) step.kernel = registry_kernel(node);
  if (step.kernel == nullptr) no_kernel(node);
  step.written_argument = written_argument(node);
  step.arguments = bind_arguments(node, [&](const Value* value) { return slots.of(value); });
  const std::optional<Op> functional = decompose::functional_form(node.op());
  step.in_place = found.in_place || (found.kernel == nullptr && functional);
  if (step.in_place) use_names_of(*functional, node, step);
  for (const Value* output : node.outputs()) {
    step.outputs.push_back(slots.of(output));
    step.values.push_back(output);
  }
  return step;
}

}  // namespace

Schedule make_schedule(const Graph& graph, const Slots& slots, const Aliasing& aliasing, const ScheduleRequest& request) {
  const std::vector<Node*> nodes = graph.node_list();
  const std::unordered_set<const Node*> needed = needed_nodes(nodes, graph, aliasing, request);

  std::vector<bool> lasting(slots.count(), false);
  for (const Value* input : graph.inputs())
    if (request.constant(input) != nullptr || graph.literal_of(input) != nullptr) lasting[static_cast<size_t>(slots.of(input))] = true;

  std::unordered_map<const Node*, Fusion> fusions;
  if (request.fuse) {
    const auto is_seen = [&](const Value* value) {
      return request.is_observed(value) || request.is_at_hand(value) || aliasing.row_major.contains(value);
    };
    fusions = find_fusions(graph, {is_seen, request.constant});
  }
  std::unordered_set<const Node*> absorbed;
  for (const auto& [head, fusion] : fusions) absorbed.insert(fusion.absorbed.begin(), fusion.absorbed.end());

  Schedule schedule;
  for (const Node* node : nodes) {
    if (!needed.contains(node) || absorbed.contains(node)) continue;
    Step step = make_step(*node, slots);
    if (const auto fusion = fusions.find(node); fusion != fusions.end()) {
      step.epilogue = std::make_unique<Epilogue>(fusion->second.epilogue);
      step.outputs = {slots.of(fusion->second.result)};
      step.values = {fusion->second.result};
    }
    step.constant =
        step.written_argument.empty() && !step.outputs.empty() && !draws_random_numbers(*node) && !aliasing.regions.contains(node);
    for (const BoundArgument& argument : step.arguments)
      for (const int32_t slot : argument.slots) step.constant = step.constant && (slot < 0 || lasting[static_cast<size_t>(slot)]);
    for (const Value* value : step.values) {
      step.constant = step.constant && !aliasing.written.contains(value);
      step.row_major = step.row_major || aliasing.row_major.contains(value);
    }
    if (step.constant)
      for (const int32_t slot : step.outputs) lasting[static_cast<size_t>(slot)] = true;
    schedule.steps.push_back(std::move(step));
  }
  if (request.is_given) schedule.given = given_values(graph, nodes, needed, request);
  schedule.constants = lasting;
  for (const Value* input : graph.inputs())
    if (request.is_kept(input)) lasting[static_cast<size_t>(slots.of(input))] = true;
  set_lifetimes(schedule, graph, slots, lasting);
  return schedule;
}

namespace {

// The functional kernel did not use the destination: its result is copied over.
void write_back(Call& call, const Step& step, const Tensor& destination, std::vector<RuntimeValue>& values) {
  if (step.outputs.empty()) call.fail("an in-place op without a result");
  RuntimeValue& place = values[static_cast<size_t>(step.outputs.front())];
  const auto* result = std::get_if<Tensor>(&place);
  if (result == nullptr || !result->defined()) call.fail("an in-place op gave no tensor");
  if (result->storage() == destination.storage() && result->storage_offset() == destination.storage_offset() &&
      result->sizes() == destination.sizes() && result->strides() == destination.strides())
    return;
  if (result->sizes() != destination.sizes()) call.fail("the result does not fit in place");
  copy_into(destination, *result, call.threads());
  place = destination;
}

// An in-place view is what its operand's name stands for from now on.
void give_other_sizes(const Step& step, std::vector<RuntimeValue>& values) {
  for (const BoundArgument& argument : step.arguments)
    if (argument.name == step.written_argument && argument.form == BoundArgument::Form::value)
      values[static_cast<size_t>(argument.slots.front())] = values[static_cast<size_t>(step.outputs.front())];
}

void make_row_major(const Step& step, std::vector<RuntimeValue>& values, Context& context) {
  for (const int32_t slot : step.outputs) {
    auto* tensor = std::get_if<Tensor>(&values[static_cast<size_t>(slot)]);
    if (tensor == nullptr || !tensor->defined() || tensor->is_contiguous()) continue;
    const Tensor copy = context.pool.empty(tensor->dtype(), tensor->sizes());
    copy_into(copy, *tensor, context.threads);
    *tensor = copy;
  }
}

}  // namespace

void run_step(Step& step, std::vector<RuntimeValue>& values, Context& context) {
  Call call(*step.node, step.arguments, values, step.outputs, context, *step.state);
  call.set_variant(step.kernel->variant);
  call.set_epilogue(step.epilogue.get());
  try {
    if (!step.in_place) {
      step.kernel->run(call);
    } else {
      const Tensor destination = call.tensor(step.written_argument);
      if (step.kernel->uses_destination) call.set_destination(&destination);
      step.kernel->run(call);
      if (step.kernel->aliases) give_other_sizes(step, values);
      else write_back(call, step, destination, values);
    }
  } catch (const Error& error) {
    const std::string place = describe(*step.node);
    if (std::string_view(error.what()).starts_with(place)) throw;
    throw error.with_context(place);
  } catch (const std::bad_alloc&) {
    throw_bad_input(describe(*step.node) + ": not enough memory");
  } catch (const std::exception& error) {  // of oneDNN
    throw_unsupported(describe(*step.node) + ": " + error.what());
  }
  // Views into written memory keep their strides; only results of their own are moved.
  if (step.row_major && !step.in_place && !step.kernel->aliases && step.written_argument.empty()) make_row_major(step, values, context);
}

}  // namespace intaglio::interp
