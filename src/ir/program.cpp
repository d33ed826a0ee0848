#include <intaglio/program.h>

#include <algorithm>
#include <ranges>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

// Placeholder names as the exporter makes them: prefix and the target with other characters turned into `_`.
std::string placeholder_name(const char* prefix, const std::string& target) {
  std::string name = prefix + target;
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!plain) c = '_';
  }
  return name;
}

TensorMeta meta_of(const Tensor& tensor) {
  TensorMeta meta;
  meta.dtype = tensor.dtype();
  meta.sizes.assign(tensor.sizes().begin(), tensor.sizes().end());
  meta.strides.assign(tensor.strides().begin(), tensor.strides().end());
  return meta;
}

bool has_tensor(InputSpec::Kind kind) {
  return kind == InputSpec::Kind::parameter || kind == InputSpec::Kind::buffer || kind == InputSpec::Kind::tensor_constant;
}

void erase_all(State& state, const std::unordered_set<std::string_view>& names) {
  if (names.empty()) return;
  State kept;
  for (const auto& [name, entry] : state.entries())
    if (!names.contains(name)) kept.set(name, entry);
  state = std::move(kept);
}

// In which of the two states a spec's tensor lives.
bool in_state_dict(const InputSpec& spec) {
  return spec.kind == InputSpec::Kind::parameter || (spec.kind == InputSpec::Kind::buffer && spec.persistent);
}

}  // namespace

size_t TreeSpec::leaf_count() const {
  if (is_leaf()) return 1;
  size_t count = 0;
  for (const TreeSpec& child : children) count += child.leaf_count();
  return count;
}

const StateEntry* State::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}
StateEntry* State::find(std::string_view name) {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}
void State::set(const std::string& name, StateEntry entry) {
  if (StateEntry* existing = find(name)) {
    *existing = std::move(entry);
    return;
  }
  index_.emplace(name, entries_.size());
  entries_.emplace_back(name, std::move(entry));
}
ExportedProgram ExportedProgram::clone() const {
  ExportedProgram copy;
  std::unordered_map<const Value*, Value*> mapping;
  copy.graph_ = graph_->clone(&mapping);
  copy.input_specs = input_specs;
  for (InputSpec& spec : copy.input_specs) spec.value = mapping.at(spec.value);
  copy.output_specs = output_specs;
  copy.state = state;
  copy.constants = constants;
  copy.range_constraints = range_constraints;
  copy.in_spec = in_spec;
  copy.out_spec = out_spec;
  copy.source = source;
  copy.weights_file = weights_file;
  copy.carried = carried;
  copy.carried_files = carried_files;
  copy.left_out_files = left_out_files;
  return copy;
}

const InputSpec* ExportedProgram::spec_of(const Value* input) const {
  if (input->producer() != nullptr) return nullptr;
  const size_t index = input->output_index();
  if (index < input_specs.size() && input_specs[index].value == input) return &input_specs[index];
  // Inputs and specs stand apart while both are being changed.
  const auto found = std::ranges::find(input_specs, input, &InputSpec::value);
  return found == input_specs.end() ? nullptr : &*found;
}

const Tensor* ExportedProgram::constant(const Value* value) const {
  const InputSpec* spec = spec_of(value);
  if (spec == nullptr || !has_tensor(spec->kind)) return nullptr;
  const StateEntry* entry = in_state_dict(*spec) ? state.find(spec->target) : constants.find(spec->target);
  return entry == nullptr ? nullptr : &entry->tensor;
}

const std::string* ExportedProgram::target_of(const Value* value) const {
  const InputSpec* spec = spec_of(value);
  return spec == nullptr || spec->target.empty() ? nullptr : &spec->target;
}

bool ExportedProgram::is_mutated(const Value* value) const {
  const InputSpec* spec = spec_of(value);
  if (spec == nullptr) return false;
  for (const OutputSpec& output : output_specs) {
    const bool of_state = output.kind == OutputSpec::Kind::buffer_mutation || output.kind == OutputSpec::Kind::parameter_mutation;
    if (of_state && has_tensor(spec->kind) && output.target == spec->target) return true;
    if (output.kind == OutputSpec::Kind::user_input_mutation && output.target == value->name()) return true;
  }
  // In-place ops write to what their mutated argument is a view of.
  if (!graph_->has_in_place_nodes()) return false;
  std::vector<const Value*> aliases = {value};
  std::unordered_set<const Value*> seen = {value};
  while (!aliases.empty()) {
    const Value* alias = aliases.back();
    aliases.pop_back();
    for (const Node* user : alias->users()) {
      const OpSchema* schema = user->op().schema();
      if (schema == nullptr) continue;
      for (const NamedArgument& argument : user->arguments()) {
        const ArgSchema* formal = schema->find(argument.name);
        const std::vector<Value*> values = values_in(argument.value);
        if (formal == nullptr || std::find(values.begin(), values.end(), alias) == values.end()) continue;
        if (formal->mutated) return true;
        if (formal->aliased)
          for (const Value* output : user->outputs())
            if (seen.insert(output).second) aliases.push_back(output);
      }
    }
  }
  return false;
}

bool ExportedProgram::is_constant(const Value* value) const { return constant(value) != nullptr && !is_mutated(value); }

std::vector<Value*> ExportedProgram::user_inputs() const {
  std::vector<Value*> result;
  for (const InputSpec& spec : input_specs)
    if (spec.kind == InputSpec::Kind::user_input) result.push_back(spec.value);
  return result;
}

std::vector<Argument> ExportedProgram::user_outputs() const {
  std::vector<Argument> result;
  const std::vector<Argument> outputs = graph_->outputs();
  for (size_t i = 0; i < outputs.size() && i < output_specs.size(); ++i)
    if (output_specs[i].kind == OutputSpec::Kind::user_output) result.push_back(outputs[i]);
  return result;
}

namespace {

// Order of the archive: parameters, buffers, constants, user inputs. Looked for from behind, where little follows.
size_t place_of(InputSpec::Kind kind, const std::vector<InputSpec>& specs) {
  size_t position = specs.size();
  while (position > 0 && specs[position - 1].kind > kind) --position;
  return position;
}

}  // namespace

Value* ExportedProgram::add_state_input(InputSpec::Kind kind, std::string target, Tensor tensor) {
  const auto taken = [&](const std::string& name) { return state.contains(name) || constants.contains(name); };
  if (taken(target)) target = free_target(target + "_", 1);
  size_t position = input_specs.size();
  if (!added_) position = place_of(kind, input_specs);
  const char* prefix = kind == InputSpec::Kind::parameter ? "p_" : kind == InputSpec::Kind::buffer ? "b_" : "c_";
  Value* value = graph_->add_input(position, {meta_of(tensor), placeholder_name(prefix, target)});
  input_specs.insert(input_specs.begin() + static_cast<std::ptrdiff_t>(position), {kind, value, target, true});
  if (added_) added_->insert(value);
  State& where = kind == InputSpec::Kind::tensor_constant ? constants : state;
  where.set(target, {std::move(tensor), kind == InputSpec::Kind::parameter, false});
  return value;
}

void ExportedProgram::add_at_once(const std::function<void()>& work) {
  if (added_) return work();
  added_.emplace();
  try {
    work();
  } catch (...) {
    added_.reset();
    throw;
  }
  const auto added = *std::exchange(added_, std::nullopt);
  if (!added.empty()) place_inputs(added);
}

void ExportedProgram::place_inputs(const std::unordered_set<const Value*>& added) {
  std::vector<InputSpec> specs;
  std::map<InputSpec::Kind, std::vector<InputSpec>> fresh;
  for (InputSpec& spec : input_specs)
    if (added.contains(spec.value)) fresh[spec.kind].push_back(std::move(spec));
    else specs.push_back(std::move(spec));
  for (auto& [kind, of_kind] : fresh)
    specs.insert(specs.begin() + static_cast<std::ptrdiff_t>(place_of(kind, specs)), std::make_move_iterator(of_kind.begin()),
                 std::make_move_iterator(of_kind.end()));
  input_specs = std::move(specs);
  std::vector<Value*> inputs;
  for (const InputSpec& spec : input_specs) inputs.push_back(spec.value);
  graph_->order_inputs(std::move(inputs));
}

std::string ExportedProgram::free_target(std::string_view prefix, size_t number) {
  const auto taken = [&](const std::string& name) { return state.contains(name) || constants.contains(name); };
  std::string first = fmt::format("{}{}", prefix, number);
  if (!taken(first)) return first;
  size_t& next = counted_.try_emplace(std::move(first), number + 1).first->second;
  for (;; ++next) {
    std::string candidate = fmt::format("{}{}", prefix, next);
    if (!taken(candidate)) return candidate;
  }
}

Value* ExportedProgram::add_buffer(std::string target, Tensor tensor) {
  return add_state_input(InputSpec::Kind::buffer, std::move(target), std::move(tensor));
}
Value* ExportedProgram::add_parameter(std::string target, Tensor tensor) {
  return add_state_input(InputSpec::Kind::parameter, std::move(target), std::move(tensor));
}
Value* ExportedProgram::add_constant(std::string target, Tensor tensor) {
  return add_state_input(InputSpec::Kind::tensor_constant, std::move(target), std::move(tensor));
}

void ExportedProgram::set_constant(Value* value, Tensor tensor) {
  const InputSpec* spec = spec_of(value);
  if (spec == nullptr || !has_tensor(spec->kind)) throw_bug("set_constant on a value that is no constant");
  StateEntry* entry = in_state_dict(*spec) ? state.find(spec->target) : constants.find(spec->target);
  if (entry == nullptr) throw_bug(fmt::format("there is no tensor for '{}'", spec->target));
  TensorMeta meta = meta_of(tensor);
  entry->requires_grad &= is_floating(tensor.dtype());
  meta.requires_grad = entry->requires_grad;
  value->meta() = std::move(meta);
  entry->tensor = std::move(tensor);
}

size_t ExportedProgram::remove_unused_constants() {
  std::unordered_set<std::string_view> mutated;
  for (const OutputSpec& output : output_specs)
    if (output.kind == OutputSpec::Kind::buffer_mutation) mutated.insert(output.target);
  const std::vector<InputSpec> specs = std::move(input_specs);
  input_specs.clear();
  std::vector<Value*> unused;
  std::unordered_set<std::string_view> dropped_state, dropped_constants;
  for (const InputSpec& spec : specs) {
    if (has_tensor(spec.kind) && spec.value->users().empty() && !mutated.contains(spec.target)) {
      (in_state_dict(spec) ? dropped_state : dropped_constants).insert(spec.target);
      unused.push_back(spec.value);
    } else {
      input_specs.push_back(spec);
    }
  }
  counted_.clear();
  erase_all(state, dropped_state);
  erase_all(constants, dropped_constants);
  graph_->erase_inputs(unused);
  return unused.size();
}

}  // namespace intaglio
