#include <algorithm>

#include <intaglio/error.h>
#include <intaglio/xnnpack.h>

#include "backends/xnnpack/quantizer_patterns.h"

namespace intaglio::xnnpack {
namespace {

// Smallest scale of every observer, activations and weights alike.
constexpr double eps = 0.000244140625;  // 2^-12

template <typename Match>
bool in_module(const Node& node, Match match) {
  const std::vector<ModuleScope> stack = module_stack(node);
  return std::any_of(stack.begin(), stack.end(), match);
}

bool is_named(const Node& node, const std::string& path) {
  return in_module(node, [&](const ModuleScope& scope) { return scope.path == path; });
}

bool has_type(const Node& node, const std::string& type) {
  return in_module(node, [&](const ModuleScope& scope) { return scope.type == type; });
}

template <typename Entries>
void set(Entries& entries, std::string key, std::optional<QuantizationConfig> config) {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == key; });
  if (found != entries.end()) found->second = std::move(config);
  else entries.emplace_back(std::move(key), std::move(config));
}

std::string free_name(const ExportedProgram& program) {
  for (size_t i = 0;; ++i) {
    std::string name = "_tensor_constant_" + std::to_string(i);
    if (!program.state.contains(name) && !program.constants.contains(name)) return name;
  }
}

std::optional<double> number_of(const Argument& argument) {
  if (const auto* integer = argument.get_if<int64_t>()) return static_cast<double>(*integer);
  if (const auto* floating = argument.get_if<double>()) return *floating;
  if (const auto* boolean = argument.get_if<bool>()) return *boolean ? 1.0 : 0.0;
  return std::nullopt;
}

}  // namespace

QuantizationConfig get_symmetric_quantization_config(const SymmetricQuantizationOptions& options) {
  if (options.is_qat)
    throw_unsupported(
        "is_qat: quantization-aware training happens in a training framework, and Intaglio starts where training has ended; "
        "train in PyTorch, export the result, and leave is_qat off");
  QuantizationSpec activation;
  activation.dtype = DType::int8;
  activation.quant_min = options.act_qmin;
  activation.quant_max = options.act_qmax;
  activation.qscheme = QScheme::per_tensor_affine;
  activation.is_dynamic = options.is_dynamic;
  activation.observer = options.is_dynamic ? placeholder_observer(eps) : histogram_observer(eps);

  QuantizationSpec weight;
  weight.dtype = DType::int8;
  weight.quant_min = options.weight_qmin;
  weight.quant_max = options.weight_qmax;
  weight.qscheme = options.is_per_channel ? QScheme::per_channel_symmetric : QScheme::per_tensor_symmetric;
  weight.ch_axis = 0;
  weight.observer = options.is_per_channel ? per_channel_min_max_observer(eps) : min_max_observer(eps);

  QuantizationConfig config;
  config.input_activation = activation;
  if (!options.is_dynamic) config.output_activation = activation;
  config.weight = weight;
  return config;
}

XnnpackQuantizer::XnnpackQuantizer(Compat compat) : compat_(compat) {}

XnnpackQuantizer& XnnpackQuantizer::set_global(QuantizationConfig config) {
  global_ = std::move(config);
  return *this;
}

XnnpackQuantizer& XnnpackQuantizer::set_module_name(std::string name, std::optional<QuantizationConfig> config) {
  if (!config && compat_ == Compat::torchao)
    throw_usage("set_module_name: torchao takes no empty configuration; compat=intaglio leaves such modules in float");
  set(module_names_, std::move(name), std::move(config));
  return *this;
}

XnnpackQuantizer& XnnpackQuantizer::set_module_type(std::string type, std::optional<QuantizationConfig> config) {
  set(module_types_, std::move(type), std::move(config));
  return *this;
}

XnnpackQuantizer& XnnpackQuantizer::set_operator_type(std::string op, std::optional<QuantizationConfig> config) {
  set(operator_types_, std::move(op), std::move(config));
  return *this;
}

XnnpackQuantizer& XnnpackQuantizer::set_filter_function(std::function<bool(const Node&)> filter) {
  filter_ = std::move(filter);
  return *this;
}

// XNNPACK adds and multiplies tensors: a number becomes a 0-d float32 buffer. On integers (and float64) that would change
// the result's type, so only torchao's behaviour does it there.
void XnnpackQuantizer::transform_for_annotation(ExportedProgram& program) const {
  const bool torchao = compat_ == Compat::torchao;
  for (Node* node : program.graph().node_list()) {
    const bool plain = node->is("aten.add.Tensor") || node->is("aten.mul.Tensor");
    const bool inplace = node->is("aten.add_.Tensor") || node->is("aten.mul_.Tensor");
    if (!plain && !(inplace && !torchao)) continue;
    for (const std::string_view argument : {"self", "other"}) {
      const Argument* written = node->find(argument);
      const std::optional<double> number = written == nullptr ? std::nullopt : number_of(*written);
      if (!number) continue;
      if (!torchao && (node->output()->dtype() != DType::float32 || is_large_scalar(*number))) continue;
      Value* constant = program.add_buffer(free_name(program), Tensor::scalar(static_cast<float>(*number)));
      program.graph().set_argument(*node, argument, constant);
      if (!is_floating(node->output()->dtype())) node->output()->meta().dtype = DType::float32;
    }
  }
}

// The narrowest configuration comes first, since the first annotation of a node stays.
void XnnpackQuantizer::annotate(const ExportedProgram& program, Annotations& annotations) const {
  const bool torchao = compat_ == Compat::torchao;
  const auto user_accepts = [&](const Node& node) { return !filter_ || filter_(node); };
  const auto configured_elsewhere = [&](const Node& node) {
    return std::any_of(module_names_.begin(), module_names_.end(), [&](const auto& entry) { return is_named(node, entry.first); }) ||
           std::any_of(module_types_.begin(), module_types_.end(), [&](const auto& entry) { return has_type(node, entry.first); });
  };
  // torchao forgets an operator's empty configuration; here it means: leave in float.
  const auto op_in_float = [&](const Node& node) {
    return !torchao && std::any_of(operator_types_.begin(), operator_types_.end(),
                                   [&](const auto& entry) { return !entry.second && is_operator(entry.first, node); });
  };

  for (const auto& [name, config] : module_names_) {
    const NodeFilter filter{[&, &name = name](const Node& n) { return is_named(n, name) && user_accepts(n); }, false};
    if (config) annotate_patterns(program, *config, filter, "", compat_, annotations);
  }
  // By default an empty configuration of a module's name holds for everything in it, whatever its type says.
  const auto name_in_float = [&](const Node& node) {
    return std::any_of(module_names_.begin(), module_names_.end(),
                       [&](const auto& entry) { return !entry.second && is_named(node, entry.first); });
  };
  for (const auto& [type, config] : module_types_) {
    const NodeFilter filter{[&, &type = type](const Node& n) { return has_type(n, type) && !name_in_float(n) && user_accepts(n); }, false};
    if (config) annotate_patterns(program, *config, filter, "", compat_, annotations);
  }
  const NodeFilter rest{[&](const Node& n) { return !configured_elsewhere(n) && !op_in_float(n) && user_accepts(n); }, true};
  for (const auto& [op, config] : operator_types_)
    if (config) annotate_patterns(program, *config, rest, op, compat_, annotations);
  if (global_) annotate_patterns(program, *global_, rest, "", compat_, annotations);

  // What the user keeps in float is not drawn in through its neighbours.
  const auto type_in_float = [&](const Node& node) {
    return std::any_of(module_types_.begin(), module_types_.end(),
                       [&](const auto& entry) { return !entry.second && has_type(node, entry.first); });
  };
  const auto keeps_float = [&](const Node& node) {
    return !torchao && (!user_accepts(node) || op_in_float(node) || name_in_float(node) || type_in_float(node));
  };
  propagate_annotations(program, keeps_float, annotations);
  explain_the_rest(program, compat_, annotations);
}

void XnnpackQuantizer::validate(const ExportedProgram&, const Annotations&) const {}

}  // namespace intaglio::xnnpack
