#include "pt2e/prepared.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "interpreter/constant_values.h"

namespace intaglio::pt2e {
namespace {

bool is_per_channel(const ObserverFactory& factory) { return factory.name.find("per_channel") != std::string::npos; }

// Observers whose result does not change when they see the same tensor again.
bool is_idempotent(const Observer& observer) { return observer.kind() == "min_max" || observer.kind() == "per_channel_min_max"; }

const Node* node_of(const Insertion& insertion) {
  if (insertion.value->producer() != nullptr) return insertion.value->producer();
  for (const Node* user : insertion.users)
    if (!layer_name(*user).empty()) return user;
  return insertion.value->users().empty() ? nullptr : insertion.value->users().front();
}

QuantParams derive(const PreparedProgram::State& state, size_t group, size_t depth);

// Counted from the front of the group's tensors.
int64_t axis_of(const PreparedProgram::State& state, size_t group, int64_t axis) {
  const auto& insertions = state.insertions.items;
  const auto member = std::ranges::find(insertions, group, &Insertion::group);
  return axis < 0 && member != insertions.end() ? axis + member->value->meta().rank() : axis;
}

QuantParams calculate(const PreparedProgram::State& state, size_t group, size_t depth) {
  const ObservedGroup& observed = state.groups[group];
  if (observed.decided) return *observed.decided;
  if (observed.observer != nullptr) return observed.observer->calculate_qparams();
  return derive(state, group, depth);
}

QuantParams derive(const PreparedProgram::State& state, size_t group, size_t depth) {
  const QuantizationGroup& specs = state.specs.groups[group];
  const SpecKey& key = state.specs.entries[specs.entries.front()].key;
  if (depth > state.groups.size())
    throw_usage(fmt::format("the parameters of {} are derived from themselves; derive them from observed tensors", describe(key)));
  const auto& spec = std::get<DerivedQuantizationSpec>(*specs.spec);
  std::vector<QuantParams> sources;
  for (const size_t source : specs.derived_from) sources.push_back(calculate(state, source, depth + 1));
  QuantParams params = spec.derive_qparams(sources);
  params.dtype = spec.dtype;
  if (spec.quant_min) params.quant_min = *spec.quant_min;
  if (spec.quant_max) params.quant_max = *spec.quant_max;
  const bool per_channel =
      spec.qscheme && (*spec.qscheme == QScheme::per_channel_affine || *spec.qscheme == QScheme::per_channel_symmetric);
  params.block_size = per_channel ? channel_blocks(axis_of(state, group, spec.ch_axis.value_or(0))) : std::vector<int64_t>();
  // As observers give them, whatever precision the caller computed in.
  for (double& scale : params.scale) scale = static_cast<float>(scale);
  return params;
}

bool is_calibrated(const PreparedProgram::State& state, size_t group, size_t depth) {
  const ObservedGroup& observed = state.groups[group];
  if (observed.decided) return true;
  if (observed.observer != nullptr) return observed.observer->has_observed() || observed.observer->kind() == "fixed_qparams";
  if (depth > state.groups.size()) return true;  // a circle: qparams_of reports it
  for (const size_t source : state.specs.groups[group].derived_from)
    if (!is_calibrated(state, source, depth + 1)) return false;
  return true;
}

}  // namespace

std::unique_ptr<Observer> make_observer(const AnyQuantizationSpec& any) {
  ObserverSettings settings;
  if (const auto* fixed = std::get_if<FixedQParamsQuantizationSpec>(&any)) {
    settings.dtype = fixed->dtype;
    settings.quant_min = fixed->quant_min;
    settings.quant_max = fixed->quant_max;
    settings.qscheme = fixed->qscheme.value_or(QScheme::per_tensor_affine);
    return fixed_qparams_observer(fixed->scale, fixed->zero_point).make(settings);
  }
  const auto* spec = std::get_if<QuantizationSpec>(&any);
  if (spec == nullptr) return nullptr;
  if (!spec->observer.make) throw_usage("a QuantizationSpec has no observer; set one, for example histogram_observer()");
  const bool per_channel = is_per_channel(spec->observer);
  settings.dtype = spec->dtype;
  settings.quant_min = spec->quant_min;
  settings.quant_max = spec->quant_max;
  settings.qscheme = spec->qscheme.value_or(per_channel ? QScheme::per_channel_affine : QScheme::per_tensor_affine);
  settings.ch_axis = spec->ch_axis.value_or(0);
  settings.is_dynamic = spec->is_dynamic;
  if (spec->observer.eps) settings.eps = *spec->observer.eps;
  return spec->observer.make(settings);
}

void observe(PreparedProgram::State& state, const Insertion& insertion, const Tensor& tensor) {
  const ObservedGroup& group = state.groups[insertion.group];
  Observer* observer = group.observer.get();
  if (observer == nullptr || (group.decided && !group.fake_quantizes)) return;
  try {
    observer->observe(tensor);
  } catch (const Error& error) { throw error.with_context(place_of(insertion)); }
}

void observe_value(PreparedProgram::State& state, const Value* value, const Tensor& tensor) {
  if (const auto spread = state.spreads.find(value); spread != state.spreads.end()) spread->second.extend(tensor);
  for (const size_t index : state.insertions.at(value)) observe(state, state.insertions.items[index], tensor);
}

void observe_constants(PreparedProgram::State& state) {
  for (const Value* value : state.program.graph().inputs()) {
    if (state.insertions.at(value).empty() || state.program.constant(value) == nullptr || state.mutated.contains(value)) continue;
    for (const size_t index : state.insertions.at(value)) {
      const Insertion& insertion = state.insertions.items[index];
      const Observer* observer = state.groups[insertion.group].observer.get();
      if (observer == nullptr || (state.constants_observed && is_idempotent(*observer))) continue;
      observe(state, insertion, *state.program.constant(value));
    }
  }
  state.constants_observed = true;
}

void observe_buffers(PreparedProgram::State& state) {
  for (const InputSpec& spec : state.program.input_specs) {
    const bool is_state = spec.kind != InputSpec::Kind::user_input && state.program.constant(spec.value) != nullptr;
    if (!is_state || !state.mutated.contains(spec.value) || state.insertions.at(spec.value).empty()) continue;
    observe_value(state, spec.value, state.interpreter->state_of(spec.value));
  }
}

// Does nothing but weights get parameters ahead of run time?
static bool only_constants_are_observed(const PreparedProgram::State& state, ConstantValues& constants) {
  return std::ranges::all_of(state.insertions.items, [&](const Insertion& insertion) {
    const auto& spec = state.specs.groups[insertion.group].spec;
    const auto* plain = spec ? std::get_if<QuantizationSpec>(&*spec) : nullptr;
    return (plain != nullptr && plain->is_dynamic) || constants.is_constant(insertion.value);
  });
}

static void observe_known_values(PreparedProgram::State& state, ConstantValues& constants) {
  observe_constants(state);
  for (const Node* node : state.program.graph().node_list())
    for (const Value* output : node->outputs()) {
      if (state.insertions.at(output).empty()) continue;
      if (const Tensor* tensor = constants.find(output)) observe_value(state, output, *tensor);
    }
}

void observe_without_samples(PreparedProgram::State& state) {
  if (state.samples != 0 || state.constants_observed) return;
  ConstantValues constants(state.program);
  // torchao gives what no sample reached a scale of 1. A dynamic recipe asks for no samples, so its weights are seen here.
  if (state.options.compat == Compat::torchao && !only_constants_are_observed(state, constants)) return;
  observe_known_values(state, constants);
}

void observe_known_values(PreparedProgram::State& state) {
  ConstantValues constants(state.program);
  observe_known_values(state, constants);
}

bool has_static_params(const PreparedProgram::State& state, const Insertion& insertion) {
  const auto& spec = state.specs.groups[insertion.group].spec;
  const auto* plain = spec ? std::get_if<QuantizationSpec>(&*spec) : nullptr;
  return plain == nullptr || (!plain->is_dynamic && !is_floating(plain->dtype));
}

bool is_calibrated(const PreparedProgram::State& state, size_t group) { return is_calibrated(state, group, 0); }

QuantParams qparams_of(const PreparedProgram::State& state, size_t group) { return calculate(state, group, 0); }

std::string layer_of(const Insertion& insertion) {
  const Node* node = node_of(insertion);
  return node == nullptr ? std::string() : layer_name(*node);
}

std::string place_of(const Insertion& insertion) {
  const Node* node = node_of(insertion);
  const std::string tensor = fmt::format("tensor '{}'", escaped(insertion.value->name()));
  return node == nullptr ? tensor : fmt::format("{} of {}", tensor, describe(*node));
}

std::vector<size_t> graph_order(const PreparedProgram::State& state) {
  std::vector<size_t> order;
  const auto append = [&](const Value* value) {
    const auto& here = state.insertions.at(value);
    order.insert(order.end(), here.begin(), here.end());
  };
  for (const Value* input : state.program.graph().inputs()) append(input);
  for (const Node* node : state.program.graph().node_list())
    for (const Value* output : node->outputs()) append(output);
  return order;
}

}  // namespace intaglio::pt2e
