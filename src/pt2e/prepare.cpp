#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "decompose/decompose.h"
#include "decompose/regions.h"
#include "ir/mutations.h"
#include "ir/work.h"
#include "pt2e/passes.h"
#include "pt2e/prepared.h"
#include "pt2e/steps.h"
#include "pt2e/uncalibrated.h"

namespace intaglio {

using namespace pt2e;
namespace {

std::vector<const Value*> watched_values(const PreparedProgram::State& state) {
  std::vector<const Value*> watched;
  for (const Node* node : state.program.graph().node_list())
    for (const Value* output : node->outputs())
      if (!state.insertions.at(output).empty() || state.spreads.contains(output)) watched.push_back(output);
  return watched;
}

[[noreturn]] void refuse_float64(const std::string& place, const Value* value) {
  throw_unsupported(
      fmt::format("{}: '{}' is float64, and integer kernels stand beside float32; export `model.float()`", place, escaped(value->name())));
}

bool is_float64(const Value* value) { return value->is_tensor() && value->dtype() == DType::float64; }

// A part of the program in float64 stays in float; where every layer is in it, the model is to be another.
void leave_float64(PreparedProgram::State& state) {
  std::vector<const Node*> wide;
  bool has_layer = false;
  for (const Node* node : state.program.graph().node_list()) {
    const QuantizationAnnotation* annotation = state.annotations.find(node);
    if (annotation == nullptr || (annotation->input_qspec_map.empty() && !annotation->output_qspec)) continue;
    const bool is_wide = std::ranges::any_of(annotation->input_qspec_map, [](const auto& input) { return is_float64(input.first); }) ||
                         std::ranges::any_of(node->outputs(), is_float64);
    if (is_wide) wide.push_back(node);
    else has_layer = has_layer || work_of(state.program, *node).is_macs;
  }
  if (!has_layer) return;
  WorkShare share(state.program);
  for (const Node* node : wide) {
    state.annotations.of(node) = {};
    state.annotations.refuse(node, "it is float64, and integer kernels stand beside float32");
    state.warn(Warning::at(describe(*node),
                           fmt::format("it is float64, and stays so ({:.1f}% of the work): integer kernels stand beside float32; use "
                                       "`.float()` to quantize it",
                                       100 * share.of({node})),
                           true));
  }
}

void check_targets(const PreparedProgram::State& state) {
  for (const Insertion& insertion : state.insertions.items)
    if (!is_floating(insertion.value->dtype()))
      throw_usage(fmt::format("{} is {}; only float tensors can be quantized, leave it out of the annotation", place_of(insertion),
                              name(insertion.value->dtype())));
  for (const Insertion& insertion : state.insertions.items) {
    if (insertion.value->dtype() != DType::float64) continue;
    // The layer that is quantized, rather than what it reads.
    const bool of_layer = !insertion.of_output && !insertion.users.empty();
    refuse_float64(of_layer ? describe(*insertion.users.front()) : place_of(insertion), insertion.value);
  }
}

// Observers stand in the program's own graph: what works inside a sub-graph stays in float.
void warn_of_subgraphs(const PreparedProgram::State& state) {
  WorkShare share(state.program);
  for (const Node* node : state.program.graph().node_list()) {
    const auto is_float = [](const Value* value) { return value->is_tensor() && is_floating(value->dtype()); };
    if (decompose::subgraphs_of(*node).empty() || std::ranges::none_of(node->outputs(), is_float)) continue;
    state.warn(Warning::at(decompose::describe_region(*node),
                           fmt::format("{}, and stays in float ({:.1f}% of the work); {}", subgraph_refusal, 100 * share.of({node}),
                                       decompose::advice_for_subgraph(*node)),
                           true));
  }
}

const Node* chosen_node(const PreparedProgram::State& state, const char* choice, const std::string& name) {
  const Value* value = state.program.graph().find_value(name);
  if (value == nullptr || value->producer() == nullptr)
    throw_bad_input(
        fmt::format("'{}' names '{}', and the program has no such operator; the plan belongs to another model", choice, escaped(name)));
  return value->producer();
}

// Patterns leave alone what is annotated.
void keep_in_float(PreparedProgram::State& state) {
  for (const std::string& name : state.options.in_float) {
    QuantizationAnnotation& annotation = state.annotations.of(chosen_node(state, "in_float", name));
    annotation.annotated = true;
    annotation.rule = "in float, as the plan says";
  }
}

// A weight that the quantizer gives one scale, of a layer that is to have one for each output channel.
void give_channels(PreparedProgram::State& state) {
  for (const std::string& name : state.options.per_channel) {
    const Node* node = chosen_node(state, "per_channel", name);
    const bool is_transposed = node->op().name().find("conv_transpose") != std::string_view::npos;
    bool is_given = false;
    if (QuantizationAnnotation* annotation = state.annotations.find(node))
      for (auto& [value, any] : annotation->input_qspec_map) {
        auto* spec = any ? std::get_if<QuantizationSpec>(&*any) : nullptr;
        if (spec == nullptr || state.program.constant(value) == nullptr || value->meta().rank() < 2) continue;
        is_given = is_given || spec->qscheme == QScheme::per_channel_symmetric;
        if (spec->qscheme != QScheme::per_tensor_symmetric) continue;
        spec->qscheme = QScheme::per_channel_symmetric;
        spec->ch_axis = is_transposed ? 1 : 0;
        ObserverFactory observer = per_channel_min_max_observer(spec->observer.eps);
        spec->observer = spec->observer.fake_quantizes ? fake_quantize(std::move(observer)) : std::move(observer);
        is_given = true;
      }
    if (!is_given)
      state.warn(Warning::at(describe(*node), "'per_channel' names it, and it has no weight that the quantizer gives one symmetric scale"));
  }
}

// The operator that does the most says why: a configuration that names nothing, no pattern, a form that no kernel takes.
void warn_of_nothing(const PreparedProgram::State& state) {
  const Node* largest = nullptr;
  uint64_t most = 0;
  for (const Node* node : state.program.graph().node_list()) {
    if (!computes_on_floats(*node)) continue;
    const uint64_t work = work_of(state.program, *node).amount;
    if (largest == nullptr || work > most) largest = node, most = work;
  }
  if (largest != nullptr && largest->output()->dtype() == DType::float64) refuse_float64(describe(*largest), largest->output());
  const std::string* reason = largest == nullptr ? nullptr : state.annotations.refusal(largest);
  std::string why = "no operator computes on floats";
  if (largest != nullptr)
    why =
        fmt::format("most of the work is {} ({})", describe(*largest), reason == nullptr ? "the quantizer does not annotate it" : *reason);
  state.warn({fmt::format("the quantizer annotated nothing, and the program stays in float: {}", why), true});
}

bool fake_quantizes(const QuantizationGroup& group) {
  const auto* plain = group.spec ? std::get_if<QuantizationSpec>(&*group.spec) : nullptr;
  return plain != nullptr && plain->observer.fake_quantizes;
}

std::vector<Tensor> run_observed(PreparedProgram::State& state, const std::vector<Tensor>& inputs) {
  // Every state is what some call reads, the last one too; torchao sees only those that its samples read.
  const bool every_state = state.options.compat != Compat::torchao;
  if (!every_state || state.samples == 0) observe_buffers(state);
  const std::vector<Value*> user_inputs = state.program.user_inputs();
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].defined()) observe_value(state, user_inputs[i], inputs[i]);
  const auto observe = [&](const Value* value, const Tensor& tensor) -> std::optional<Tensor> {
    observe_value(state, value, tensor);
    return std::nullopt;
  };
  std::vector<Tensor> outputs = state.interpreter->run(inputs, observe, &state.watched);
  if (every_state) observe_buffers(state);
  return outputs;
}

}  // namespace

PreparedProgram prepare_pt2e(ExportedProgram program, const Quantizer& quantizer, const PrepareOptions& options) {
  auto state = std::make_unique<PreparedProgram::State>();
  state->program = std::move(program);
  state->options = options;

  // The operators of a region are the program's own for lowering, so they are for observers; torchao passes them over.
  if (options.compat != Compat::torchao) {
    decompose::inline_regions(state->program);
    decompose::replace_in_place_views(state->program);
    decompose::functionalize_shared_writes(state->program);
    decompose::expand_fused_layers(state->program);
    decompose::recognize_gelu(state->program);
    // What no output needs may not be run, and gets no range.
    state->program.graph().eliminate_dead_code();
    bound_lengths(state->program);
  }
  // Before batch norms are folded: their products would be rounded to the narrow type.
  if (compute_in_float32(state->program, quantizer.widened_types()))
    state->warn(std::string(
        "the program is in float16 or bfloat16 and is quantized as one in float32: what stays in float computes in float32, inputs and "
        "outputs keep their types"));
  // Quantized weights must be those of deployment, where no batch norm is left. torchao knows none that is written out.
  if (options.compat != Compat::torchao) restore_batch_norms(state->program);
  fold_batch_norm(state->program, options.compat);
  // The quantizer sees the folded program, and may rewrite it before it says what is quantized.
  state->program.add_at_once([&] { quantizer.transform_for_annotation(state->program); });
  verify(state->program);
  keep_in_float(*state);
  quantizer.annotate(state->program, state->annotations);
  give_channels(*state);
  quantizer.validate(state->program, state->annotations);
  leave_float64(*state);
  // Who shares an observer is known only when all annotations are.
  state->specs = resolve_specs(state->program.graph(), state->annotations, options.compat);
  state->insertions = plan_insertions(state->program, state->annotations, state->specs, options.compat);
  check_targets(*state);
  for (const QuantizationGroup& group : state->specs.groups)
    state->groups.push_back({group.spec ? make_observer(*group.spec) : nullptr, std::nullopt, fake_quantizes(group)});
  state->mutated = mutated_inputs(state->program);
  state->spreads = spreads_to_watch(*state);
  state->watched = watched_values(*state);
  warn_of_subgraphs(*state);
  warn_of_requests(*state);
  if (state->insertions.items.empty()) warn_of_nothing(*state);
  return PreparedProgram(std::move(state));
}

PreparedProgram::PreparedProgram(std::unique_ptr<State> state) : state_(std::move(state)) {}
PreparedProgram::PreparedProgram(PreparedProgram&&) noexcept = default;
PreparedProgram& PreparedProgram::operator=(PreparedProgram&&) noexcept = default;
PreparedProgram::~PreparedProgram() = default;

const ExportedProgram& PreparedProgram::program() const { return state_->program; }
size_t PreparedProgram::calibrated_samples() const { return state_->samples; }
const std::vector<Tensor>& PreparedProgram::first_sample() const { return state_->first_sample; }

std::vector<Tensor> PreparedProgram::operator()(const std::vector<Tensor>& inputs) {
  State& state = *state_;
  const std::vector<Value*> user_inputs = state.program.user_inputs();
  if (inputs.size() != user_inputs.size())
    throw_bad_input(fmt::format("a calibration sample has {} tensors, the program takes {}", inputs.size(), user_inputs.size()));
  // Graph inputs come before every node, constants before user inputs, as they stand in the signature.
  observe_constants(state);
  if (state.interpreter == nullptr) {
    if (std::ranges::any_of(state.groups, &ObservedGroup::fake_quantizes)) state.fake_quantized = fake_quantized_program(state);
    const ExportedProgram& run = state.fake_quantized ? state.fake_quantized->program : state.program;
    state.interpreter = std::make_unique<Interpreter>(run, InterpreterOptions{.threads = state.options.threads});
  }
  std::vector<Tensor> outputs = state.fake_quantized ? run_fake_quantized(state, inputs) : run_observed(state, inputs);
  if (state.samples++ == 0) state.first_sample = inputs;
  return outputs;
}

}  // namespace intaglio
