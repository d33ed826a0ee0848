#include "report/sensitivity.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>

#include "base/threads.h"
#include "decompose/decompose.h"
#include "decompose/regions.h"
#include "interpreter/constant_values.h"
#include "pt2e/passes.h"
#include "qdq/patterns.h"
#include "quant/metrics.h"

namespace intaglio::report {
namespace {

struct Weight {
  std::string argument;
  Tensor floats;
  const Value* rounded;  // of the quantized program: what the layer reads in its place
};

struct Layer {
  std::string name;       // of the node, or of the program's input
  std::string result;     // of the float value that is quantized; "" when it is not
  std::string quantized;  // of its quantize node
  std::vector<Weight> weights;
  std::optional<qdq::Dynamic> dynamic;  // of the quantized program: the input that is quantized at run time
  bool one_scale = false;
  const Node* activation = nullptr;  // of the float program; the quantized one has only the range of the result for it
};

// Every run reads the buffers as the file has them.
void forget_writes(ExportedProgram& program) {
  std::vector<Argument> outputs;
  std::vector<OutputSpec> specs;
  for (size_t i = 0; i < program.output_specs.size(); ++i) {
    if (program.output_specs[i].kind != OutputSpec::Kind::user_output) continue;
    outputs.push_back(program.graph().outputs()[i]);
    specs.push_back(program.output_specs[i]);
  }
  program.graph().set_outputs(std::move(outputs));
  program.output_specs = std::move(specs);
}

void make_ready(ExportedProgram& program) {
  decompose::inline_regions(program);
  decompose::functionalize(program);
  pt2e::fold_batch_norm(program, Compat::intaglio);
  forget_writes(program);
}

// ---------------------------------------------------------------------------------------------------------------- layers

Node* static_quantize_of(const ExportedProgram& program, const Value* value) {
  for (Node* user : value->users())
    if (qdq::is_quantize(*user) && qdq::params_of(program, *user) && user->tensor("input") == value) return user;
  return nullptr;
}

// Null where the argument is none or a number.
const Value* operand_of(const Node& node, std::string_view name) {
  for (const NamedArgument& argument : node.arguments())
    if (Value* const* value = argument.value.get_if<Value*>(); value && argument.name == name) return *value;
  return nullptr;
}

class LayerFinder {
 public:
  LayerFinder(const ExportedProgram& floats, const ExportedProgram& quantized) : floats_(floats), quantized_(quantized) {}

  std::vector<Layer> find() {
    for (const Value* input : quantized_.user_inputs())
      if (const Node* quantize = static_quantize_of(quantized_, input))
        add({.name = input->name(), .result = input->name(), .quantized = quantize->name(), .weights = {}, .dynamic = {}});
    for (const Node* node : quantized_.graph().node_list()) {
      if (qdq::find(*node) || node->outputs().size() != 1 || !node->output()->is_tensor()) continue;
      Layer layer{.name = node->name(), .result = "", .quantized = "", .weights = {}, .dynamic = {}};
      add_operands(layer, *node);
      const Value* value = node->output();
      while (value->has_one_user() && !value->users().front()->outputs().empty() && qdq::clamp_bounds(*value->users().front()))
        value = value->users().front()->output();
      if (const Node* quantize = static_quantize_of(quantized_, value); quantize && seen_.insert(quantize).second) {
        layer.result = value->name();
        layer.quantized = quantize->name();
        layer.activation = fused_into(value->name());
      }
      add(std::move(layer));
    }
    return std::move(layers_);
  }

 private:
  const Node* fused_into(const std::string& result) const {
    const Value* value = floats_.graph().find_value(result);
    if (value == nullptr || !value->has_one_user()) return nullptr;
    const Node* user = value->users().front();
    return qdq::clamp_bounds(*user) && quantized_.graph().find_value(user->output()->name()) == nullptr ? user : nullptr;
  }

  void add(Layer layer) {
    const bool known = layer.result.empty() || floats_.graph().find_value(layer.result) != nullptr;
    if (known && (!layer.result.empty() || !layer.weights.empty())) layers_.push_back(std::move(layer));
  }

  void add_operands(Layer& layer, const Node& node) {
    const Value* twin = floats_.graph().find_value(node.output()->name());
    if (twin == nullptr || twin->producer() == nullptr || twin->producer()->op() != node.op()) return;
    for (const NamedArgument& argument : node.arguments()) {
      Value* const* value = argument.value.get_if<Value*>();
      if (value == nullptr || *value == nullptr || (*value)->producer() == nullptr || !qdq::is_dequantize(*(*value)->producer())) continue;
      const Value* other = operand_of(*twin->producer(), argument.name);
      if (const auto dynamic = qdq::dynamic_of(*value); dynamic && other != nullptr && dynamic->source->name() == other->name())
        layer.dynamic = dynamic;
      if (!constants_.is_constant(*value)) continue;
      const Tensor* floats = other ? floats_.constant(other) : nullptr;
      if (floats == nullptr) continue;
      layer.weights.push_back({argument.name, *floats, *value});
      const auto params = qdq::dequantized(quantized_, *value);
      layer.one_scale = layer.one_scale || (params && params->params.is_per_tensor());
    }
  }

  const ExportedProgram &floats_, &quantized_;
  ConstantValues constants_{quantized_};
  std::vector<Layer> layers_;
  std::unordered_set<const Node*> seen_;
};

bool is_widened(const Layer& layer) {
  return std::ranges::any_of(layer.weights, [](const Weight& weight) { return weight.floats.dtype() != weight.rounded->dtype(); });
}

// -------------------------------------------------------------------------------------------------------------- variants

// The value `value` would be quantized as, put in its place for all who read it.
void quantize_result(ExportedProgram& program, const ExportedProgram& quantized, const Layer& layer) {
  Graph& graph = program.graph();
  const Node* model = quantized.graph().find_value(layer.quantized)->producer();
  const QuantParams params = *qdq::params_of(quantized, *model);
  Value* value = graph.find_value(layer.result);
  Node* position = value->producer() ? graph.next(value->producer()) : graph.node_list().front();
  const std::vector<NamedArgument> numbers = {{"scale", params.scale[0]},
                                              {"zero_point", params.zero_point[0]},
                                              {"quant_min", params.quant_min},
                                              {"quant_max", params.quant_max},
                                              {"dtype", params.dtype}};
  const auto node = [&](qdq::Role role, Value* input, DType dtype) {
    std::vector<NamedArgument> arguments = {{"input", input}};
    arguments.insert(arguments.end(), numbers.begin(), numbers.end());
    const Op op = Op::get(qdq::op_of(role, qdq::Granularity::tensor, qdq::Variant::literals));
    return graph.insert_before(position, op, std::move(arguments), {{.meta = TensorMeta::contiguous(dtype, value->sizes())}}).output();
  };
  Value* integers = node(qdq::Role::quantize, value, params.dtype);
  Value* restored = node(qdq::Role::dequantize, integers, value->dtype());
  graph.replace_uses_if(value, restored, [&](const Node& user) { return &user != integers->producer(); });
}

void replace_operand(Graph& graph, Node& reader, const Value* from, Value* to) {
  for (const NamedArgument& argument : std::vector<NamedArgument>(reader.arguments()))
    if (Value* const* value = argument.value.get_if<Value*>(); value && *value == from) graph.set_argument(reader, argument.name, to);
}

// The nodes that quantize the layer's input at run time, in front of the layer.
void quantize_input(ExportedProgram& program, const Layer& layer) {
  Graph& graph = program.graph();
  Node* reader = graph.find_value(layer.name)->producer();
  Value* source = graph.find_value(layer.dynamic->source->name());
  std::unordered_map<const Value*, Value*> copies = {{layer.dynamic->source, source}};
  for (const Node* node : {layer.dynamic->choose, layer.dynamic->quantize, layer.dynamic->dequantize}) {
    std::vector<NamedArgument> arguments = node->arguments();
    for (NamedArgument& argument : arguments)
      if (Value* const* value = argument.value.get_if<Value*>(); value && *value) argument.value = copies.at(*value);
    std::vector<OutputSpecification> outputs;
    for (const Value* output : node->outputs()) outputs.push_back({.meta = output->meta()});
    const Node& copy = graph.insert_before(reader, node->op(), std::move(arguments), std::move(outputs));
    for (size_t i = 0; i < node->outputs().size(); ++i) copies.emplace(node->output(i), copy.output(i));
  }
  replace_operand(graph, *reader, source, copies.at(layer.dynamic->dequantize->output()));
}

ExportedProgram alone(const ExportedProgram& floats, const ExportedProgram& quantized, const Layer& layer) {
  ExportedProgram program = floats.clone();
  ConstantValues constants(quantized);
  for (const Weight& weight : layer.weights) {
    const Tensor* rounded = constants.find(weight.rounded);
    if (rounded == nullptr) throw_unsupported(fmt::format("layer '{}': its weight cannot be computed", escaped(layer.name)));
    Value* constant = program.add_constant(program.free_target("_rounded_"), rounded->clone());
    program.graph().set_argument(*program.graph().find_value(layer.name)->producer(), weight.argument, constant);
  }
  if (layer.dynamic) quantize_input(program, layer);
  if (!layer.result.empty()) quantize_result(program, quantized, layer);
  return program;
}

ExportedProgram left_in_float(const ExportedProgram& quantized, const Layer& layer) {
  ExportedProgram program = quantized.clone();
  Graph& graph = program.graph();
  for (const Weight& weight : layer.weights) {
    Value* constant = program.add_constant(program.free_target("_exact_"), weight.floats);
    graph.set_argument(*graph.find_value(layer.name)->producer(), weight.argument, constant);
  }
  if (layer.dynamic)
    replace_operand(graph, *graph.find_value(layer.name)->producer(), graph.find_value(layer.dynamic->dequantize->output()->name()),
                    graph.find_value(layer.dynamic->source->name()));
  if (layer.result.empty()) return program;
  Value* value = graph.find_value(layer.result);
  const std::vector<Node*> readers = value->users();
  if (layer.activation != nullptr) {
    std::vector<NamedArgument> arguments = layer.activation->arguments();
    for (NamedArgument& argument : arguments)
      if (argument.value.get_if<Value*>() != nullptr) argument.value = value;
    const Op op = layer.activation->op();
    value = graph.insert_before(graph.next(value->producer()), op, std::move(arguments), {{.meta = value->meta()}}).output();
  }
  for (Node* quantize : readers) {
    if (!qdq::is_quantize(*quantize)) continue;
    for (Node* reader : std::vector<Node*>(quantize->output()->users()))
      if (qdq::is_dequantize(*reader)) graph.replace_all_uses(reader->output(), value);
  }
  return program;
}

// ----------------------------------------------------------------------------------------------------------- what follows

// The part of a variant that differs from the program it is a variant of: what is computed before is given.
class Suffix {
 public:
  Suffix(ExportedProgram variant, const ExportedProgram& whole, const Layer& layer) : program_(std::move(variant)) {
    Graph& graph = program_.graph();
    std::unordered_set<const Value*> varying, changed;
    for (const Value* input : program_.user_inputs()) varying.insert(input);
    for (const Node* node : graph.node_list()) {
      const std::vector<Value*> inputs = node->inputs();
      const auto is_in = [&](const auto& set) {
        return std::ranges::any_of(inputs, [&](const Value* value) { return set.contains(value); });
      };
      const bool is_new = node->outputs().empty() || whole.graph().find_value(node->outputs().front()->name()) == nullptr;
      const bool is_changed = is_new || node->name() == layer.name || is_in(changed) || reads_past(*node, layer);
      for (const Value* output : node->outputs()) {
        if (is_in(varying)) varying.insert(output);
        if (is_changed) changed.insert(output);
      }
    }
    give_what_is_known(varying, changed);
    graph.eliminate_dead_code();
    program_.remove_unused_constants();
    interpreter_.emplace(program_, InterpreterOptions{.threads = 1});
  }

  std::vector<Tensor> run(const std::unordered_map<std::string, Tensor>& known) {
    std::vector<Tensor> inputs;
    for (const Value* input : program_.user_inputs()) {
      const auto found = names_.find(input);
      inputs.push_back(known.at(found == names_.end() ? input->name() : found->second));
    }
    return interpreter_->run(inputs);
  }

 private:
  // A reader of the layer's float result, which the whole program reads quantized.
  static bool reads_past(const Node& node, const Layer& layer) {
    return !layer.result.empty() && !qdq::is_quantize(node) &&
           std::ranges::any_of(node.inputs(), [&](const Value* value) { return value->name() == layer.result; });
  }

  void give_what_is_known(const std::unordered_set<const Value*>& varying, const std::unordered_set<const Value*>& changed) {
    Graph& graph = program_.graph();
    for (Node* node : graph.node_list())
      for (Value* output : std::vector<Value*>(node->outputs())) {
        if (!varying.contains(output) || changed.contains(output) || !output->is_tensor()) continue;
        const auto is_reader = [&](const Node& user) {
          return user.outputs().empty() || std::ranges::any_of(user.outputs(), [&](const Value* made) { return changed.contains(made); });
        };
        if (std::ranges::none_of(output->users(), [&](const Node* user) { return is_reader(*user); })) continue;
        Value* given = graph.add_input(graph.inputs().size(), {output->meta(), output->name() + "_known"});
        program_.input_specs.push_back({InputSpec::Kind::user_input, given, "", true});
        names_.emplace(given, output->name());
        graph.replace_uses_if(output, given, is_reader);
      }
  }

  ExportedProgram program_;
  std::unordered_map<const Value*, std::string> names_;
  std::optional<Interpreter> interpreter_;
};

using Known = std::unordered_map<std::string, Tensor>;

struct Base {
  Known known;  // every value, and the inputs
  std::vector<Tensor> outputs;
  size_t bytes = 0;  // of the values
};

struct BasePair {
  Base exact, rounded;
};

Base run_whole(Interpreter& interpreter, const ExportedProgram& program, const std::vector<Tensor>& inputs) {
  Base base;
  const std::vector<Value*> slots = program.user_inputs();
  for (size_t i = 0; i < slots.size(); ++i) base.known.emplace(slots[i]->name(), inputs.at(i));
  base.outputs = interpreter.run(inputs, [&](const Value* value, const Tensor& tensor) -> std::optional<Tensor> {
    base.known.insert_or_assign(value->name(), tensor.clone());
    base.bytes += tensor.nbytes();
    return std::nullopt;
  });
  return base;
}

void add_outputs(quant::ErrorAccumulator& errors, const std::vector<Tensor>& expected, const std::vector<Tensor>& found) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!expected[i].defined() || !is_floating(expected[i].dtype())) continue;
    const Tensor a = converted(expected[i], DType::float32).contiguous(), b = converted(found.at(i), DType::float32).contiguous();
    errors.add(a.span<float>(), b.span<float>());
  }
}

LayerSensitivity described(const ExportedProgram& floats, const Layer& layer) {
  const Value* value = floats.graph().find_value(layer.name);
  const Node* node = value ? value->producer() : nullptr;
  if (node == nullptr) return {.value = layer.name, .op = "input", .layer = "", .source = ""};
  return {.value = layer.name,
          .op = std::string(node->op().name()),
          .layer = layer_name(*node),
          .source = source_line(*node),
          .one_scale = layer.one_scale};
}

}  // namespace

Sensitivity sensitivity_of(ExportedProgram floats, ExportedProgram quantized, const std::vector<std::vector<Tensor>>& samples, int threads,
                           const std::function<void(size_t layers)>& begin, const std::function<void()>& advance) {
  make_ready(floats);
  make_ready(quantized);
  std::vector<Layer> layers = LayerFinder(floats, quantized).find();
  // Half floats that were quantized as one program in float32 are compared as such.
  if (std::ranges::any_of(layers, is_widened) && pt2e::compute_in_float32(floats, {DType::float16, DType::bfloat16}))
    layers = LayerFinder(floats, quantized).find();
  if (layers.empty())
    throw_bad_input(
        fmt::format("{} and {}: no quantized layer of the second is in the first; give the float program and what `quantize` made of it",
                    escaped(floats.source), escaped(quantized.source)));
  begin(layers.size() * samples.size());
  Interpreter float_runner(floats, {.threads = threads}), quantized_runner(quantized, {.threads = threads});
  quant::ErrorAccumulator whole;
  std::vector<quant::ErrorAccumulator> alone_errors(layers.size()), left_errors(layers.size());
  // What follows a layer is made ready, its weights packed, once for as many samples as are held at a time.
  constexpr size_t most_bytes = size_t{1} << 30;
  for (size_t next = 0; next < samples.size();) {
    std::vector<BasePair> held;
    for (size_t bytes = 0; next < samples.size() && bytes < most_bytes; ++next) {
      const BasePair& last =
          held.emplace_back(run_whole(float_runner, floats, samples[next]), run_whole(quantized_runner, quantized, samples[next]));
      add_outputs(whole, last.exact.outputs, last.rounded.outputs);
      bytes += last.exact.bytes + last.rounded.bytes;
    }
    parallel_for(layers.size(), threads, [&](size_t i) {
      Suffix only(alone(floats, quantized, layers[i]), floats, layers[i]),
          without(left_in_float(quantized, layers[i]), quantized, layers[i]);
      for (const auto& [exact, rounded] : held) {
        add_outputs(alone_errors[i], exact.outputs, only.run(exact.known));
        add_outputs(left_errors[i], exact.outputs, without.run(rounded.known));
        advance();
      }
    });
  }
  Sensitivity result{whole.metrics().sqnr_db, {}};
  for (size_t i = 0; i < layers.size(); ++i) {
    LayerSensitivity row = described(floats, layers[i]);
    row.alone_db = alone_errors[i].metrics().sqnr_db;
    row.in_float_db = left_errors[i].metrics().sqnr_db;
    row.gained_db = row.in_float_db - result.quantized_db;
    result.layers.push_back(std::move(row));
  }
  std::ranges::stable_sort(result.layers, [](const LayerSensitivity& a, const LayerSensitivity& b) {
    return a.gained_db != b.gained_db ? a.gained_db > b.gained_db : a.alone_db < b.alone_db;
  });
  return result;
}

}  // namespace intaglio::report
