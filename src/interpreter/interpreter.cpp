#include <intaglio/interpreter.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/threads.h"
#include "decompose/decompose.h"
#include "decompose/regions.h"
#include "interpreter/fallbacks.h"
#include "interpreter/graph_runner.h"
#include "interpreter/inputs.h"
#include "ir/mutations.h"

namespace intaglio {

using namespace interp;

namespace {

// What the caller holds must not change when the next run writes to the same memory.
Tensor detached(const RuntimeValue& value) {
  if (const auto* tensor = std::get_if<Tensor>(&value)) return tensor->defined() ? tensor->clone() : Tensor();
  const auto* number = std::get_if<Number>(&value);
  if (number == nullptr) return Tensor();
  if (number->kind() == Number::Kind::floating) return Tensor::scalar(number->as_double());
  if (number->kind() == Number::Kind::boolean) return Tensor::scalar(number->as_int() != 0);
  return Tensor::scalar(number->as_int());
}

}  // namespace

static constexpr const char* complex_as_a_whole = "a program that computes with complex numbers runs as a whole";

// Kernels compute with real numbers, and with operands of the types that the graph says: a program with complex numbers, or under
// autocast, is run as the one that lowering makes of it, in which all other values have the names they had.
class RealForm {
 public:
  explicit RealForm(const ExportedProgram& source) : source_(source) {
    if (!decompose::has_complex(source) && !decompose::has_autocast(source.graph())) return;
    form_.emplace(source.clone());
    decompose::inline_regions(*form_);
    decompose::lower_complex(*form_);
  }

  const ExportedProgram& program() const { return form_ ? *form_ : source_; }
  bool differs() const { return form_.has_value(); }

  // The caller's hook and values, for the program that runs.
  ValueHook translated(const ValueHook& hook) const {
    return [this, &hook](const Value* value, const Tensor& tensor) -> std::optional<Tensor> {
      const Value* known = source_.graph().find_value(value->name());
      return known != nullptr ? hook(known, tensor) : std::nullopt;
    };
  }
  // The caller's values; unsupported error for one that is only in the program that runs.
  std::vector<const Value*> original(const std::vector<const Value*>& values) const {
    std::vector<const Value*> result;
    for (const Value* value : values) {
      result.push_back(source_.graph().find_value(value->name()));
      if (result.back() == nullptr) throw_unsupported(complex_as_a_whole);
    }
    return result;
  }
  std::vector<const Value*> translated(const std::vector<const Value*>& values) const {
    std::vector<const Value*> result;
    for (const Value* value : values)
      if (const Value* known = form_->graph().find_value(value->name())) result.push_back(known);
    return result;
  }

 private:
  const ExportedProgram& source_;
  std::optional<ExportedProgram> form_;
};

struct Interpreter::Impl {
  RealForm form;
  const ExportedProgram& program;
  int threads;
  Pool pool;
  GraphRunner runner;
  std::vector<Value*> user_inputs;
  std::unordered_map<std::string_view, const Value*> state_inputs;  // by target, of a program that writes to some

  Impl(const ExportedProgram& source, const InterpreterOptions& options)
      : form(source),
        program(form.program()),
        threads(thread_count(options.threads)),
        runner(program.graph()),
        user_inputs(program.user_inputs()) {
    runner.set_keep_packed_weights(options.keep_packed_weights);
    place_state();
    place_literals();
    runner.prepare(nullptr, nullptr);
  }

  // Weights stay mapped; what the program writes to becomes the interpreter's own, kept from run to run.
  void place_state() {
    const std::unordered_set<const Value*> mutated = mutated_inputs(program);
    for (const InputSpec& spec : program.input_specs) {
      if (spec.kind == InputSpec::Kind::custom_object)
        throw_unsupported(fmt::format("input '{}' is a custom object", escaped(spec.value->name())));
      if (spec.kind != InputSpec::Kind::parameter && spec.kind != InputSpec::Kind::buffer && spec.kind != InputSpec::Kind::tensor_constant)
        continue;
      const Tensor* tensor = program.constant(spec.value);
      if (tensor == nullptr) throw_bad_input(fmt::format("the program has no tensor '{}'", escaped(spec.target)));
      if (runner.aliasing().written.contains(spec.value)) runner.keep(spec.value, tensor->clone());
      else if (mutated.contains(spec.value)) runner.keep(spec.value, *tensor);
      else runner.set_constant(spec.value, *tensor);
    }
  }

  void place_literals() {
    for (const Value* input : program.graph().inputs()) {
      const Argument* literal = program.graph().literal_of(input);
      if (literal == nullptr) continue;
      RuntimeValue value;
      if (const auto* boolean = literal->get_if<bool>()) value = Number(*boolean);
      else if (const auto* integer = literal->get_if<int64_t>()) value = Number(*integer);
      else if (const auto* floating = literal->get_if<double>()) value = Number(*floating);
      runner.set_constant(input, std::move(value));
    }
  }

  void place_input(const Value* input, const Tensor& tensor) {
    RuntimeValue& place = runner.place(input);
    switch (input->kind()) {
      case ValueKind::tensor: place = runner.aliasing().written.contains(input) ? tensor.clone() : tensor; break;
      case ValueKind::sym_float: place = Number(tensor.item_as_double()); break;
      case ValueKind::sym_bool: place = Number(tensor.item_as_int() != 0); break;
      default: place = Number(tensor.item_as_int());
    }
  }

  void place_inputs(const std::vector<Tensor>& inputs) {
    check_inputs(program, user_inputs, inputs);
    for (size_t i = 0; i < inputs.size(); ++i) place_input(user_inputs[i], inputs[i]);
  }

  const Value* state_input(const std::string& target) {
    if (state_inputs.empty())
      for (const InputSpec& spec : program.input_specs)
        if (spec.kind != InputSpec::Kind::user_input) state_inputs.emplace(spec.target, spec.value);
    const auto found = state_inputs.find(target);
    if (found != state_inputs.end()) return found->second;
    throw_bad_input(fmt::format("the program writes to '{}', which it does not have", escaped(target)));
  }

  std::vector<Tensor> take_outputs(const std::vector<RuntimeValue>& results) {
    std::vector<Tensor> outputs;
    std::vector<std::pair<const Value*, Tensor>> writes;
    for (size_t i = 0; i < results.size(); ++i) {
      const OutputSpec::Kind kind = i < program.output_specs.size() ? program.output_specs[i].kind : OutputSpec::Kind::user_output;
      if (kind == OutputSpec::Kind::user_output) outputs.push_back(detached(results[i]));
      else if (kind == OutputSpec::Kind::buffer_mutation || kind == OutputSpec::Kind::parameter_mutation)
        writes.emplace_back(state_input(program.output_specs[i].target), detached(results[i]));
    }
    for (auto& [input, tensor] : writes) runner.place(input) = std::move(tensor);
    return outputs;
  }
};

Interpreter::Interpreter(const ExportedProgram& program, InterpreterOptions options) : impl_(std::make_unique<Impl>(program, options)) {}
Interpreter::~Interpreter() = default;
Interpreter::Interpreter(Interpreter&&) noexcept = default;

std::vector<Tensor> Interpreter::run(const std::vector<Tensor>& inputs, const ValueHook& hook, const std::vector<const Value*>* watched) {
  impl_->place_inputs(inputs);
  ValueHook translated;
  std::vector<const Value*> translated_watched;
  if (hook && impl_->form.differs()) {
    translated = impl_->form.translated(hook);
    if (watched != nullptr) translated_watched = impl_->form.translated(*watched);
  }
  const ValueHook* used = translated ? &translated : hook ? &hook : nullptr;
  const std::vector<RuntimeValue> results =
      impl_->runner.run(impl_->pool, impl_->threads, used, translated && watched ? &translated_watched : watched);
  return impl_->take_outputs(results);
}

std::vector<const Value*> Interpreter::read_beside(const std::vector<const Value*>& replaced) {
  if (impl_->runner.aliasing().has_in_place) throw_unsupported("a program that writes in place runs as a whole");
  if (!impl_->form.differs()) return impl_->runner.prepare_from(replaced);
  const std::vector<const Value*> translated = impl_->form.translated(replaced);
  if (translated.size() != replaced.size()) throw_unsupported(complex_as_a_whole);
  return impl_->form.original(impl_->runner.prepare_from(translated));
}

std::vector<Tensor> Interpreter::run_from(const std::unordered_map<const Value*, Tensor>& replaced,
                                          const std::function<Tensor(const Value*)>& known) {
  std::vector<const Value*> values;
  for (const auto& [value, tensor] : replaced) values.push_back(value);
  const auto place = [&](const Value* value, const Tensor& tensor) {
    impl_->place_input(impl_->form.differs() ? impl_->form.translated({value}).at(0) : value, tensor);
  };
  for (const Value* value : read_beside(values)) place(value, known(value));
  for (const auto& [value, tensor] : replaced) place(value, tensor);
  std::vector<Tensor> outputs;
  const std::vector<RuntimeValue> results = impl_->runner.run_from(impl_->pool, impl_->threads);
  for (size_t i = 0; i < results.size(); ++i)
    if (i >= impl_->program.output_specs.size() || impl_->program.output_specs[i].kind == OutputSpec::Kind::user_output)
      outputs.push_back(detached(results[i]));
  return outputs;
}

Tensor Interpreter::state_of(const Value* input) const {
  const Value* known = impl_->form.differs() ? impl_->program.graph().find_value(input->name()) : input;
  const auto* tensor = known == nullptr ? nullptr : std::get_if<Tensor>(&impl_->runner.place(known));
  if (tensor == nullptr || !tensor->defined()) throw_bug(fmt::format("'{}' holds no tensor", escaped(input->name())));
  return tensor->is_dense() ? *tensor : tensor->contiguous();
}

// Of complex numbers only transforms have kernels, and views that show them as pairs.
static bool computes_with_complex(const Node& node) {
  const auto is_complex_value = [](const Value* value) { return value->is_tensor() && is_complex(value->dtype()); };
  const bool any = std::ranges::any_of(node.inputs(), is_complex_value) || std::ranges::any_of(node.outputs(), is_complex_value);
  const std::string_view base = node.op().base();
  return any && !base.starts_with("_fft_r2c") && !base.starts_with("_fft_c2r") && !base.starts_with("view_as_");
}

std::optional<std::vector<Tensor>> evaluate_node(const Node& node, const std::vector<Tensor>& inputs) {
  const std::vector<Value*> values = node.inputs();
  if (values.size() != inputs.size()) throw_bug("evaluate_node: tensors and inputs of the node differ in number");
  if (computes_with_complex(node)) return std::nullopt;
  const FoundKernel found = find_kernel(node.op());
  const Kernel* kernel = found.kernel;
  const bool expands = kernel == nullptr && node.op().schema() != nullptr && !node.op().schema()->is_view();
  if (expands) kernel = expansion_kernel(node);
  if (kernel == nullptr) kernel = registry_kernel(node);
  const bool writes = !written_argument(node).empty() && node.op().base() != "detach_";  // which leaves the elements alone
  if (kernel == nullptr || writes) return std::nullopt;
  std::unique_ptr<NodeState> state;
  Step step;
  step.node = &node;
  step.kernel = kernel;
  step.state = &state;
  std::vector<RuntimeValue> places;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (values[i]->is_tensor()) places.emplace_back(inputs[i]);
    else if (values[i]->kind() == ValueKind::sym_float) places.emplace_back(Number(inputs[i].item_as_double()));
    else places.emplace_back(Number(inputs[i].item_as_int()));
  }
  std::unordered_map<const Value*, int32_t> slots;
  for (const Value* value : values) slots.emplace(value, static_cast<int32_t>(slots.size()));
  step.arguments = bind_arguments(node, [&](const Value* value) { return slots.at(value); });
  for (const Value* output : node.outputs()) {
    step.outputs.push_back(static_cast<int32_t>(places.size()));
    step.values.push_back(output);
    places.emplace_back();
  }
  Pool pool;
  Context context{pool, 1, false, nullptr};
  try {
    run_step(step, places, context);
  } catch (const Error& error) {
    if (!expands || error.kind() != ErrorKind::unsupported) throw;
    return std::nullopt;  // no decomposition for this form
  }
  std::vector<Tensor> results;
  for (const int32_t slot : step.outputs) {
    const RuntimeValue& result = places[static_cast<size_t>(slot)];
    const auto* tensor = std::get_if<Tensor>(&result);
    const bool is_view =
        tensor && std::any_of(inputs.begin(), inputs.end(), [&](const Tensor& input) { return input.storage() == tensor->storage(); });
    // Dimensions of size 1 may have any stride in a view; files state strides.
    if (is_view && tensor->is_contiguous())
      results.push_back(tensor->view_as(tensor->sizes(), contiguous_strides(tensor->sizes()), tensor->storage_offset()));
    else results.push_back(is_view ? *tensor : detached(result));
  }
  return results;
}

}  // namespace intaglio
