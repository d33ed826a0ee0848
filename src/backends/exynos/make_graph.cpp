#include "backends/exynos/make_graph.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/exynos/stored_values.h"
#include "qdq/patterns.h"

namespace intaglio::exynos {
namespace {

EnnQuantize quantize_of(const QuantParams& params) {
  EnnQuantize quantize{.type = "AINT8"};
  for (const double scale : params.scale) quantize.scales.push_back(static_cast<float>(scale));
  for (const int64_t zero_point : params.zero_point) quantize.zero_points.push_back(static_cast<int32_t>(zero_point));
  quantize.zero_points.resize(quantize.scales.size(), quantize.zero_points.empty() ? 0 : quantize.zero_points.front());
  return quantize;
}
// Beside what is quantized: no quantization.
EnnQuantize no_quantization() { return {"", {1.0F}, {0}}; }

Sizes dims_of(const Sizes& sizes) { return sizes.empty() ? Sizes{1} : sizes; }

class GraphMaker {
 public:
  GraphMaker(const ExportedProgram& program, Chipset chipset, Compat compat) : program_(program), stored_(program, compat) {
    graph_.chipset = chipset;
  }

  EnnGraph make() && {
    for (const InputSpec& spec : program_.input_specs)
      if (spec.kind == InputSpec::Kind::user_input) define_input(spec.value);
    for (Node* node : program_.graph().node_list()) {
      if (node->outputs().empty() || op_row(*node)->type.ends_with("QUANTIZE")) continue;
      if (stored_.is_fused(*node) || stored_.is_constant(node->output())) continue;
      write(*node);
    }
    for (const Argument& output : program_.graph().outputs())
      if (const auto* value = output.get_if<Value*>()) define_output(*value);
    return std::move(graph_);
  }

 private:
  uint32_t define(EnnTensor tensor) {
    graph_.tensors.push_back(std::move(tensor));
    return static_cast<uint32_t>(graph_.tensors.size() - 1);
  }

  uint32_t define_value(const Value* value, bool in_float = false) {
    const QuantParams* params = in_float ? nullptr : stored_.params_of(value);
    EnnTensor tensor{.name = value->name(), .dims = dims_of(sizes_of(value)), .data_type = std::string(data_type_name(value->dtype()))};
    if (params != nullptr && (is_floating(value->dtype()) || value->dtype() == params->dtype)) {
      tensor.data_type = "INT8";
      tensor.quantize = quantize_of(*params);
    }
    return define(std::move(tensor));
  }

  // ---- conversions

  // A node of one operand.
  uint32_t append(uint32_t from, const char* type, EnnTensor to, std::vector<EnnParam> params) {
    EnnOp op{.name = to.name, .type = type, .inputs = {from}, .params = std::move(params)};
    op.outputs = {define(std::move(to))};
    graph_.ops.push_back(std::move(op));
    return graph_.ops.back().outputs.front();
  }

  uint32_t convert(uint32_t from, const char* type, EnnTensor to, const EnnQuantize& params) {
    // Not a braced list: GCC 12 destroys a copy of one that was not made for want of memory.
    std::vector<EnnParam> numbers;
    numbers.push_back({"scales", std::vector<double>(params.scales.begin(), params.scales.end())});
    numbers.push_back({"zero_points", std::vector<int64_t>(params.zero_points.begin(), params.zero_points.end())});
    return append(from, type, std::move(to), std::move(numbers));
  }

  uint32_t quantized(uint32_t from, const QuantParams& params) {
    for (const auto& [source, other, to] : quantized_)
      if (source == from && other == params) return to;
    const uint32_t source = graph_.tensors[from].data_type == "FLOAT16" && !stored_.is_original() ? widened(from) : from;
    EnnTensor& floats = graph_.tensors[source];
    if (!floats.quantize) floats.quantize = no_quantization();
    EnnTensor to{
        .name = fmt::format("{}_quantized", floats.name), .dims = floats.dims, .data_type = "INT8", .quantize = quantize_of(params)};
    const EnnQuantize step = *to.quantize;
    const uint32_t made = convert(source, "QUANTIZE", std::move(to), step);
    quantized_.emplace_back(from, params, made);
    return made;
  }

  uint32_t widened(uint32_t from) {
    EnnTensor to{.name = fmt::format("{}_widened", graph_.tensors[from].name), .dims = graph_.tensors[from].dims, .data_type = "FLOAT32"};
    return append(from, "CAST", std::move(to), {{"out_dtype", "FLOAT32"}});
  }

  uint32_t dequantized(uint32_t from) {
    if (const auto known = dequantized_.find(from); known != dequantized_.end()) return known->second;
    const EnnTensor& integers = graph_.tensors[from];
    const EnnQuantize step = *integers.quantize;
    EnnTensor to{
        .name = fmt::format("{}_dequantized", integers.name), .dims = integers.dims, .data_type = "FLOAT32", .quantize = no_quantization()};
    return dequantized_[from] = convert(from, "DEQUANTIZE", std::move(to), step);
  }

  bool is_int8(uint32_t tensor) const { return graph_.tensors[tensor].quantize && !graph_.tensors[tensor].quantize->type.empty(); }

  // ---- constants

  // As integers where `params` are given.
  uint32_t constant(const Value* source, const Value* value, const QuantParams* params, bool swapped = false) {
    const auto key = std::pair(value, swapped);
    if (const auto known = constants_.find(key); known != constants_.end()) return known->second;
    const Tensor* data = stored_.constants().find(value);
    if (data == nullptr) throw_unsupported(fmt::format("the constant '{}' cannot be computed ahead", source->name()));
    EnnTensor tensor{.name = source->name(), .dims = dims_of(data->sizes()), .kind = EnnKind::constant};
    tensor.data = *data;
    if (swapped) {
      std::vector<int64_t> order = {1, 0, 2, 3};
      tensor.data = data->permuted(order);
      tensor.dims = tensor.data.sizes();
    }
    tensor.data = tensor.data.contiguous();
    tensor.data_type = data_type_name(data->dtype());
    if (params != nullptr) tensor.quantize = quantize_of(*params);
    return constants_[key] = define(std::move(tensor));
  }

  // A number beside an int8 tensor: its sign, in steps of its size.
  uint32_t number(const Value* value) {
    if (const auto known = numbers_.find(value); known != numbers_.end()) return known->second;
    const double number = stored_.constants().find(value)->item_as_double();
    EnnTensor tensor{.name = value->name(), .dims = {1}, .data_type = "INT8", .kind = EnnKind::constant};
    tensor.quantize = {"AINT8", {number == 0 ? 1.0F : static_cast<float>(std::abs(number))}, {0}};
    tensor.data = Tensor::of<int8_t>({static_cast<int8_t>(number > 0 ? 1 : number < 0 ? -1 : 0)}, {});
    return numbers_[value] = define(std::move(tensor));
  }

  // ---- operands

  uint32_t operand(const Node& node, Value* value, bool wants_int8) {
    const Reading reading = stored_.reading_of(value);
    if (stored_.is_constant(value)) return constant_operand(node, value, reading, wants_int8);
    uint32_t tensor = tensors_.at(reading.source);
    if (stored_.is_original()) return tensor;
    for (const QuantParams& step : reading.steps) {
      const bool is_same = is_int8(tensor) && quantize_of(step).scales == graph_.tensors[tensor].quantize->scales &&
                           quantize_of(step).zero_points == graph_.tensors[tensor].quantize->zero_points;
      if (!is_same) tensor = quantized(is_int8(tensor) ? dequantized(tensor) : tensor, step);
    }
    return !wants_int8 && is_int8(tensor) && is_floating(value->dtype()) ? dequantized(tensor) : tensor;
  }

  uint32_t constant_operand(const Node& node, Value* value, const Reading& reading, bool wants_int8) {
    const bool swapped = node.is("aten.convolution.default") && node.boolean("transposed") && value == node.tensor("weight");
    if (!reading.steps.empty() && (wants_int8 || stored_.is_original()))
      return constant(reading.source, reading.integers, &reading.steps.back(), swapped);
    constexpr std::string_view arithmetic[] = {"aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor", "aten.div.Tensor"};
    const bool is_number = value->meta().rank() == 0 && is_floating(value->dtype()) && wants_int8 &&
                           std::ranges::find(arithmetic, node.op().name()) != std::end(arithmetic);
    return is_number ? number(value) : constant(reading.source, value, nullptr, swapped);
  }

  // ---- ops

  std::vector<Value*> operands_of(const Node& node, const OpRow& row) const {
    std::vector<Value*> values;
    for (const std::string_view name : row.operands)
      if (const Argument* argument = node.find(name))
        for (Value* value : values_in(*argument)) values.push_back(value);
    return values;
  }

  void write(const Node& node) {
    const OpRow& row = *op_row(node);
    const Node* activation = stored_.fused_activation(node);
    const bool is_replaced = activation != nullptr && stored_.is_fused(*activation);
    const Node& result = is_replaced ? *activation : node;
    EnnOp op{.name = node.name(), .type = std::string(row.type)};
    OpWriter writer{.node = node,
                    .op = op,
                    .is_quantized = stored_.params_of(result.output()) != nullptr,
                    .is_original = stored_.is_original(),
                    .activation = activation == nullptr ? "" : activation_name(*activation)};
    for (Value* value : operands_of(node, row)) {
      op.inputs.push_back(operand(node, value, writer.is_quantized));
      writer.constants.push_back(stored_.is_constant(value));
    }
    if (node.is(leaky_relu)) {
      EnnTensor slope{.name = node.name() + "_slope", .data_type = "FLOAT32", .kind = EnnKind::constant};
      slope.data = Tensor::scalar(static_cast<float>(node.number("negative_slope")));
      op.inputs.push_back(define(std::move(slope)));
    }
    if (row.params != nullptr) row.params(writer);
    // The node has its first result alone, unless the operator is one that makes several.
    const bool has_several = row.type == "SPLIT" || row.type == "TopK";
    std::vector<const Value*> results;
    for (size_t i = 0; i < (has_several ? node.outputs().size() : 1); ++i)
      results.push_back(is_replaced ? result.output() : node.output(i));
    // ExecuTorch quantizes what is cast behind its node.
    const QuantParams* behind = row.type == "CAST" && stored_.is_original() ? stored_.params_of(node.output()) : nullptr;
    for (const Value* value : results) op.outputs.push_back(tensors_[value] = define_value(value, behind != nullptr));
    graph_.ops.push_back(std::move(op));
    if (behind != nullptr) tensors_[node.output()] = quantized(tensors_.at(node.output()), *behind);
    // ExecuTorch puts what leaves the graph in float right behind its node.
    for (const Value* value : results)
      if (stored_.is_original() && is_int8(tensors_.at(value)) && leaves(value)) dequantized(tensors_.at(value));
  }

  // ---- ends

  // Through quantize and dequantize nodes, as float.
  bool leaves(const Value* value) const {
    return std::ranges::any_of(value->users(), [&](const Node* user) {
      if (user == &program_.graph().output_node()) return true;
      const OpRow* row = op_row(*user);
      return row != nullptr && row->type.ends_with("QUANTIZE") && leaves(user->output());
    });
  }

  void define_input(const Value* value) {
    const QuantParams* params = stored_.params_of(value);
    EnnTensor tensor{.name = value->name(),
                     .dims = dims_of(sizes_of(value)),
                     .data_type = std::string(data_type_name(value->dtype())),
                     .kind = EnnKind::input};
    // Integers that come quantized from outside.
    if (value->dtype() == DType::int8)
      for (const Node* user : value->users())
        if (qdq::is_tensor_or_channel_dequantize(*user)) tensor.quantize = quantize_of(*qdq::params_of(program_, *user));
    const uint32_t id = define(std::move(tensor));
    graph_.inputs.push_back(id);
    tensors_[value] = stored_.is_original() && params != nullptr ? quantized(id, *params) : id;
  }

  void define_output(Value* value) {
    const bool is_float = is_floating(value->dtype());
    uint32_t tensor = operand(program_.graph().output_node(), value, !is_float);
    if (is_float && is_int8(tensor)) tensor = dequantized(tensor);
    // A result is a tensor of its own.
    EnnKind& kind = graph_.tensors[tensor].kind;
    if (kind != EnnKind::featuremap) tensor = copied(tensor);
    graph_.tensors[tensor].kind = EnnKind::output;
    graph_.outputs.push_back(tensor);
  }

  uint32_t copied(uint32_t from) {
    EnnTensor to = graph_.tensors[from];
    to.name += "_copy";
    to.kind = EnnKind::featuremap;
    to.data = {};
    std::vector<EnnParam> params = {{"new_shape", to.dims}};
    return append(from, "RESHAPE", std::move(to), std::move(params));
  }

  const ExportedProgram& program_;
  StoredValues stored_;
  EnnGraph graph_;
  std::unordered_map<const Value*, uint32_t> tensors_;
  std::map<std::pair<const Value*, bool>, uint32_t> constants_;
  std::unordered_map<const Value*, uint32_t> numbers_;
  std::unordered_map<uint32_t, uint32_t> dequantized_;
  std::vector<std::tuple<uint32_t, QuantParams, uint32_t>> quantized_;
};

}  // namespace

EnnGraph make_graph(const ExportedProgram& partition, Chipset chipset, Compat compat) {
  return GraphMaker(partition, chipset, compat).make();
}

}  // namespace intaglio::exynos
