#include "backends/vulkan/constraints.h"

#include <algorithm>
#include <set>

#include "backends/vulkan/caches.h"
#include "backends/vulkan/symbols.h"

namespace intaglio::vulkan {

std::vector<int64_t> reduced_dims(const Node& node) {
  const int64_t rank = node.inputs().front()->meta().rank();
  std::set<int64_t> dims;
  const Argument dim = node.argument("dim");
  if (const auto* one = dim.get_if<int64_t>()) dims.insert(*one);
  if (const auto* list = dim.get_if<std::vector<int64_t>>()) dims.insert(list->begin(), list->end());
  std::set<int64_t> positive;
  for (const int64_t d : dims) positive.insert(d < 0 ? d + rank : d);
  if (positive.empty())
    for (int64_t d = 0; d < rank; ++d) positive.insert(d);
  return {positive.begin(), positive.end()};
}

bool reduces_last_dim_alone(const Node& node) {
  const std::vector<int64_t> dims = reduced_dims(node);
  return dims.size() == 1 && dims[0] == node.inputs().front()->meta().rank() - 1;
}

namespace constraints {
namespace {

using namespace intaglio::common;
using Context = const RuleContext&;

const TensorMeta& first_meta(Context c) { return c.node.inputs().front()->meta(); }
// A tensor of the model, whose bytes the runtime reads; not one that is computed, be it of constants alone.
bool is_known(Context c, std::string_view argument) {
  const Value* value = c.node.optional_tensor(argument);
  return value == nullptr || c.facts.stored(value) != nullptr;
}
// Those of the node, and those that the nodes of its symbols look at: they go along into the delegate.
bool all_tensors(Context c, bool (*holds)(Context, const Value&)) {
  const auto each = [&](const Value* value) { return !value->is_tensor() || holds(c, *value); };
  const std::vector<const Node*> symbols = symbol_nodes(c.node);
  return std::ranges::all_of(c.node.inputs(), each) && std::ranges::all_of(c.node.outputs(), each) &&
         std::ranges::all_of(symbols, [&](const Node* symbol) { return std::ranges::all_of(symbol->inputs(), each); });
}
std::optional<int64_t> upper(Context c, const SymInt& size) { return upper_bound(c.facts.program(), size); }

bool has_bounds(Context c) {
  return all_tensors(c, [](Context c, const Value& value) {
    return std::ranges::all_of(value.sizes(), [&](const SymInt& size) { return upper(c, size).has_value(); });
  });
}
bool has_small_sizes(Context c) {
  return all_tensors(c, [](Context c, const Value& value) {
    return std::ranges::all_of(value.sizes(), [&](const SymInt& size) { return upper(c, size).value_or(0) <= INT32_MAX; });
  });
}
bool has_elements(Context c) {
  return all_tensors(c, [](Context c, const Value& value) {
    const bool unused = value.producer() == &c.node && value.users().empty();
    return unused || std::ranges::all_of(value.sizes(), [&](const SymInt& size) { return upper(c, size).value_or(1) >= 1; });
  });
}
bool has_eight_dims(Context c) {
  return all_tensors(c, [](Context, const Value& value) { return value.meta().rank() <= 8; });
}
bool is_contiguous(Context c) {
  return all_tensors(
      c, [](Context c, const Value& value) { return c.facts.is_constant(&value) || std::ranges::is_sorted(value.meta().dim_order()); });
}

// They are 32 bits wide on the device.
bool has_small_integers(Context c) {
  return std::ranges::all_of(c.node.inputs(), [&](const Value* value) {
    const Tensor* tensor = value->is_tensor() && value->dtype() == DType::int64 ? c.facts.program().constant(value) : nullptr;
    const auto is_small = [](int64_t number) { return number >= INT32_MIN && number <= INT32_MAX; };
    return !tensor || std::ranges::all_of(tensor->contiguous().span<int64_t>(), is_small);
  });
}
// The symbols' own nodes go along, down to the tensors that they look at.
bool knows_symbols(Context c) {
  const std::vector<const Node*> nodes = symbol_nodes(c.node);
  const auto known = [&](const Node& node) {
    return std::ranges::all_of(node.inputs(), [&](const Value* value) {
      return value->is_tensor() || std::ranges::find(nodes, value->producer()) != nodes.end();
    });
  };
  const auto looks_as_shaders_do = [](const Node& node) { return !looks_at_element(node) || element_source(node).has_value(); };
  return known(c.node) && std::ranges::all_of(nodes, [&](const Node* node) { return known(*node) && looks_as_shaders_do(*node); });
}

bool rounds_to_floor(Context c) {
  const Argument mode = c.node.argument("rounding_mode");
  return mode.get_if<std::string>() && *mode.get_if<std::string>() == "floor" && is_floating(first_meta(c).dtype);
}
bool copies_same(Context c) {
  const TensorMeta &to = c.node.output()->meta(), &from = c.node.tensor("src")->meta();
  return to.dtype == from.dtype && to.sizes == from.sizes;
}
bool casts_as_shaders_do(Context c) {
  const DType from = first_meta(c).dtype, to = c.node.output()->dtype();
  return from == to || to != DType::boolean;
}
bool keeps_type(Context c) { return !c.node.boolean("half_to_float"); }
// An image's depth holds channels and batches: shaders that reduce along it need a batch of one.
bool spares_depth(Context c, const std::vector<int64_t>& dims) {
  const TensorMeta& meta = first_meta(c);
  if (meta.rank() < 4) return true;
  if (std::ranges::find(dims, 0) != dims.end()) return false;
  return std::ranges::find(dims, 1) == dims.end() || upper(c, meta.sizes[0]) == 1;
}
bool softmax_spares_depth(Context c) {
  const int64_t dim = c.node.integer("dim"), rank = first_meta(c).rank();
  return spares_depth(c, {dim < 0 ? dim + rank : dim});
}

bool has_computed_operand(Context c) {
  return std::ranges::any_of(c.node.inputs(), [&](const Value* value) { return !c.facts.is_constant(value); });
}
bool has_unit_factors(Context c) { return c.node.number("alpha") == 1 && c.node.number("beta") == 1; }
bool adds_vector(Context c) { return is_known(c, "self") && c.node.tensor("self")->meta().rank() == 1; }
bool has_known_weight(Context c) { return is_known(c, "weight") && is_known(c, "bias"); }
bool has_computed_input(Context c) { return !c.facts.is_constant(c.node.inputs().front()); }

bool reduces_few_dims(Context c) {
  return reduces_last_dim_alone(c.node) || (reduced_dims(c.node).size() <= 2 && c.node.boolean("keepdim"));
}
bool reduction_spares_depth(Context c) { return reduces_last_dim_alone(c.node) || spares_depth(c, reduced_dims(c.node)); }
bool keeps_dtype(Context c) { return c.node.op().schema()->find("dtype") == nullptr || c.node.output()->dtype() == first_meta(c).dtype; }
bool reduces_last_dim(Context c) { return !c.node.argument("dim").is_none() && reduces_last_dim_alone(c.node); }

bool pools_images(Context c) { return first_meta(c).rank() == 4; }

bool is_image_or_sequence(Context c) { return first_meta(c).rank() == 4 || first_meta(c).rank() == 3; }
bool has_one_image(Context c) { return first_meta(c).rank() != 4 || upper(c, first_meta(c).sizes[0]) == 1; }
bool is_transposed_as_shaders_do(Context c) {
  if (!c.node.boolean("transposed")) return true;
  return first_meta(c).rank() == 4 && c.node.integer("groups") == 1 &&
         std::ranges::all_of(c.node.integers("dilation"), [](int64_t dilation) { return dilation == 1; });
}
bool has_static_weight(Context c) { return c.node.tensor("weight")->meta().is_static(); }

bool has_one_type(Context c) {
  const DType dtype = first_meta(c).dtype;
  return std::ranges::all_of(c.node.inputs(), [&](const Value* value) { return !value->is_tensor() || value->dtype() == dtype; });
}
bool picks_along_one_dim(Context c) {
  const auto indices = c.node.tensors("indices");
  const auto given = std::ranges::count_if(indices, [](const Value* index) { return index != nullptr; });
  if (given != 1) return false;
  const Value* index = *std::ranges::find_if(indices, [](const Value* index) { return index != nullptr; });
  return index->meta().rank() == 1 && is_integral(index->dtype());
}
bool samples_bilinear_borders(Context c) {
  return c.node.integer("interpolation_mode") == 0 && c.node.integer("padding_mode") == 1 && c.node.boolean("align_corners");
}
bool has_small_table(Context c) {
  constexpr int64_t most = 128 * 1024 * 1024;
  const TensorMeta& weight = c.node.tensor("weight")->meta();
  return is_known(c, "weight") && weight.is_static() && element_count(weight.static_sizes()) <= most;
}
bool has_few_index_dims(Context c) { return c.node.tensor("indices")->meta().rank() <= 3; }
bool normalizes_images(Context c) { return first_meta(c).rank() == 4; }
bool has_known_statistics(Context c) { return is_known(c, "running_mean") && is_known(c, "running_var"); }
bool normalizes_last_dim(Context c) { return c.node.integers("normalized_shape").size() == 1; }
bool writes_cache_rows(Context c) { return writes_rows(c.node); }
bool attends_to_cache(Context c) { return attends_causally(c.node); }
bool pads_three_dims(Context c) {
  const auto pad = c.node.integers("pad");
  return pad.size() <= 6 && std::ranges::all_of(pad, [](int64_t amount) { return amount >= 0; });
}

constexpr Constraint common_rows[] = {
    {"at most 8 dimensions", has_eight_dims},
    {"every size has an upper bound (give the dynamic dimension a max)", has_bounds},
    {"sizes end at 2^31 - 1 (give the dynamic dimension a smaller max)", has_small_sizes},
    {"no empty tensor", has_elements},
    {"tensors lie row by row", is_contiguous},
    {"integers of constants end at 2^31 - 1", has_small_integers},
    {"numbers that are computed at run time come from sizes and elements of tensors", knows_symbols},
};
constexpr Constraint floor_division_rows[] = {{"division of floats, rounded down", rounds_to_floor}};
constexpr Constraint same_copy_rows[] = {{"a copy of the same type and sizes", copies_same}};
constexpr Constraint cast_rows[] = {{"the runtime has no shader that casts to bool", casts_as_shaders_do}};
constexpr Constraint softmax_rows[] = {{"no widening", keeps_type},
                                       {"along the last two dimensions where there are several images", softmax_spares_depth}};
constexpr Constraint product_rows[] = {{"not all operands are constant", has_computed_operand}};
constexpr Constraint addmm_rows[] = {{"alpha and beta are 1", has_unit_factors}, {"a constant bias with one dimension", adds_vector}};
constexpr Constraint linear_rows[] = {{"constant weight and bias", has_known_weight}, {"the input is not constant", has_computed_input}};
constexpr Constraint reduction_rows[] = {
    {"the last dimension, or at most two with keepdim", reduces_few_dims},
    {"not over images, nor over the channels of several", reduction_spares_depth},
    {"the result has the type of the input", keeps_dtype},
};
constexpr Constraint arg_reduction_rows[] = {{"the last dimension", reduces_last_dim}};
constexpr Constraint pooling_rows[] = {{"images with four dimensions", pools_images}};
constexpr Constraint convolution_rows[] = {
    {"one or two spatial dimensions", is_image_or_sequence},
    {"a batch of one image", has_one_image},
    {"constant weight and bias", has_known_weight},
    {"the weight has static sizes", has_static_weight},
    {"transposed: over images, without groups and dilation", is_transposed_as_shaders_do},
    {"the input is not constant", has_computed_input},
};
constexpr Constraint same_types_rows[] = {{"operands of one type", has_one_type}};
constexpr Constraint index_rows[] = {{"one index with one dimension", picks_along_one_dim}};
constexpr Constraint grid_sampler_rows[] = {{"bilinear, clamped at the border, aligned corners", samples_bilinear_borders}};
constexpr Constraint embedding_rows[] = {{"a constant table of at most 2^27 elements", has_small_table},
                                         {"indices with at most three dimensions", has_few_index_dims}};
constexpr Constraint batch_norm_rows[] = {{"images with four dimensions", normalizes_images},
                                          {"constant weight and bias", has_known_weight},
                                          {"constant statistics", has_known_statistics},
                                          {"only the normalized result is used", only_first_result_is_used<RuleContext>}};
constexpr Constraint group_norm_rows[] = {{"images with four dimensions", normalizes_images},
                                          {"constant weight and bias", has_known_weight},
                                          {"only the normalized result is used", only_first_result_is_used<RuleContext>}};
constexpr Constraint layer_norm_rows[] = {{"over the last dimension", normalizes_last_dim},
                                          {"constant weight and bias", has_known_weight},
                                          {"only the normalized result is used", only_first_result_is_used<RuleContext>}};
constexpr Constraint cache_rows[] = {
    {"rows of one batch, of the cache's heads and size, from a position that is a number", writes_cache_rows}};
constexpr Constraint attention_rows[] = {{"causal, of one batch, without a mask or dropout", attends_to_cache}};
constexpr Constraint pad_rows[] = {{"of the last three dimensions, by nothing negative", pads_three_dims}};
constexpr Constraint upsample_rows[] = {{"static sizes", has_static_sizes<RuleContext>}};

}  // namespace

const std::span<const Constraint> common = common_rows;
const std::span<const Constraint> floor_division = floor_division_rows;
const std::span<const Constraint> same_copy = same_copy_rows;
const std::span<const Constraint> cast = cast_rows;
const std::span<const Constraint> softmax = softmax_rows;
const std::span<const Constraint> product = product_rows;
const std::span<const Constraint> addmm = addmm_rows;
const std::span<const Constraint> linear = linear_rows;
const std::span<const Constraint> reduction = reduction_rows;
const std::span<const Constraint> arg_reduction = arg_reduction_rows;
const std::span<const Constraint> pooling = pooling_rows;
const std::span<const Constraint> convolution = convolution_rows;
const std::span<const Constraint> same_types = same_types_rows;
const std::span<const Constraint> index = index_rows;
const std::span<const Constraint> grid_sampler = grid_sampler_rows;
const std::span<const Constraint> embedding = embedding_rows;
const std::span<const Constraint> batch_norm = batch_norm_rows;
const std::span<const Constraint> group_norm = group_norm_rows;
const std::span<const Constraint> layer_norm = layer_norm_rows;
const std::span<const Constraint> cache = cache_rows;
const std::span<const Constraint> attention = attention_rows;
const std::span<const Constraint> pad = pad_rows;
const std::span<const Constraint> upsample = upsample_rows;

}  // namespace constraints
}  // namespace intaglio::vulkan
