#include "pt2e/reference_representation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "pt2e/integer_steps.h"
#include "qdq/patterns.h"

namespace intaglio::pt2e {
namespace {

using decompose::GraphBuilder;
using qdq::Chain;
using qdq::Dequantized;

// One layer with quantized operands and result, and where its integer form is written.
struct Layer {
  ExportedProgram& program;
  Node& op;
  const Chain& chain;
  GraphBuilder b;

  std::optional<Dequantized> integers(std::string_view argument) const { return small_integers(program, op.tensor(argument)); }
  double output_scale() const { return chain.output.scale[0]; }

  // Integers that the activation behind the layer leaves.
  IntegerRange range() const {
    const QuantParams& out = chain.output;
    IntegerRange range{out.quant_min, out.quant_max};
    if (chain.activation == nullptr) return range;
    const auto integer_of = [&](float bound) {
      const float scaled = std::nearbyint(bound * static_cast<float>(1 / out.scale[0])) + static_cast<float>(out.zero_point[0]);
      return static_cast<int64_t>(std::clamp(scaled, static_cast<float>(out.quant_min), static_cast<float>(out.quant_max)));
    };
    const qdq::Bounds bounds = *qdq::clamp_bounds(*chain.activation);
    return {integer_of(bounds.min), integer_of(bounds.max)};
  }

  // Integers of the result from `scaled`, in steps of its scale.
  Value* finished(Value* scaled) { return rounded_to(b, scaled, chain.output.zero_point[0], range(), chain.output.dtype); }
  Value* rescaled(Value* x, const Argument& factor) { return finished(b("aten.mul.Tensor", x, factor)); }
};

// A rule writes a layer's integers; null: the layer has no such form.
using Rule = Value* (*)(Layer&);

// ------------------------------------------------------------------------------------------- linear layers, convolutions

// How a layer lays out its weight and what is computed of it.
struct Product {
  std::string_view op;
  std::vector<Argument> geometry;  // behind the bias
  int64_t weight_axis = 0;         // of output channels
  int64_t channels = 0;            // of the result
  size_t trailing = 0;             // dimensions behind the channels
  DType sum = DType::int32;
};

std::optional<std::vector<int64_t>> even_padding(const Node& op, const std::vector<int64_t>& dilation, const std::vector<int64_t>& kernel) {
  if (op.op().overload() != "padding") return op.integers("padding");
  std::vector<int64_t> padding(kernel.size(), 0);
  if (op.string("padding") == "valid") return padding;
  for (size_t i = 0; i < kernel.size(); ++i) {
    const int64_t total = dilation[i] * (kernel[i] - 1);
    if (total % 2 != 0) return std::nullopt;
    padding[i] = total / 2;
  }
  return padding;
}

std::optional<Product> convolution_of(const Node& op, const Sizes& weight) {
  const bool general = op.is("aten.convolution.default");
  const bool transposed = general ? op.boolean("transposed") : op.op().base().starts_with("conv_transpose");
  const size_t dims = weight.size() - 2;
  const auto list = [&](std::string_view name) {
    std::vector<int64_t> values = op.integers(name);
    if (values.size() == 1) values.resize(dims, values[0]);
    return values;
  };
  const std::vector<int64_t> dilation = list("dilation");
  auto padding = even_padding(op, dilation, {weight.begin() + 2, weight.end()});
  if (!padding) return std::nullopt;
  if (padding->size() == 1) padding->resize(dims, padding->front());
  const int64_t groups = op.integer("groups");
  const std::vector<int64_t> output_padding = transposed ? list("output_padding") : std::vector<int64_t>(dims, 0);
  Product product{.op = "aten.convolution.default",
                  .geometry = {list("stride"), *padding, dilation, transposed, output_padding, groups},
                  .weight_axis = transposed ? 1 : 0,
                  .channels = transposed ? weight[1] * groups : weight[0],
                  .trailing = dims};
  // What PyTorch has in int64 alone.
  if (transposed || std::ranges::any_of(dilation, [](int64_t d) { return d != 1; })) product.sum = DType::int64;
  return product;
}

std::optional<Product> product_of(const Node& op, const Sizes& weight) {
  if (!op.is("aten.linear.default")) return weight.size() < 3 ? std::nullopt : convolution_of(op, weight);
  if (weight.size() != 2) return std::nullopt;
  return Product{.op = "aten.linear.default", .channels = weight[0]};
}

// The constant sizes of the weight, and how it is multiplied; nullopt where it has no integer form.
std::optional<Product> product_with(const ExportedProgram& program, const Node& op) {
  const Value* weight = op.tensor("weight");
  const Node* dequantize = qdq::dequantize_of(weight);
  if (dequantize == nullptr || program.constant(dequantize->tensor("input")) == nullptr || !weight->meta().is_static()) return std::nullopt;
  return product_of(op, weight->meta().static_sizes());
}

// x_scale * weight_scale, one for all or one a channel of the result.
std::vector<double> product_scales(double x_scale, const QuantParams& weight, int64_t channels) {
  std::vector<double> scales;
  const size_t count = weight.is_per_tensor() ? 1 : static_cast<size_t>(channels);
  for (size_t i = 0; i < count; ++i) scales.push_back(x_scale * weight.scale[i % weight.scale.size()]);
  return scales;
}

// A number, or one for each channel.
Argument channel_numbers(GraphBuilder& b, const std::vector<double>& numbers, size_t trailing) {
  if (numbers.size() == 1) return numbers[0];
  Sizes sizes(trailing + 1, 1);
  sizes[0] = static_cast<int64_t>(numbers.size());
  Tensor tensor = Tensor::empty(DType::float32, sizes);
  std::ranges::transform(numbers, tensor.mutable_data<float>(), [](double x) { return static_cast<float>(x); });
  return b.constant(std::move(tensor));
}

// The bias in steps of the sums; nullopt when int32 does not hold it.
std::optional<Tensor> integer_bias(const Tensor& bias, const std::vector<double>& scales, size_t trailing) {
  const Tensor floats = converted(bias, DType::float32).contiguous();
  Sizes sizes(trailing + 1, 1);
  sizes[0] = floats.numel();
  Tensor result = Tensor::empty(DType::int32, sizes);
  for (int64_t i = 0; i < floats.numel(); ++i) {
    const double steps = std::nearbyint(floats.data<float>()[i] / scales[static_cast<size_t>(i) % scales.size()]);
    if (!(std::abs(steps) <= INT32_MAX)) return std::nullopt;
    result.mutable_data<int32_t>()[i] = static_cast<int32_t>(steps);
  }
  return result;
}

Value* sums(GraphBuilder& b, const Product& product, Value* x, const Dequantized& weight, const SymSizes& sizes) {
  std::vector<Argument> operands = {x, centered(b, weight.source, weight.params.zero_point[0], DType::int16), std::monostate()};
  operands.insert(operands.end(), product.geometry.begin(), product.geometry.end());
  return b.out_dtype(product.op, product.sum, std::move(operands), sizes);
}

Value* product_layer(Layer& layer) {
  const auto product = product_with(layer.program, layer.op);
  if (!product) return nullptr;
  const auto x = layer.integers("input");
  const auto weight = small_weight(layer.program, layer.op.tensor("weight"), product->weight_axis);
  if (!x || !weight) return nullptr;
  std::vector<double> scales = product_scales(x->params.scale[0], weight->params, product->channels);
  std::optional<Tensor> bias;
  if (const Value* value = layer.op.optional_tensor("bias")) {
    const Tensor* constant = layer.program.constant(value);
    if (constant == nullptr || constant->rank() != 1) return nullptr;
    bias = integer_bias(*constant, scales, product->trailing);
    if (!bias) return nullptr;
  }
  GraphBuilder& b = layer.b;
  Value* centered_x = centered(b, x->source, x->params.zero_point[0], DType::int16);
  Value* sum = sums(b, *product, centered_x, *weight, layer.op.output()->sizes());
  if (bias) sum = b("aten.add.Tensor", sum, b.constant(std::move(*bias)));
  for (double& scale : scales) scale /= layer.output_scale();
  return layer.rescaled(sum, channel_numbers(b, scales, product->trailing));
}

// ------------------------------------------------------------------------------------------------------------- elementwise

Value* sum_of(Layer& layer) {
  const auto x = layer.integers("self"), y = layer.integers("other");
  if (!x || !y) return nullptr;
  const double sign = layer.op.op().base() == "sub" ? -1 : 1;
  GraphBuilder& b = layer.b;
  const auto scaled = [&](const Dequantized& operand, double factor) {
    return b("aten.mul.Tensor", centered(b, operand.source, operand.params.zero_point[0], DType::int32),
             factor * operand.params.scale[0] / layer.output_scale());
  };
  Value* left = scaled(*x, 1);
  return layer.finished(b("aten.add.Tensor", left, scaled(*y, sign * layer.op.number("alpha"))));
}

Value* product_of_tensors(Layer& layer) {
  const auto x = layer.integers("self"), y = layer.integers("other");
  if (!x || !y) return nullptr;
  GraphBuilder& b = layer.b;
  Value* left = centered(b, x->source, x->params.zero_point[0], DType::int32);
  Value* product = b("aten.mul.Tensor", left, centered(b, y->source, y->params.zero_point[0], DType::int32));
  return layer.rescaled(product, x->params.scale[0] * y->params.scale[0] / layer.output_scale());
}

// ----------------------------------------------------------------------------------------------------------------- pooling

Value* max_pool(Layer& layer) {
  const auto x = layer.integers("self");
  if (!x) return nullptr;
  GraphBuilder& b = layer.b;
  std::vector<Argument> arguments = {x->source};
  for (const char* name : {"kernel_size", "stride", "padding", "dilation", "ceil_mode"}) arguments.push_back(layer.op.argument(name));
  Value* pooled = b.call(layer.op.op().name(), std::move(arguments));
  const bool same = x->params == layer.chain.output && layer.chain.activation == nullptr;
  if (same) return pooled;
  return layer.rescaled(centered(b, pooled, x->params.zero_point[0], DType::int32), x->params.scale[0] / layer.output_scale());
}

// The mean of `count` integers.
Value* mean_of(Layer& layer, const Dequantized& x, Value* from, const std::vector<int64_t>& dims, bool keep, int64_t count) {
  GraphBuilder& b = layer.b;
  Value* wide = centered(b, from, x.params.zero_point[0], DType::int32);
  Value* sum = b.call("aten.sum.dim_IntList", {wide, dims, keep}, {{"dtype", DType::int32}});
  return layer.rescaled(sum, x.params.scale[0] / layer.output_scale() / static_cast<double>(count));
}

Value* mean(Layer& layer) {
  const auto x = layer.integers("self");
  if (!x || layer.op.optional_dtype("dtype") || layer.op.argument("dim").is_none()) return nullptr;
  const std::vector<int64_t> dims = layer.op.integers("dim");
  const auto& sizes = x->source->sizes();
  int64_t count = 1;
  for (const int64_t dim : dims) {
    const SymInt& size = sizes.at(static_cast<size_t>(dim < 0 ? dim + static_cast<int64_t>(sizes.size()) : dim));
    if (!size.is_static()) return nullptr;
    count *= size.value();
  }
  if (dims.empty() || count == 0) return nullptr;
  return mean_of(layer, *x, x->source, dims, layer.op.boolean("keepdim"), count);
}

// Windows of one size that do not overlap: the input seen as [..., height, window, width, window].
Value* adaptive_average(Layer& layer) {
  const auto x = layer.integers("self");
  if (!x || !x->source->meta().is_static()) return nullptr;
  const std::vector<int64_t> wanted = layer.op.integers("output_size");
  const Sizes sizes = x->source->meta().static_sizes();
  SymSizes windows(sizes.begin(), sizes.end() - static_cast<std::ptrdiff_t>(wanted.size()));
  std::vector<int64_t> dims;
  int64_t count = 1;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const int64_t size = sizes[sizes.size() - wanted.size() + i];
    if (wanted[i] <= 0 || size == 0 || size % wanted[i] != 0) return nullptr;
    windows.insert(windows.end(), {wanted[i], size / wanted[i]});
    dims.push_back(static_cast<int64_t>(windows.size()) - 1);
    count *= size / wanted[i];
  }
  return mean_of(layer, *x, layer.b.view(x->source, windows), dims, false, count);
}

struct Row {
  std::string_view op;
  Rule rule;
};
constexpr std::array rows = {
    Row{"aten.linear.default", product_layer},
    Row{"aten.conv1d.default", product_layer},
    Row{"aten.conv1d.padding", product_layer},
    Row{"aten.conv2d.default", product_layer},
    Row{"aten.conv2d.padding", product_layer},
    Row{"aten.conv3d.default", product_layer},
    Row{"aten.conv3d.padding", product_layer},
    Row{"aten.conv_transpose1d.default", product_layer},
    Row{"aten.conv_transpose2d.input", product_layer},
    Row{"aten.conv_transpose3d.input", product_layer},
    Row{"aten.convolution.default", product_layer},
    Row{"aten.add.Tensor", sum_of},
    Row{"aten.add_.Tensor", sum_of},
    Row{"aten.sub.Tensor", sum_of},
    Row{"aten.mul.Tensor", product_of_tensors},
    Row{"aten.mul_.Tensor", product_of_tensors},
    Row{"aten.max_pool1d.default", max_pool},
    Row{"aten.max_pool2d.default", max_pool},
    Row{"aten.mean.dim", mean},
    Row{"aten.adaptive_avg_pool1d.default", adaptive_average},
    Row{"aten.adaptive_avg_pool2d.default", adaptive_average},
    Row{"aten.adaptive_avg_pool3d.default", adaptive_average},
};

// Whether a layer computes on tensors alone (a number as an operand has no integers), and writes to none that others read.
bool can_be_replaced(const Node& op) {
  const Argument* other = op.find("other");
  if (other != nullptr && !other->is<Value*>()) return false;
  const bool writes_in_place = op.op().base().ends_with('_');
  return !writes_in_place || op.tensor("self")->has_one_user();
}

bool write_layer(ExportedProgram& program, Node& op) {
  const auto row = std::ranges::find_if(rows, [&](const Row& r) { return op.is(r.op); });
  if (row == rows.end() || !can_be_replaced(op)) return false;
  const auto chain = qdq::find_chain(program, op, [](const Node& user) { return qdq::clamp_bounds(user).has_value(); });
  const bool is_small = chain && (chain->output.dtype == DType::int8 || chain->output.dtype == DType::uint8);
  if (!is_small || chain->output.scale[0] <= 0) return false;
  Graph& graph = program.graph();
  const Node* last = chain->activation ? chain->activation : &op;
  Layer layer{program, op, *chain, GraphBuilder(program, graph.next(last), op)};
  Value* integers = row->rule(layer);
  if (integers == nullptr) return false;
  // The integers keep their name, by which the two representations are compared.
  const std::string name = chain->quantizes.front()->output()->name();
  for (Node* quantize : chain->quantizes) {
    graph.replace_all_uses(quantize->output(), integers);
    graph.erase(quantize);
  }
  graph.rename(integers, name);
  if (chain->activation) graph.erase(chain->activation);
  graph.erase(&op);
  return true;
}

// A linear layer whose input has a scale found at run time: sums of integers, then one multiplication and the bias in float.
bool write_dynamic_linear(ExportedProgram& program, Node& op) {
  if (!op.is("aten.linear.default")) return false;
  const auto dynamic = qdq::any_dynamic_of(op.tensor("input"));
  const auto product = product_with(program, op);
  if (!dynamic || dynamic->per_token || !qdq::find(*dynamic->quantize)->op.starts_with("quantized_decomposed") || !product) return false;
  const auto weight = small_weight(program, op.tensor("weight"), product->weight_axis);
  if (!weight || (dynamic->dtype != DType::int8 && dynamic->dtype != DType::uint8)) return false;
  GraphBuilder b(program, op);
  Value *scale = b.cast(dynamic->choose->output(0), DType::float32), *zero_point = b.cast(dynamic->choose->output(1), DType::int16);
  Value* sum = sums(b, *product, centered(b, dynamic->quantize->output(), zero_point, DType::int16), *weight, op.output()->sizes());
  Value* steps = b("aten.mul.Tensor", scale, channel_numbers(b, product_scales(1, weight->params, product->channels), 0));
  Value* result = b("aten.mul.Tensor", sum, steps);
  if (Value* bias = op.optional_tensor("bias")) result = b("aten.add.Tensor", result, bias);
  program.graph().replace_all_uses(op.output(), result);
  return true;
}

// Nodes that a rule may take; none of them goes with another one.
std::vector<Node*> layers_of(const ExportedProgram& program) {
  std::vector<Node*> nodes = program.graph().node_list();
  std::erase_if(nodes, [](const Node* node) { return std::ranges::none_of(rows, [&](const Row& row) { return node->is(row.op); }); });
  return nodes;
}

}  // namespace

void write_reference(ExportedProgram& program) {
  for (Node* node : layers_of(program))
    if (!write_layer(program, *node)) write_dynamic_linear(program, *node);
  program.graph().eliminate_dead_code();
  write_out_quantization(program);
  program.graph().eliminate_dead_code();
  program.remove_unused_constants();
}

}  // namespace intaglio::pt2e
