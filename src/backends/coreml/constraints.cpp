#include "backends/coreml/constraints.h"

#include <algorithm>
#include <cmath>

#include "backends/coreml/quantized_forms.h"

namespace intaglio::coreml::constraints {
namespace {

using namespace intaglio::common;
using Context = const RuleContext&;
using Ints = std::vector<int64_t>;

constexpr int64_t most_dims = 5;

const Value* first(Context c) { return c.node.inputs().front(); }
bool is_static(const Value* value) { return value->meta().is_static(); }

template <typename Fits>
bool all_tensors(const Node& node, Fits fits) {
  const auto holds = [&](const Value* value) { return !value->is_tensor() || fits(*value); };
  return std::ranges::all_of(node.inputs(), holds) && std::ranges::all_of(node.outputs(), holds);
}
bool has_few_dims(const Node& node) {
  return all_tensors(node, [](const Value& value) { return value.meta().rank() <= most_dims; });
}
bool has_elements(const Node& node) {
  return all_tensors(node, [](const Value& value) {
    return (value.producer() && value.users().empty()) ||
           std::ranges::none_of(value.sizes(), [](const SymInt& size) { return size.is_static() && size.value() == 0; });
  });
}
bool reads_a_tensor(Context c) { return !c.node.inputs().empty(); }

bool knows(Context c, std::string_view argument) {
  const Value* value = c.node.optional_tensor(argument);
  return !value || is_known(c.facts, value);
}
bool holds_tensor(Context c, std::string_view argument) {
  const Value* value = c.node.optional_tensor(argument);
  return !value || c.facts.stored(value) != nullptr;
}
bool knows_weight(Context c) { return knows(c, "weight"); }
bool holds_weight(Context c) { return holds_tensor(c, "weight"); }
bool knows_bias(Context c) { return holds_tensor(c, "bias"); }

bool crops_what_it_padded(Context c) {
  if (!c.node.boolean("transposed")) return true;
  const Ints extra = c.node.integers("output_padding"), pad = c.node.integers("padding");
  if (std::ranges::all_of(extra, [](int64_t n) { return n == 0; })) return true;
  const auto at = [](const Ints& list, size_t i) { return list[std::min(i, list.size() - 1)]; };
  return c.node.tensor("weight")->meta().rank() == 4 && is_static(c.node.output()) && at(extra, 0) <= at(pad, 0) &&
         at(extra, 1) <= at(pad, 1);
}
bool has_batch(Context c) { return c.node.tensor("input")->meta().rank() == c.node.tensor("weight")->meta().rank(); }

bool is_plain_sum(Context c) { return c.node.number("alpha") == 1 && c.node.number("beta") == 1; }

bool has_no_divisor(Context c) { return !c.node.optional_integer("divisor_override"); }
bool is_undilated(Context c) {
  return std::ranges::all_of(c.node.integers("dilation"), [](int64_t n) { return n == 1; });
}
bool pools_images(Context c) { return first(c)->meta().rank() == 4; }
// PyTorch leaves out a last window that would start in the padding behind; so does Core ML, but it looks at the padding of both sides.
bool rounds_up_alike(Context c) {
  if (!c.node.boolean("ceil_mode")) return true;
  if (!is_static(first(c))) return false;
  const Ints kernel = c.node.integers("kernel_size"), pad = c.node.integers("padding");
  Ints stride = c.node.integers("stride");
  if (stride.empty()) stride = kernel;
  for (size_t i = 0; i < 2; ++i) {
    const int64_t size = first(c)->sizes()[i + 2].value();
    int64_t made = (size + 2 * pad[i] - kernel[i] + stride[i] - 1) / stride[i] + 1;
    if (pad[i] > 0 && (made - 1) * stride[i] >= size + pad[i]) --made;
    if (made != c.node.output()->sizes()[i + 2].value()) return false;
  }
  return true;
}

bool knows_factors(Context c) { return holds_tensor(c, "weight") && holds_tensor(c, "bias"); }
bool knows_statistics(Context c) { return holds_tensor(c, "running_mean") && holds_tensor(c, "running_var"); }
bool has_spatial_dims(Context c) { return first(c)->meta().rank() >= 3; }
bool is_one_image(Context c) {
  const TensorMeta& meta = first(c)->meta();
  return (meta.rank() == 3 || meta.rank() == 4) && meta.sizes[0] == SymInt(1) && meta.sizes[1].is_static();
}
bool has_static_inner_sizes(Context c) {
  const auto& sizes = first(c)->sizes();
  return std::ranges::all_of(sizes.begin() + 1, sizes.end(), [](const SymInt& size) { return size.is_static(); });
}

bool is_usual_softplus(Context c) { return c.node.number("beta") == 1 && c.node.number("threshold") >= 20; }
bool has_channels(Context c) { return first(c)->meta().rank() >= 3 && first(c)->sizes()[1].is_static(); }
bool is_unscaled_inside(Context c) { return c.node.number("input_scale") == 1; }
bool rounds_down(Context c) { return !c.node.argument("rounding_mode").is_none() && c.node.string("rounding_mode") == "floor"; }
bool names_dim(Context c) { return c.node.optional_integer("dim").has_value(); }
bool has_dims(Context c) { return first(c)->meta().rank() > 0; }
bool is_sorted(Context c) { return c.node.boolean("sorted"); }

bool infers_one_size(Context c) {
  return std::ranges::count_if(c.node.output()->sizes(), [](const SymInt& size) { return !size.is_static(); }) <= 1;
}
bool repeats_known_times(Context c) {
  const auto &from = first(c)->sizes(), &to = c.node.output()->sizes();
  for (size_t i = 0; i < to.size(); ++i) {
    const size_t before = to.size() - from.size();
    const SymInt size = i < before ? SymInt(1) : from[i - before];
    if (!to[i].is_static() && !(size == to[i])) return false;
  }
  return true;
}
bool splits_known_sizes(Context c) { return std::ranges::all_of(c.node.outputs(), is_static); }
bool slices_known_places(Context c) {
  const Argument start = c.node.argument("start"), end = c.node.argument("end");
  return (start.is_none() || start.is<int64_t>()) && (end.is_none() || end.is<int64_t>());
}

Ints pads_of(Context c) { return c.node.integers(c.node.find("pad") ? "pad" : "padding"); }
bool grows(Context c) {
  return std::ranges::all_of(pads_of(c), [](int64_t n) { return n >= 0; });
}
bool mirrors_planes(Context c) { return first(c)->meta().rank() >= 3 && pads_of(c).size() <= 4; }

bool resizes_images(Context c) { return is_static(first(c)) && is_static(c.node.output()) && first(c)->meta().rank() == 4; }
bool multiplies_sizes(Context c) {
  for (size_t i = 2; i < 4; ++i)
    if (c.node.output()->sizes()[i].value() % first(c)->sizes()[i].value() != 0) return false;
  return true;
}
bool scales_exactly(Context c) {
  for (size_t i = 2; i < 4; ++i) {
    const auto from = static_cast<float>(first(c)->sizes()[i].value());
    const int64_t to = c.node.output()->sizes()[i].value();
    if (static_cast<int64_t>(std::floor(from * (static_cast<float>(to) / from))) != to) return false;
  }
  return true;
}

bool has_one_index(Context c) {
  const std::vector<Value*> indices = c.node.tensors("indices");
  return std::ranges::count_if(indices, [](const Value* value) { return value != nullptr; }) == 1;
}
const Value& index_of(Context c) {
  const std::vector<Value*> indices = c.node.tensors("indices");
  return **std::ranges::find_if(indices, [](const Value* value) { return value != nullptr; });
}
bool has_integer_index(Context c) { return is_integral(index_of(c).dtype()); }
bool indexes_static_dim(Context c) {
  const std::vector<Value*> indices = c.node.tensors("indices");
  const auto axis = static_cast<size_t>(std::ranges::find_if(indices, [](const Value* v) { return v != nullptr; }) - indices.begin());
  return axis < first(c)->sizes().size() && first(c)->sizes()[axis].is_static();
}
bool puts_whole_rows(Context c) {
  const std::vector<Value*> indices = c.node.tensors("indices");
  const auto axis = static_cast<size_t>(std::ranges::find_if(indices, [](const Value* v) { return v != nullptr; }) - indices.begin());
  const auto &data = c.node.tensor("self")->sizes(), &values = c.node.tensor("values")->sizes(), &places = index_of(c).sizes();
  if (places.size() != 1 || values.size() != data.size()) return false;
  for (size_t i = 0; i < data.size(); ++i)
    if (!(values[i] == (i == axis ? places[0] : data[i]))) return false;
  return true;
}
bool writes_static_sizes(Context c) {
  return is_static(c.node.tensor("self")) && is_static(c.node.tensor("src")) && slices_known_places(c);
}

bool multiplies_matrices(Context c) { return c.node.tensor("self")->meta().rank() >= 2 && c.node.tensor("other")->meta().rank() >= 2; }
// A choice has the sizes of what is chosen from.
bool chooses_from_known_sizes(Context c) {
  const auto &to = c.node.output()->sizes(), &a = c.node.tensor("self")->sizes(), &b = c.node.tensor("other")->sizes();
  for (size_t i = 0; i < to.size(); ++i) {
    const auto at = [&](const SymSizes& sizes) { return i + sizes.size() < to.size() ? SymInt(1) : sizes[i + sizes.size() - to.size()]; };
    const SymInt sizes[] = {at(a), at(b)};
    // A symbol must come from one of the two; how often a symbol is repeated to a number is not known.
    if (to[i].is_static() ? std::ranges::any_of(sizes, [](const SymInt& size) { return !size.is_static(); })
                          : std::ranges::find(sizes, to[i]) == std::end(sizes))
      return false;
  }
  return true;
}

bool drops_nothing(Context c) { return c.node.number("dropout_p") == 0; }
bool has_heads_apart(Context c) { return c.node.tensor("query")->meta().rank() >= 3 && !c.node.boolean("enable_gqa"); }
bool masks_known_sizes(Context c) {
  return !c.node.boolean("is_causal") || (is_static(c.node.tensor("query")) && is_static(c.node.tensor("key")));
}
bool knows_head_size(Context c) { return c.node.tensor("query")->sizes().back().is_static(); }

bool has_form(Context c) { return quantized_form(c.facts, c.node).has_value(); }

constexpr std::string_view few_dims = "at most 5 dimensions", elements = "no tensors without elements";

constexpr Constraint common_rows[] = {
    {"it has no tensor as its result", has_tensor_result<RuleContext>},
    {"it reads no tensor", reads_a_tensor},
    {"it reads a size that is known at run time", reads_tensors_only<RuleContext>},
    {few_dims, [](Context c) { return has_few_dims(c.node); }},
    {elements, [](Context c) { return has_elements(c.node); }},
};
constexpr Constraint convolution_rows[] = {
    {"the weight is known before the model runs", knows_weight},
    {"the bias is known before the model runs", knows_bias},
    {"the input has a batch", has_batch},
    {"an output padding is at most the padding, of 2-d convolutions", crops_what_it_padded},
};
constexpr Constraint linear_rows[] = {{"the weight is known before the model runs", knows_weight},
                                      {"the bias is known before the model runs", knows_bias}};
constexpr Constraint addmm_rows[] = {{"alpha and beta are 1", is_plain_sum}};
constexpr Constraint pooling_rows[] = {{"the input is a batch of images", pools_images},
                                       {"no divisor_override", has_no_divisor},
                                       {"ceil_mode counts its windows otherwise here", rounds_up_alike}};
constexpr Constraint max_pooling_rows[] = {{"the input is a batch of images", pools_images},
                                           {"its indices are not used", only_first_result_is_used<RuleContext>},
                                           {"no dilation", is_undilated},
                                           {"ceil_mode counts its windows otherwise here", rounds_up_alike}};
constexpr Constraint normalization_rows[] = {{"weight and bias are known before the model runs", knows_factors},
                                             {"its statistics are not used", only_first_result_is_used<RuleContext>}};
constexpr Constraint batch_norm_rows[] = {{"weight and bias are known before the model runs", knows_factors},
                                          {"mean and variance are known before the model runs", knows_statistics},
                                          {"its statistics are not used", only_first_result_is_used<RuleContext>},
                                          {"the input has dimensions behind the channels", has_spatial_dims}};
constexpr Constraint instance_norm_rows[] = {{"weight and bias are known before the model runs", knows_factors},
                                             {"its statistics are not used", only_first_result_is_used<RuleContext>},
                                             {"one image, or row, of known channels", is_one_image}};
constexpr Constraint group_norm_rows[] = {{"weight and bias are known before the model runs", knows_factors},
                                          {"its statistics are not used", only_first_result_is_used<RuleContext>},
                                          {"only the batch may vary", has_static_inner_sizes}};
constexpr Constraint softplus_rows[] = {{"beta is 1 and the threshold at least 20", is_usual_softplus}};
constexpr Constraint elu_rows[] = {{"input_scale is 1", is_unscaled_inside}};
constexpr Constraint channel_slope_rows[] = {{"the weight is known before the model runs", holds_weight},
                                             {"the input has dimensions behind the channels", has_channels}};
constexpr Constraint rounded_quotient_rows[] = {{"rounding_mode is floor", rounds_down}};
constexpr Constraint arg_reduction_rows[] = {{"it names a dimension", names_dim}, {"its operand has dimensions", has_dims}};
constexpr Constraint one_dim_rows[] = {{"its operand has dimensions", has_dims}};
constexpr Constraint top_rows[] = {{"its results are sorted", is_sorted}, {"its operand has dimensions", has_dims}};
constexpr Constraint reshape_rows[] = {{"at most one size is known at run time", infers_one_size}};
constexpr Constraint expand_rows[] = {{"it repeats as often as is known before the model runs", repeats_known_times}};
constexpr Constraint split_rows[] = {{"the parts have sizes that are known before the model runs", splits_known_sizes}};
constexpr Constraint slice_rows[] = {{"its places are known before the model runs", slices_known_places}};
constexpr Constraint pad_rows[] = {{"no pad is negative", grows}};
constexpr Constraint mirrored_pad_rows[] = {{"no pad is negative", grows},
                                            {"it pads the last two of three or more dimensions", mirrors_planes}};
constexpr Constraint resize_nearest_rows[] = {{"images of sizes that are known before the model runs", resizes_images},
                                              {"sizes are multiplied", multiplies_sizes}};
constexpr Constraint resize_bilinear_rows[] = {{"images of sizes that are known before the model runs", resizes_images},
                                               {"a float32 factor gives the sizes", scales_exactly}};
constexpr Constraint index_rows[] = {{"one tensor of indices", has_one_index},
                                     {"indices are integers", has_integer_index},
                                     {"the indexed size is known before the model runs", indexes_static_dim}};
constexpr Constraint put_rows[] = {{"one tensor of indices", has_one_index},
                                   {"indices are integers", has_integer_index},
                                   {"the indexed size is known before the model runs", indexes_static_dim},
                                   {"one dimension of indices, and values of its size and the tensor's", puts_whole_rows}};
constexpr Constraint write_slice_rows[] = {{"its sizes and places are known before the model runs", writes_static_sizes}};
constexpr Constraint attention_rows[] = {{"no dropout", drops_nothing},
                                         {"as many heads of keys as of queries, in a dimension of their own", has_heads_apart},
                                         {"a causal mask has sizes that are known before the model runs", masks_known_sizes},
                                         {"the size of heads is known before the model runs", knows_head_size}};
constexpr Constraint matmul_rows[] = {{"both operands have two dimensions or more", multiplies_matrices}};
constexpr Constraint choice_rows[] = {{"the result is as large as what is chosen from, or of known sizes", chooses_from_known_sizes}};
constexpr Constraint quantized_rows[] = {
    {"int8 or uint8 over the type's whole range with parameters that are known before the model runs, or found for one reader", has_form}};

}  // namespace

std::string_view shape_refusal(const Node& node) { return !has_few_dims(node) ? few_dims : !has_elements(node) ? elements : ""; }

const std::span<const Constraint> common = common_rows;
const std::span<const Constraint> convolution = convolution_rows, linear = linear_rows, addmm = addmm_rows, pooling = pooling_rows,
                                  max_pooling = max_pooling_rows;
const std::span<const Constraint> normalization = normalization_rows, batch_norm = batch_norm_rows, instance_norm = instance_norm_rows,
                                  group_norm = group_norm_rows;
const std::span<const Constraint> softplus = softplus_rows, elu = elu_rows, channel_slopes = channel_slope_rows,
                                  rounded_quotient = rounded_quotient_rows, arg_reduction = arg_reduction_rows, one_dim = one_dim_rows,
                                  top = top_rows;
const std::span<const Constraint> reshape = reshape_rows, expand = expand_rows, slice = slice_rows, split = split_rows, pad = pad_rows,
                                  mirrored_pad = mirrored_pad_rows, resize_nearest = resize_nearest_rows,
                                  resize_bilinear = resize_bilinear_rows;
const std::span<const Constraint> index = index_rows, put = put_rows, write_slice = write_slice_rows, attention = attention_rows,
                                  quantized = quantized_rows, matmul = matmul_rows, choice = choice_rows;

}  // namespace intaglio::coreml::constraints
