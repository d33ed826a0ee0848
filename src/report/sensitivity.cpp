#include "report/sensitivity.h"

#include <algorithm>
#include <atomic>
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
#include "quant/affine.h"
#include "quant/metrics.h"
#include "report/comparison.h"

namespace intaglio::report {
namespace {

struct Weight {
  std::string argument;
  Tensor floats;
  const Value* rounded;  // of the quantized program: what the layer reads in its place
};

struct Layer {
  std::string name;       // of what the node gives, or of the program's input
  std::string result;     // of the float value that is quantized; "" when it is not
  std::string quantized;  // of what its quantize node gives
  std::vector<Weight> weights;
  std::optional<qdq::Dynamic> dynamic;  // of the quantized program: the input that is quantized at run time
  std::string dynamic_argument;
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
  if (decompose::has_complex(program)) decompose::lower_complex(program);
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
        add({.name = input->name(), .result = input->name(), .quantized = quantize->output()->name(), .weights = {}, .dynamic = {}});
    for (const Node* node : quantized_.graph().node_list()) {
      if (qdq::find(*node) || node->outputs().size() != 1 || !node->output()->is_tensor()) continue;
      Layer layer{.name = node->output()->name(), .result = "", .quantized = "", .weights = {}, .dynamic = {}};
      add_operands(layer, *node);
      const Value* value = node->output();
      while (value->has_one_user() && !value->users().front()->outputs().empty() && qdq::clamp_bounds(*value->users().front()))
        value = value->users().front()->output();
      if (const Node* quantize = static_quantize_of(quantized_, value); quantize && seen_.insert(quantize).second) {
        layer.result = value->name();
        layer.quantized = quantize->output()->name();
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
    // Sizes found at run time move data.
    if (std::ranges::any_of(node.inputs(), [](const Value* value) { return !value->is_tensor(); })) return;
    for (const NamedArgument& argument : node.arguments()) {
      Value* const* value = argument.value.get_if<Value*>();
      if (value == nullptr || *value == nullptr || (*value)->producer() == nullptr || !qdq::is_dequantize(*(*value)->producer())) continue;
      const Value* other = operand_of(*twin->producer(), argument.name);
      if (const auto dynamic = qdq::any_dynamic_of(*value); dynamic && other != nullptr && dynamic->source->name() == other->name()) {
        layer.dynamic = dynamic;
        layer.dynamic_argument = argument.name;
      }
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

// ------------------------------------------------------------------------------------------- a layer computed by itself

using Tensors = std::unordered_map<const Value*, Tensor>;

// A layer in one of the two programs.
struct Site {
  const Node* node = nullptr;     // with weights or an input that the other program has otherwise; else the result stays as it is
  const Value* result = nullptr;  // of the node, or behind its activations where it is quantized there
  std::vector<const Node*> activations;
  const Value* dynamic = nullptr;      // what the node reads of an input that is quantized at run time
  const Value* source = nullptr;       // that input
  std::vector<const Value*> operands;  // what samples change of all that the result is computed of
  std::vector<const Value*> replaced;  // by what the layer gives otherwise
};

Site site_in(const ExportedProgram& program, const Layer& layer) {
  Site site;
  const auto value_of = [&](const std::string& name) { return program.graph().find_value(name); };
  site.result = value_of(layer.result.empty() ? layer.name : layer.result);
  site.operands = {site.result};
  if (layer.weights.empty() && !layer.dynamic) return site;
  site.node = value_of(layer.name)->producer();
  for (const Value* value = site.result; value->producer() != site.node; value = value->producer()->inputs().front()) {
    if (value->producer() == nullptr || value->producer()->inputs().empty())
      throw_unsupported(
          fmt::format("'{}' is quantized, and does not follow '{}' in both programs", escaped(layer.result), escaped(layer.name)));
    site.activations.insert(site.activations.begin(), value->producer());
  }
  site.operands.clear();
  if (layer.dynamic) {
    site.dynamic = operand_of(*site.node, layer.dynamic_argument);
    site.source = value_of(layer.dynamic->source->name());
    site.operands.push_back(site.source);
  }
  ConstantValues constants(program);
  for (const Value* value : site.node->inputs())
    if (value != site.dynamic && !constants.is_constant(value)) site.operands.push_back(value);
  return site;
}

Site site_in_floats(const ExportedProgram& floats, const Layer& layer) {
  Site site = site_in(floats, layer);
  site.replaced = {site.result};
  return site;
}

Site site_in_quantized(const ExportedProgram& quantized, const Layer& layer) {
  Site site = site_in(quantized, layer);
  if (!layer.result.empty())
    for (const Node* quantize : site.result->users())
      if (qdq::is_quantize(*quantize))
        for (const Node* reader : quantize->output()->users())
          if (qdq::is_dequantize(*reader)) site.replaced.push_back(reader->output());
  if (site.node != nullptr) site.replaced.push_back(site.result);
  return site;
}

// Nodes computed one by one, on what was put here, what a run of the whole program has shown, and constants.
class Piece {
 public:
  Piece(const ExportedProgram& program, const Tensors& known) : constants_(program), known_(known) {}

  void put(const Value* value, Tensor tensor) { tensors_.insert_or_assign(value, std::move(tensor)); }
  const Tensor& at(const Value* value) {
    if (const auto found = tensors_.find(value); found != tensors_.end()) return found->second;
    if (const auto found = known_.find(value); found != known_.end()) return found->second;
    if (const Tensor* constant = constants_.find(value)) return *constant;
    throw_unsupported(fmt::format("'{}' cannot be computed by itself", escaped(value->name())));
  }
  void compute(const Node& node) {
    std::vector<Tensor> operands;
    for (const Value* value : node.inputs()) operands.push_back(at(value));
    const auto results = evaluate_node(node, operands);
    if (!results) throw_unsupported(describe(node) + " cannot be computed by itself");
    for (size_t i = 0; i < results->size(); ++i) put(node.output(i), (*results)[i]);
  }
  // The layer's result with these weights.
  Tensor result_of(const Layer& layer, const Site& site, const std::vector<Tensor>& weights) {
    for (size_t i = 0; site.node != nullptr && i < weights.size(); ++i) put(operand_of(*site.node, layer.weights[i].argument), weights[i]);
    if (site.node != nullptr) compute(*site.node);
    for (const Node* activation : site.activations) compute(*activation);
    return at(site.result);
  }

 private:
  ConstantValues constants_;
  const Tensors& known_;
  Tensors tensors_;
};

std::vector<Tensor> rounded_weights(const ExportedProgram& quantized, const Layer& layer) {
  ConstantValues constants(quantized);
  std::vector<Tensor> weights;
  for (const Weight& weight : layer.weights) {
    const Tensor* rounded = constants.find(weight.rounded);
    if (rounded == nullptr) throw_unsupported(fmt::format("layer '{}': its weight cannot be computed", escaped(layer.name)));
    weights.push_back(*rounded);
  }
  return weights;
}

// What those behind the layer read of the float program when it alone is quantized.
Tensors quantized_alone(const ExportedProgram& floats, const ExportedProgram& quantized, const Layer& layer, const Site& site,
                        const std::vector<Tensor>& weights, const Tensors& known) {
  Piece piece(floats, known);
  if (layer.dynamic) {
    Piece input(quantized, known);
    input.put(layer.dynamic->source, piece.at(site.source));
    for (const Node* node : {layer.dynamic->choose, layer.dynamic->quantize, layer.dynamic->dequantize}) input.compute(*node);
    piece.put(site.dynamic, input.at(layer.dynamic->dequantize->output()));
  }
  Tensor result = piece.result_of(layer, site, weights);
  if (!layer.result.empty()) {
    const QuantParams params = *qdq::params_of(quantized, *quantized.graph().find_value(layer.quantized)->producer());
    const double scale = params.scale[0];
    const int64_t zero_point = params.zero_point[0];
    const Tensor integers = quant::quantize_per_tensor(result, scale, zero_point, {params.quant_min, params.quant_max}, params.dtype);
    result = quant::dequantize_per_tensor(integers, scale, zero_point, result.dtype());
  }
  return {{site.result, result}};
}

// What those behind the layer read of the quantized program when it alone is in float.
Tensors left_in_float(const ExportedProgram& floats, const ExportedProgram& quantized, const Layer& layer, const Site& site,
                      const Tensors& known) {
  Piece piece(quantized, known);
  if (layer.dynamic) piece.put(site.dynamic, piece.at(site.source));
  std::vector<Tensor> weights;
  for (const Weight& weight : layer.weights) weights.push_back(weight.floats);
  const Tensor result = piece.result_of(layer, site, weights);
  Tensor read = result;
  if (layer.activation != nullptr) {
    Piece behind(floats, known);
    behind.put(layer.activation->inputs().front(), result);
    behind.compute(*layer.activation);
    read = behind.at(layer.activation->output());
  }
  Tensors replaced;
  for (const Value* value : site.replaced) replaced.emplace(value, value == site.result ? result : read);
  return replaced;
}

// ------------------------------------------------------------------------------------------------------------- samples

// A program, what a run of it shows of a sample, and which of that layers and what follows them read.
struct Whole {
  const ExportedProgram& program;
  std::vector<const Value*> watched;

  Whole(const ExportedProgram& of, const std::vector<Site>& sites) : program(of) {
    Interpreter planner(program, {.threads = 1});
    std::unordered_set<const Value*> values;
    for (const Site& site : sites) {
      values.insert(site.operands.begin(), site.operands.end());
      for (const Value* value : planner.read_beside(site.replaced)) values.insert(value);
    }
    for (const Node* node : program.graph().node_list())
      for (const Value* output : node->outputs())
        if (values.contains(output)) watched.push_back(output);
  }
};

struct Shown {
  Tensors known;  // what is watched, and the inputs
  std::vector<Tensor> outputs;
  size_t bytes = 0;
};

Shown run_whole(Interpreter& interpreter, const Whole& whole, const std::vector<Tensor>& inputs) {
  Shown shown;
  const std::vector<Value*> slots = whole.program.user_inputs();
  for (size_t i = 0; i < slots.size(); ++i) shown.known.emplace(slots[i], inputs.at(i));
  const auto keep = [&](const Value* value, const Tensor& tensor) -> std::optional<Tensor> {
    shown.known.insert_or_assign(value, tensor);  // the interpreter leaves what others hold alone
    shown.bytes += tensor.storage()->size();
    return std::nullopt;
  };
  shown.outputs = interpreter.run(inputs, keep, &whole.watched);
  return shown;
}

struct ShownPair {
  Shown exact, rounded;
};

std::vector<Tensor> outputs_with(Interpreter& interpreter, const Tensors& replaced, const Tensors& known) {
  return interpreter.run_from(replaced, [&](const Value* value) { return known.at(value); });
}

// What outputs are off by, and with labels how many rows are right.
class Outcome {
 public:
  explicit Outcome(const std::optional<std::vector<int64_t>>& labels) {
    if (labels) scores_.emplace(labels);
  }

  void add(const std::vector<Tensor>& expected, const std::vector<Tensor>& found) {
    for (size_t i = 0; i < expected.size(); ++i) {
      if (!expected[i].defined() || !is_floating(expected[i].dtype())) continue;
      const Tensor a = converted(expected[i], DType::float32).contiguous(), b = converted(found.at(i), DType::float32).contiguous();
      errors_.add(a.span<float>(), b.span<float>());
    }
    if (scores_) scores_->add(expected, found);
  }
  double db() const { return errors_.metrics().sqnr_db; }
  std::optional<double> top1() const { return scores_ ? scores_->result().candidate_accuracy : std::nullopt; }
  std::optional<double> reference_top1() const { return scores_ ? scores_->result().reference_accuracy : std::nullopt; }

 private:
  quant::ErrorAccumulator errors_;
  std::optional<Comparer> scores_;
};

// The layers of two programs, and what comes of each.
class Study {
 public:
  Study(const ExportedProgram& floats, const ExportedProgram& quantized, std::vector<Layer> layers, const SensitivityOptions& options)
      : floats_(floats),
        quantized_(quantized),
        layers_(std::move(layers)),
        options_(options),
        whole_(options.labels),
        alone_(layers_.size(), Outcome(options.labels)),
        in_float_(alone_) {
    for (const Layer& layer : layers_) {
      exact_sites_.push_back(site_in_floats(floats_, layer));
      rounded_sites_.push_back(site_in_quantized(quantized_, layer));
    }
  }

  void run(const std::vector<std::vector<Tensor>>& samples) {
    const Whole exact(floats_, exact_sites_), rounded(quantized_, rounded_sites_);
    Interpreter exact_runner(floats_, {.threads = options_.threads}), rounded_runner(quantized_, {.threads = options_.threads});
    // As many samples as are held at a time share what is packed.
    constexpr size_t most_bytes = size_t{1} << 30;
    for (size_t next = 0; next < samples.size();) {
      std::vector<ShownPair> held;
      for (size_t bytes = 0; next < samples.size() && bytes < most_bytes; ++next) {
        const ShownPair& last =
            held.emplace_back(run_whole(exact_runner, exact, samples[next]), run_whole(rounded_runner, rounded, samples[next]));
        whole_.add(last.exact.outputs, last.rounded.outputs);
        bytes += last.exact.bytes + last.rounded.bytes;
      }
      const size_t workers = std::min(static_cast<size_t>(thread_count(options_.threads)), layers_.size());
      std::atomic<size_t> next_layer = 0;
      parallel_for(workers, options_.threads, [&](size_t) {
        Interpreter exact_part(floats_, {.threads = 1}), rounded_part(quantized_, {.threads = 1});
        for (size_t i = next_layer++; i < layers_.size(); i = next_layer++) run_layer(i, held, exact_part, rounded_part);
      });
    }
  }

  Sensitivity result() const {
    Sensitivity result{whole_.db(), whole_.reference_top1(), whole_.top1(), {}};
    for (size_t i = 0; i < layers_.size(); ++i) {
      LayerSensitivity row = described(layers_[i]);
      row.alone_db = alone_[i].db();
      row.in_float_db = in_float_[i].db();
      row.gained_db = row.in_float_db - result.quantized_db;
      if (options_.alone) row.alone_top1 = alone_[i].top1();
      row.in_float_top1 = in_float_[i].top1();
      result.layers.push_back(std::move(row));
    }
    std::ranges::stable_sort(result.layers, [](const LayerSensitivity& a, const LayerSensitivity& b) {
      return a.gained_db != b.gained_db ? a.gained_db > b.gained_db : a.alone_db < b.alone_db;
    });
    return result;
  }

 private:
  void run_layer(size_t i, const std::vector<ShownPair>& held, Interpreter& exact_part, Interpreter& rounded_part) {
    const Layer& layer = layers_[i];
    std::vector<Tensor> weights;
    if (options_.alone) weights = rounded_weights(quantized_, layer);
    for (const auto& [exact, rounded] : held) {
      if (options_.alone) {
        const Tensors replaced = quantized_alone(floats_, quantized_, layer, exact_sites_[i], weights, exact.known);
        alone_[i].add(exact.outputs, outputs_with(exact_part, replaced, exact.known));
      }
      const Tensors replaced = left_in_float(floats_, quantized_, layer, rounded_sites_[i], rounded.known);
      in_float_[i].add(exact.outputs, outputs_with(rounded_part, replaced, rounded.known));
      if (options_.advance) options_.advance();
    }
  }

  LayerSensitivity described(const Layer& layer) const {
    const Value* value = floats_.graph().find_value(layer.name);
    const Node* node = value ? value->producer() : nullptr;
    if (node == nullptr) return {.value = layer.name, .op = "input", .layer = "", .source = ""};
    return {.value = layer.name,
            .op = std::string(node->op().name()),
            .layer = layer_name(*node),
            .source = source_line(*node),
            .one_scale = layer.one_scale};
  }

  const ExportedProgram &floats_, &quantized_;
  std::vector<Layer> layers_;
  const SensitivityOptions& options_;
  std::vector<Site> exact_sites_, rounded_sites_;
  Outcome whole_;
  std::vector<Outcome> alone_, in_float_;
};

}  // namespace

Sensitivity sensitivity_of(ExportedProgram floats, ExportedProgram quantized, const std::vector<std::vector<Tensor>>& samples,
                           const SensitivityOptions& options) {
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
  if (options.begin) options.begin(layers.size() * samples.size());
  Study study(floats, quantized, std::move(layers), options);
  study.run(samples);
  return study.result();
}

}  // namespace intaglio::report
