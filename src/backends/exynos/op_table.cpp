#include "backends/exynos/op_table.h"

#include <cfloat>
#include <cmath>
#include <unordered_map>

#include <fmt/format.h>

namespace intaglio::exynos {
namespace {
namespace params {

using Ints = std::vector<int64_t>;

int64_t wrapped(int64_t dim, int64_t rank) { return dim < 0 ? dim + rank : dim; }

// ---------------------------------------------------------------------------------------------------------- parameters

void type_alone(OpWriter& w) { w.add_type(); }

void add_pair(OpWriter& w, const char* name_h, const char* name_w, const Ints& pair) {
  w.add(name_h, pair[0]);
  w.add(name_w, pair[1]);
}
void add_padding(OpWriter& w, const Ints& padding) { w.add("explicit_padding", Ints{padding[0], padding[1], padding[0], padding[1]}); }

Ints pair_or(const Node& node, std::string_view argument, const Ints& otherwise) {
  const Ints list = node.integers(argument);
  return list.empty() ? otherwise : list.size() == 1 ? Ints{list[0], list[0]} : list;
}

void convolution(OpWriter& w) {
  const Node& node = w.node;
  const Sizes input = sizes_of(node.tensor("input")), kernel = sizes_of(node.tensor("weight"));
  const int64_t groups = node.integer("groups");
  const bool is_transposed = node.boolean("transposed"), is_depthwise = kernel[1] == 1 && kernel[0] == groups;
  w.op.type = fmt::format("{}{}CONV2D", is_depthwise ? "DW" : "", is_transposed ? "DE" : "");
  w.add_type();
  if (!w.activation.empty()) w.add("activation", std::string(w.activation));
  add_pair(w, "kernel_h", "kernel_w", {kernel[2], kernel[3]});
  add_pair(w, "stride_h", "stride_w", node.integers("stride"));
  add_pair(w, "dilation_h", "dilation_w", node.integers("dilation"));
  w.add("groups", groups);
  w.add("padding", "EXPLICIT");
  w.add("padding_type", "CONSTANT");
  add_padding(w, node.integers("padding"));
  w.add("in_channels", input[1]);
  // The original divides by the number of images too.
  w.add("out_channels", w.is_original ? kernel[0] * kernel[1] * groups / (input[1] * input[0]) : sizes_of(node.output())[1]);
}

void linear(OpWriter& w) {
  const Sizes weight = sizes_of(w.node.tensor("weight"));
  w.add("in_channels", weight[1]);
  w.add("out_channels", weight[0]);
  w.add_type();
}

void window(OpWriter& w) {
  const Ints kernel = pair_or(w.node, "kernel_size", {});
  add_pair(w, "kernel_h", "kernel_w", kernel);
  add_pair(w, "stride_h", "stride_w", pair_or(w.node, "stride", kernel));
  w.add("padding", "EXPLICIT");
  add_padding(w, pair_or(w.node, "padding", {0, 0}));
}
void average_pool(OpWriter& w) {
  window(w);
  w.add_type();
  w.add("count_include_pad", w.node.boolean("count_include_pad"));
}
void max_pool(OpWriter& w) {
  window(w);
  add_pair(w, "dilation_h", "dilation_w", pair_or(w.node, "dilation", {1, 1}));
  w.add_type();
}

void reduction(OpWriter& w) {
  const int64_t rank = w.node.tensor("self")->meta().rank();
  Ints axes;
  for (const int64_t dim : w.node.integers("dim")) axes.push_back(wrapped(dim, rank));
  const bool is_mean = w.node.is("aten.mean.dim");
  if (is_mean) std::ranges::sort(axes);
  w.add("keep_dims", w.node.boolean("keepdim"));
  w.add("axis", axes);
  if (is_mean) w.add_type();
}

// Numbers keep the type that the program gives them.
void add_bound(OpWriter& w, const char* name, const Argument& argument, double otherwise) {
  if (const auto* integer = argument.get_if<int64_t>()) return w.add(name, *integer);
  const auto* number = argument.get_if<double>();
  w.add(name, std::clamp(number == nullptr ? otherwise : *number, -double{FLT_MAX}, double{FLT_MAX}));
}
void clamp(OpWriter& w) {
  add_bound(w, "minimum", w.node.argument("min"), -FLT_MAX);
  add_bound(w, "maximum", w.node.argument("max"), FLT_MAX);
  w.add_type();
}
void hardtanh(OpWriter& w) {
  add_bound(w, "minimum", w.node.argument("min_val"), -1);
  add_bound(w, "maximum", w.node.argument("max_val"), 1);
  w.add_type();
}

void relu6(OpWriter& w) {
  w.add("minimum", int64_t{0});
  w.add("maximum", int64_t{6});
  w.add_type();
}

void log_softmax(OpWriter& w) { w.add("axis", w.node.integer("dim")); }
void softmax(OpWriter& w) {
  log_softmax(w);
  w.add_type();
}

void cat(OpWriter& w) {
  w.add("axis", wrapped(w.node.integer("dim"), w.node.output()->meta().rank()));
  for (size_t i = 0; i < w.constants.size(); ++i)
    if (w.constants[i]) w.add("constant_index", static_cast<int64_t>(i));
  w.add_type();
}

// The original hands on the sizes of a view as they are written.
void reshape(OpWriter& w) {
  const bool is_as_written = w.is_original && w.node.is("aten.view_copy.default");
  w.add("new_shape", is_as_written ? w.node.integers("size") : sizes_of(w.node.output()));
}
void expand(OpWriter& w) {
  const int64_t dim = *expanded_dim(w.node);
  if (dim < 0) return reshape(w);
  w.op.type = "CONCAT";
  w.op.inputs.resize(static_cast<size_t>(sizes_of(w.node.output())[static_cast<size_t>(dim)]), w.op.inputs.front());
  w.add("axis", dim);
}
void permute(OpWriter& w) { w.add("perm", w.node.integers("dims")); }

void slice_along(OpWriter& w, int64_t dim, int64_t begin, int64_t end, int64_t step) {
  Ints ends = sizes_of(w.node.tensor("self"));
  const auto at = static_cast<size_t>(dim);
  Ints begins(ends.size(), 0), steps(ends.size(), 1);
  begins[at] = begin;
  ends[at] = end;
  steps[at] = step;
  w.add("begin", begins);
  w.add("end", ends);
  w.add("strides", steps);
}
void slice(OpWriter& w) {
  const Sizes sizes = sizes_of(w.node.tensor("self"));
  const int64_t dim = wrapped(w.node.integer("dim"), static_cast<int64_t>(sizes.size())), size = sizes[static_cast<size_t>(dim)];
  const auto place = [&](const char* argument, int64_t otherwise) {
    return std::clamp<int64_t>(wrapped(w.node.optional_integer(argument).value_or(otherwise), size), 0, size);
  };
  slice_along(w, dim, place("start", 0), place("end", size), w.node.integer("step"));
}
void select(OpWriter& w) {
  const Sizes sizes = sizes_of(w.node.tensor("self"));
  const int64_t dim = wrapped(w.node.integer("dim"), static_cast<int64_t>(sizes.size()));
  const int64_t index = wrapped(w.node.integer("index"), sizes[static_cast<size_t>(dim)]);
  slice_along(w, dim, index, index + 1, 1);
  w.add("shrink_axis_mask", int64_t{1} << dim);
}
void split(OpWriter& w) {
  const int64_t dim = w.node.integer("dim"), at = wrapped(dim, w.node.tensor("self")->meta().rank());
  Ints sizes;
  for (const Value* part : w.node.outputs()) sizes.push_back(sizes_of(part)[static_cast<size_t>(at)]);
  w.add("axis", dim);
  w.add("point", sizes);
}

// ATen counts from the last dimension, and has both ends of one beside each other.
void pad(OpWriter& w) {
  const Ints given = w.node.integers("pad");
  const size_t rank = sizes_of(w.node.output()).size();
  Ints padding(2 * rank, 0);
  for (size_t i = 0; i < given.size() / 2; ++i) {
    padding[rank - 1 - i] = given[2 * i];
    padding[2 * rank - 1 - i] = given[2 * i + 1];
  }
  w.add("explicit_padding", padding);
  w.add("padding", "EXPLICIT");
  w.add("padding_type", "CONSTANT");
  w.add_type();
}

void embedding(OpWriter& w) {
  w.add("axis", int64_t{0});
  w.add_type();
}
void index(OpWriter& w) {
  const auto indices = *w.node.find("indices")->get_if<std::vector<Value*>>();
  w.add("axis", std::ranges::find_if(indices, [](const Value* value) { return value != nullptr; }) - indices.begin());
}

void layer_norm(OpWriter& w) {
  w.add("epsilon", w.node.number("eps"));
  w.add_type();
}
void batch_norm(OpWriter& w) { w.add("epsilon", w.node.number("eps")); }
void group_norm(OpWriter& w) {
  w.add("num_groups", w.node.integer("group"));
  w.add("epsilon", w.node.number("eps"));
}
void rms_norm(OpWriter& w) {
  w.add("normalize_shape", w.node.integers("normalized_shape"));
  w.add("param_num", int64_t{2});
  const double eps = w.node.optional_number("eps").value_or(FLT_EPSILON);
  // The original reads it from a tensor.
  w.add("epsilon", w.is_original ? static_cast<double>(static_cast<float>(eps)) : eps);
}

void pixel_shuffle(OpWriter& w) {
  w.add("block_size", w.node.integer("upscale_factor"));
  w.add("mode", "CRD");
}

void add_factors(OpWriter& w, bool align_corners) {
  const Sizes from = sizes_of(w.node.tensor("input")), to = sizes_of(w.node.output());
  std::vector<double> factors = {static_cast<double>(to[2]) / static_cast<double>(from[2]),
                                 static_cast<double>(to[3]) / static_cast<double>(from[3])};
  if (const Argument given = w.node.argument("scale_factors"); const auto* list = given.get_if<std::vector<double>>())
    if (list->size() == 2) factors = *list;
  w.add("align_corners", align_corners);
  w.add("upsampling_factor", factors);
  w.add("half_pixel_centers", true);
}
void bilinear(OpWriter& w) {
  add_factors(w, w.node.boolean("align_corners"));
  w.add_type();
}
void nearest(OpWriter& w) { add_factors(w, false); }

void topk(OpWriter& w) { w.add("k_dims", w.node.integer("k")); }
void cast(OpWriter& w) { w.add("out_dtype", std::string(data_type_name(w.node.output()->dtype()))); }

}  // namespace params

// -------------------------------------------------------------------------------------------------------------- limits

using params::Ints, params::pair_or, params::wrapped;

int64_t rank_of(const RuleContext& c, std::string_view operand) { return c.node.tensor(operand)->meta().rank(); }
bool is_known(const RuleContext& c, std::string_view operand) {
  return ConstantValues(c.facts.program()).is_constant(c.node.tensor(operand));
}
bool has_zeros(const Ints& list) {
  return std::ranges::all_of(list, [](int64_t x) { return x == 0; });
}

constexpr Constraint plain_sum[] = {{"an alpha of 1", [](const RuleContext& c) { return c.node.number("alpha") == 1; }}};
constexpr Constraint convolution_limits[] = {
    {"one or two dimensions", [](const RuleContext& c) { return rank_of(c, "weight") == 3 || rank_of(c, "weight") == 4; }},
    {"an input with a dimension for images", [](const RuleContext& c) { return rank_of(c, "input") == rank_of(c, "weight"); }},
    {"a constant weight, where it is transposed or of one dimension",
     [](const RuleContext& c) { return (!c.node.boolean("transposed") && rank_of(c, "weight") == 4) || is_known(c, "weight"); }},
    {"no output padding",
     [](const RuleContext& c) { return !c.node.boolean("transposed") || has_zeros(c.node.integers("output_padding")); }},
};
constexpr Constraint rows_limits[] = {{"a weight of two dimensions", [](const RuleContext& c) { return rank_of(c, "weight") == 2; }}};
constexpr Constraint average_pool_limits[] = {
    {"ceil_mode=False", [](const RuleContext& c) { return !c.node.boolean("ceil_mode"); }},
    {"a divisor that is the size of the window",
     [](const RuleContext& c) {
       const Ints kernel = pair_or(c.node, "kernel_size", {});
       return c.node.optional_integer("divisor_override").value_or(kernel[0] * kernel[1]) == kernel[0] * kernel[1];
     }},
};
constexpr Constraint max_pool_limits[] = {
    {"ceil_mode=False", [](const RuleContext& c) { return !c.node.boolean("ceil_mode"); }},
    {"values alone, not where they stood", common::only_first_result_is_used<RuleContext>},
};
constexpr Constraint reduction_limits[] = {
    {"named dimensions",
     [](const RuleContext& c) { return !c.node.argument("dim").is_none() && !c.node.integers("dim").empty() && rank_of(c, "self") > 0; }},
    {"the type of what it reads", [](const RuleContext& c) { return c.node.tensor("self")->dtype() == c.node.output()->dtype(); }},
};
constexpr Constraint softmax_limits[] = {
    {"the type of what it reads", [](const RuleContext& c) { return c.node.tensor("self")->dtype() == c.node.output()->dtype(); }}};
constexpr Constraint cat_limits[] = {{"at most one constant", [](const RuleContext& c) {
                                        return std::ranges::count_if(c.node.tensors("tensors"),
                                                                     [&](const Value* value) { return c.facts.is_constant(value); }) <= 1;
                                      }}};
constexpr Constraint expand_limits[] = {{"at most one expanded dimension, and new ones of size 1 alone",
                                         [](const RuleContext& c) { return expanded_dim(c.node).has_value(); }}};
constexpr Constraint pad_limits[] = {
    {"zeros", [](const RuleContext& c) { return c.node.number("value") == 0; }},
    {"no negative padding",
     [](const RuleContext& c) { return std::ranges::all_of(c.node.integers("pad"), [](int64_t x) { return x >= 0; }); }},
};
constexpr Constraint index_limits[] = {
    {"one tensor of indices", [](const RuleContext& c) { return values_in(*c.node.find("indices")).size() == 1; }}};
constexpr Constraint layer_norm_limits[] = {
    {"the last dimension", [](const RuleContext& c) { return c.node.integers("normalized_shape").size() == 1; }},
    {"weight and bias",
     [](const RuleContext& c) { return c.node.optional_tensor("weight") != nullptr && c.node.optional_tensor("bias") != nullptr; }},
};
constexpr Constraint norm_limits[] = {
    {"weight and bias",
     [](const RuleContext& c) { return c.node.optional_tensor("weight") != nullptr && c.node.optional_tensor("bias") != nullptr; }},
    {"its normalized values alone", common::only_first_result_is_used<RuleContext>},
};
constexpr Constraint rms_norm_limits[] = {{"a weight", [](const RuleContext& c) { return c.node.optional_tensor("weight") != nullptr; }}};
constexpr Constraint image_limits[] = {
    {"images of four dimensions", [](const RuleContext& c) { return c.node.output()->meta().rank() == 4; }}};
constexpr Constraint bound_limits[] = {
    {"numbers with a fraction", [](const RuleContext& c) { return is_floating(c.node.output()->dtype()); }},
    {"bounds that are numbers",
     [](const RuleContext& c) {
       return std::ranges::none_of(c.node.arguments(),
                                   [](const NamedArgument& a) { return a.name != "self" && !values_in(a.value).empty(); });
     }},
};
constexpr Constraint float_limits[] = {{"float32 tensors", [](const RuleContext& c) {
                                          return common::every_tensor(c.node,
                                                                      [](const Value& value) { return value.dtype() == DType::float32; });
                                        }}};
constexpr Constraint topk_limits[] = {
    {"the last dimension",
     [](const RuleContext& c) { return wrapped(c.node.integer("dim"), rank_of(c, "self")) == rank_of(c, "self") - 1; }},
    {"the largest", [](const RuleContext& c) { return c.node.boolean("largest"); }},
    {"sorted values", [](const RuleContext& c) { return c.node.boolean("sorted"); }},
};
constexpr Constraint quantization_limits[] = {{"parameters that are known and int8, per tensor or per channel", [](const RuleContext& c) {
                                                 const QuantParams* params = c.facts.params_of(c.node);
                                                 return params != nullptr && params->dtype == DType::int8 &&
                                                        (params->is_per_tensor() || params->is_per_channel()) && !params->code_book;
                                               }}};
constexpr Constraint channel_limits[] = {{"a constant, where parameters are per channel", [](const RuleContext& c) {
                                            const QuantParams* params = c.facts.params_of(c.node);
                                            return params == nullptr || params->is_per_tensor() || is_known(c, "input");
                                          }}};

bool has_known_sizes(const Node& node) {
  const auto is_static = [](const Value* value) { return value->is_tensor() && value->meta().is_static(); };
  return std::ranges::all_of(node.inputs(), is_static) && std::ranges::all_of(node.outputs(), is_static);
}
bool has_elements(const Node& node) {
  return common::every_tensor(node, [](const Value& value) { return std::ranges::find(value.sizes(), SymInt(0)) == value.sizes().end(); });
}

// --------------------------------------------------------------------------------------------------------------- rows

namespace operands {
using Names = std::string_view[];
constexpr Names self = {"self"}, both = {"self", "other"}, input = {"input"}, layer = {"input", "weight", "bias"}, tensors = {"tensors"},
                powers = {"self", "exponent"}, products = {"self", "mat2"}, table = {"weight", "indices"}, indexed = {"self", "indices"},
                slopes = {"self", "weight"}, statistics = {"input", "weight", "bias", "running_mean", "running_var"},
                gamma = {"input", "weight"};
}  // namespace operands

constexpr OpRow op_rows[] = {
    {"aten.add.Tensor", "ELTSUM", operands::both, params::type_alone, plain_sum},
    {"aten.sub.Tensor", "SUB", operands::both, params::type_alone, plain_sum},
    {"aten.mul.Tensor", "ELTMUL", operands::both, params::type_alone},
    {"aten.div.Tensor", "ELTDIV", operands::both, params::type_alone},
    {"aten.add.Scalar", "ELTSUM", operands::self, params::type_alone, plain_sum},
    {"aten.sub.Scalar", "SUB", operands::self, params::type_alone, plain_sum},
    {"aten.mul.Scalar", "ELTMUL", operands::self, params::type_alone},
    {"aten.div.Scalar", "ELTDIV", operands::self, params::type_alone},
    {"aten.maximum.default", "MAXIMUM", operands::both},
    {"aten.minimum.default", "MIN", operands::both},
    {"aten.pow.Tensor_Tensor", "POW", operands::powers, nullptr, float_limits, Numbers::floats},
    {"aten.pow.Tensor_Scalar", "POW", operands::self, nullptr, float_limits, Numbers::floats},
    {"aten.convolution.default", "", operands::layer, params::convolution, convolution_limits},
    {"aten.linear.default", "FC", operands::layer, params::linear, rows_limits},
    {"aten.bmm.default", "BATCH_MATMUL", operands::products, params::type_alone},
    {"aten.avg_pool2d.default", "AVGPOOL2D", operands::self, params::average_pool, average_pool_limits},
    {"aten.max_pool2d.default", "MAXPOOL2D", operands::self, params::max_pool, max_pool_limits},
    {"aten.max_pool2d_with_indices.default", "MAXPOOL2D", operands::self, params::max_pool, max_pool_limits},
    {"aten.mean.dim", "REDUCEMEAN", operands::self, params::reduction, reduction_limits},
    {"aten.sum.dim_IntList", "REDUCESUM", operands::self, params::reduction, reduction_limits},
    {"aten.relu.default", "RELU", operands::self, params::type_alone},
    {"aten.gelu.default", "GELU", operands::self, params::type_alone},
    {"aten.hardswish.default", "HARDSWISH", operands::self, params::type_alone},
    {"aten.hardsigmoid.default", "HardSigmoid", operands::self, params::type_alone},
    {"aten.sigmoid.default", "SIGMOID", operands::self},
    {"aten.tanh.default", "TANH", operands::self},
    {"aten.sqrt.default", "SQRT", operands::self},
    {"aten.rsqrt.default", "RSQRT", operands::self},
    {"aten.log.default", "LOG", operands::self},
    {"aten.sin.default", "Sin", operands::self},
    {"aten.cos.default", "Cos", operands::self},
    {"aten.clamp.default", "CLIP", operands::self, params::clamp, bound_limits},
    {"aten.hardtanh.default", "CLIP", operands::self, params::hardtanh, bound_limits},
    {"aten.relu6.default", "CLIP", operands::self, params::relu6, bound_limits},
    {leaky_relu, "PRELU", operands::self},
    {"aten.prelu.default", "PRELU", operands::slopes},
    {"aten._softmax.default", "SOFTMAX", operands::self, params::softmax, softmax_limits},
    {"aten._safe_softmax.default", "SOFTMAX", operands::self, params::softmax, softmax_limits},
    {"aten._log_softmax.default", "LOGSOFTMAX", operands::self, params::log_softmax, softmax_limits},
    {"aten.cat.default", "CONCAT", operands::tensors, params::cat, cat_limits, Numbers::moved},
    {"aten.expand_copy.default", "RESHAPE", operands::self, params::expand, expand_limits, Numbers::moved},
    {"aten.view_copy.default", "RESHAPE", operands::self, params::reshape, {}, Numbers::moved},
    {"aten.squeeze_copy.dims", "RESHAPE", operands::self, params::reshape, {}, Numbers::moved},
    {"aten.unsqueeze_copy.default", "RESHAPE", operands::self, params::reshape, {}, Numbers::moved},
    {"aten.permute_copy.default", "TRANSPOSE", operands::self, params::permute, {}, Numbers::moved},
    {"aten.slice_copy.Tensor", "STRIDEDSLICE", operands::self, params::slice, {}, Numbers::moved},
    {"aten.select_copy.int", "STRIDEDSLICE", operands::self, params::select, {}, Numbers::moved},
    {"aten.split_with_sizes_copy.default", "SPLIT", operands::self, params::split, {}, Numbers::moved},
    {"aten.split_copy.Tensor", "SPLIT", operands::self, params::split, {}, Numbers::moved},
    {"aten.chunk.default", "SPLIT", operands::self, params::split, {}, Numbers::moved},
    {"aten.constant_pad_nd.default", "PAD", operands::self, params::pad, pad_limits},
    {"aten.embedding.default", "GATHER", operands::table, params::embedding},
    {"aten.index.Tensor", "GATHER", operands::indexed, params::index, index_limits},
    {"aten.layer_norm.default", "LAYERNORM", operands::layer, params::layer_norm, layer_norm_limits},
    {"aten._native_batch_norm_legit_no_training.default", "BatchNormalization", operands::statistics, params::batch_norm, norm_limits},
    {"aten.native_group_norm.default", "GROUPNORM", operands::layer, params::group_norm, norm_limits},
    {"aten.rms_norm.default", "RMSNORM", operands::gamma, params::rms_norm, rms_norm_limits},
    {"aten.pixel_shuffle.default", "DEPTH_TO_SPACE", operands::self, params::pixel_shuffle, image_limits},
    {"aten.upsample_bilinear2d.vec", "RESIZE_BILINEAR", operands::input, params::bilinear, image_limits},
    {"aten.upsample_nearest2d.vec", "RESIZE_NEAREST_NEIGHBOR", operands::input, params::nearest, image_limits},
    {"aten.topk.default", "TopK", operands::self, params::topk, topk_limits},
    {"dim_order_ops._to_dim_order_copy.default", "CAST", operands::self, params::cast, {}, Numbers::floats},
    {"dim_order_ops._clone_dim_order.default", "RESHAPE", operands::self, params::reshape, {}, Numbers::moved},
    {"aten.clone.default", "RESHAPE", operands::self, params::reshape, {}, Numbers::moved},
    {"quantized_decomposed.quantize_per_tensor.default", "QUANTIZE", operands::input, nullptr, quantization_limits},
    {"quantized_decomposed.quantize_per_tensor.tensor", "QUANTIZE", operands::input, nullptr, quantization_limits},
    {"quantized_decomposed.quantize_per_channel.default", "QUANTIZE", operands::input, nullptr, channel_limits},
    {"quantized_decomposed.dequantize_per_tensor.default", "DEQUANTIZE", operands::input, nullptr, quantization_limits},
    {"quantized_decomposed.dequantize_per_tensor.tensor", "DEQUANTIZE", operands::input, nullptr, quantization_limits},
    {"quantized_decomposed.dequantize_per_channel.default", "DEQUANTIZE", operands::input, nullptr, channel_limits},
};

std::string wrong_type(const Node& node) {
  for (const auto& values : {node.inputs(), node.outputs()})
    for (const Value* value : values)
      if (data_type_name(value->dtype()).empty()) return fmt::format("not of {}", name(value->dtype()));
  return "";
}

}  // namespace

Sizes sizes_of(const Value* value) { return value->meta().static_sizes(); }

std::optional<int64_t> expanded_dim(const Node& expand) {
  const Sizes from = sizes_of(expand.tensor("self")), to = sizes_of(expand.output());
  const size_t added = to.size() - from.size();
  int64_t dim = -1;
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i] == (i < added ? 1 : from[i - added])) continue;
    if (dim >= 0 || added > 0) return std::nullopt;
    dim = static_cast<int64_t>(i);
  }
  return dim;
}

const OpRow* op_row(const Node& node) {
  static const auto by_name = [] {
    std::unordered_map<std::string_view, const OpRow*> map;
    for (const OpRow& row : op_rows) map.emplace(row.op, &row);
    return map;
  }();
  const auto found = by_name.find(node.op().name());
  return found == by_name.end() ? nullptr : found->second;
}

std::string_view shape_refusal(const Node& node) {
  return !has_known_sizes(node) ? "tensors of known sizes" : !has_elements(node) ? "tensors with elements" : "";
}

std::string refusal_of(const OpRow& row, const RuleContext& context) {
  if (const std::string_view why = shape_refusal(context.node); !why.empty()) return fmt::format("takes {}", why);
  if (std::string why = wrong_type(context.node); !why.empty()) return why;
  const Constraint* broken = common::first_broken(row.constraints, context);
  return broken == nullptr ? "" : fmt::format("takes {}", broken->text);
}

}  // namespace intaglio::exynos
