#include "backends/xnnpack/constraints.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "backends/common/gemm_operands.h"
#include "backends/xnnpack/int8_chains.h"
#include "backends/xnnpack/limits.h"
#include "backends/xnnpack/lower/node_facts.h"
#include "backends/xnnpack/lower/pieces.h"

namespace intaglio::xnnpack::constraints {
namespace {

using namespace common;

using Context = const RuleContext&;

const TensorMeta& input_meta(Context c) { return c.node.inputs().front()->meta(); }
const TensorMeta& output_meta(Context c) { return c.node.output()->meta(); }
bool is_rank(Context c, int64_t rank) { return input_meta(c).rank() == rank; }

bool is_delegated_float(DType dtype) { return dtype == DType::float32 || dtype == DType::float16; }
bool float_tensors(Context c) {
  const DType dtype = c.node.output()->dtype();
  if (!is_delegated_float(dtype)) return false;
  const bool is_cast = c.features.more_ops && c.node.is("dim_order_ops._to_dim_order_copy.default");
  const bool picks = c.node.is("aten.index.Tensor") || c.node.is("aten.index_select.default");
  return every_tensor(c.node, [&](const Value& v) {
    if (v.dtype() == dtype || (is_cast && is_delegated_float(v.dtype()))) return true;
    // Constant masks and places are no operands: they decide how the op is lowered.
    const bool decides = (v.dtype() == DType::boolean && c.node.is("aten.where.self")) || (picks && !is_floating(v.dtype()));
    return decides && c.facts.is_constant(&v);
  });
}
bool known_dim_order(Context c) {
  return every_tensor(c.node, [&](const Value& v) {
    if (c.facts.is_constant(&v)) return true;
    const std::vector<uint8_t> order = v.meta().dim_order();
    return std::ranges::is_sorted(order) || order == std::vector<uint8_t>{0, 2, 3, 1};
  });
}

bool constant_weight(Context c) {
  const auto operands = gemm_operands(c.node);
  return operands && gemm_weight(c.facts, operands->weight).has_value();
}
bool constant_bias(Context c) {
  const auto operands = gemm_operands(c.node);
  return operands && (!operands->bias || c.facts.is_constant(operands->bias));
}
// Linears also take a weight that is computed, in float32.
bool linear_weight(Context c) { return constant_weight(c) || (c.features.more_ops && has_float32_result(c)); }
bool linear_bias(Context c) { return constant_bias(c) || (c.features.more_ops && !constant_weight(c)); }
bool runtime_input(Context c) {
  const auto operands = gemm_operands(c.node);
  return operands && !c.facts.is_constant(operands->input);
}
bool convolution_rank(Context c) {
  const int64_t rank = c.node.tensor("weight")->meta().rank();
  return (rank == 3 || rank == 4) && is_rank(c, rank);
}
bool one_reshaped_size(Context c) { return is_rank(c, 4) || reshapes_to_images(input_meta(c), output_meta(c)); }
bool nonnegative_padding(Context c) {
  return std::ranges::all_of(c.node.integers("padding"), [](int64_t padding) { return padding >= 0; });
}
bool bias_is_vector(Context c) {
  const Value* bias = c.node.tensor("self");
  return bias->meta().rank() == 1 && bias->sizes()[0] == output_meta(c).sizes[1];
}
bool unit_factors(Context c) { return c.node.number("alpha") == 1 && c.node.number("beta") == 1; }
bool runtime_operands(Context c) {
  if (c.features.more_ops && has_float32_result(c)) return true;
  return std::ranges::none_of(c.node.inputs(), [&](const Value* v) { return c.facts.is_constant(v); });
}
bool alpha_fits(Context c) { return c.node.number("alpha") == 1 || (c.features.more_ops && std::isfinite(c.node.number("alpha"))); }
bool unit_alpha(Context c) { return c.node.number("alpha") == 1; }
bool clamp_range(Context c) {
  const auto bounds = qdq::clamp_bounds(c.node);
  return bounds && bounds->min < bounds->max;
}
bool softmax_dim(Context c) {
  const int64_t dim = c.node.integer("dim");
  return dim == -1 || dim == input_meta(c).rank() - 1 || c.features.more_ops;
}
bool no_widening(Context c) { return !c.node.boolean("half_to_float"); }
bool exponent_two(Context c) { return c.node.number("exponent") == 2; }
bool few_products(Context c) {
  static const std::set<double> exponents = {-2, -1, -0.5, 0.5, 2, 3, 4};
  return exponent_two(c) || (c.features.more_ops && exponents.contains(c.node.number("exponent")));
}
bool gelu_has_kernel(Context c) { return has_float32_result(c) || c.features.more_ops; }
bool gelu_is_erf(Context c) { return c.node.string("approximate") == "none"; }
bool unit_elu_scales(Context c) { return c.node.number("scale") == 1 && c.node.number("input_scale") == 1; }
bool usable_elu_scales(Context c) {
  const double outer = c.node.number("scale"), inner = c.node.number("input_scale");
  return std::isfinite(outer) && outer != 0 && std::isfinite(inner) && inner > 0;
}
bool positive_alpha(Context c) { return c.node.number("alpha") > 0 && std::isfinite(c.node.number("alpha")); }
bool finite_slope(Context c) { return std::isfinite(c.node.number("negative_slope")); }
bool prelu_weight(Context c) {
  const Value* weight = c.node.tensor("weight");
  return c.facts.is_constant(weight) && weight->meta().is_static() && is_rank(c, 4) && weight->meta().rank() == 1;
}

std::vector<int64_t> window(Context c) { return c.node.integers("kernel_size"); }
std::vector<int64_t> stride(Context c) {
  std::vector<int64_t> stride = c.node.integers("stride");
  return stride.empty() ? window(c) : stride;
}
size_t symbolic_count(const SymSizes& sizes) {
  return static_cast<size_t>(std::ranges::count_if(sizes, [](const SymInt& size) { return !size.is_static(); }));
}
bool rank_four(Context c) { return is_rank(c, 4); }
bool pools_images(Context c) { return rank_four(c) || (is_rank(c, 3) && c.features.more_ops && has_static_sizes(c)); }
// All but how many images a batch has.
bool static_images(Context c) {
  const auto& sizes = input_meta(c).sizes;
  return symbolic_count(sizes) == (sizes.front().is_static() ? 0 : 1);
}
// A matrix for each of the two dimensions: a damaged file may say any size.
bool few_weights(Context c) {
  constexpr int64_t most = int64_t{1} << 20;
  const auto &in = input_meta(c).sizes, &out = output_meta(c).sizes;
  return std::ranges::all_of(std::array<size_t, 2>{1, 2}, [&](size_t back) {
    const int64_t from = in[in.size() - back].value(), to = out[out.size() - back].value();
    return to <= most / std::max<int64_t>(from, 1);
  });
}
bool window_above_one(Context c) {
  const auto kernel = window(c);
  return c.features.more_ops || (kernel.size() == 2 && kernel[0] * kernel[1] > 1);
}
// A window of 1x1 with a stride is a slice with steps.
bool sees_all_or_is_static(Context c) {
  const auto is_one = [](int64_t size) { return size == 1; };
  return !std::ranges::all_of(window(c), is_one) || std::ranges::all_of(stride(c), is_one) || static_images(c);
}
bool equal_batches(Context c) {
  const auto &left = c.node.tensor("self")->sizes(), &right = c.node.tensor("other")->sizes();
  return left.size() > 2 && left.size() == right.size() && std::equal(left.begin(), left.end() - 2, right.begin());
}
// Other products are made of matrices in one batch, between reshapes.
bool many_symbols(Context c) {
  const auto several = [](const Value* value) { return symbolic_count(value->sizes()) > 1; };
  return several(c.node.output()) || std::ranges::any_of(c.node.inputs(), several);
}
bool floor_mode(Context c) { return !c.node.boolean("ceil_mode"); }
bool padding_not_counted(Context c) {
  if (c.features.more_ops) return true;
  const auto padding = c.node.integers("padding");
  return !c.node.boolean("count_include_pad") || std::ranges::all_of(padding, [](int64_t p) { return p == 0; });
}
bool divisor_is_window(Context c) {
  if (c.features.more_ops) return c.node.optional_integer("divisor_override").value_or(1) != 0;
  const auto divisor = c.node.optional_integer("divisor_override");
  const auto kernel = window(c);
  return !divisor || *divisor == kernel[0] * kernel[1];
}
bool stride_within_window(Context c) {
  const auto kernel = window(c), step = stride(c);
  return step.size() == 2 && step[0] <= kernel[0] && step[1] <= kernel[1];
}
// Windows further apart than they are wide see a part of the image, which is taken first.
bool few_gaps(Context c) { return stride_within_window(c) || (c.features.more_ops && static_images(c)); }
bool ceil_is_static(Context c) { return floor_mode(c) || (c.features.more_ops ? static_images(c) : has_static_sizes(c)); }
bool ceil_is_known(Context c) { return floor_mode(c) || c.features.more_ops; }
bool runs_over_image(const ReducedRun& run) { return run.rank == 4 && run.first == 2 && run.count == 2; }
bool neighbouring_dims(Context c) {
  const auto run = reduced_run(c.node);
  return run && (c.features.more_ops || runs_over_image(*run));
}
// Several dimensions are merged by reshapes; the last one alone is reduced where it is.
bool reducible_sizes(Context c) {
  const auto run = reduced_run(c.node);
  if (!run || has_static_sizes(c)) return run.has_value();
  if (runs_over_image(*run)) return c.node.is("aten.mean.dim");
  return run->is_trailing() && run->count == 1 && input_meta(c).sizes.back().is_static() && symbolic_count(output_meta(c).sizes) <= 1;
}
// Int8 pools of a larger image or batch than in the call before are wrong (seen with executorch 1.5.1), and all but images are
// pooled between reshapes, which know no symbolic size.
bool reducible_int8(Context c) { return has_static_sizes(c) || (!c.features.more_ops && runs_over_image(*reduced_run(c.node))); }
bool max_of_image(Context c) {
  const auto run = reduced_run(c.node);
  return c.features.more_ops || (run && run->rank == 4 && run->count == 1 && run->first >= 2);
}
int64_t reduced_count(Context c) {
  const auto run = reduced_run(c.node);
  int64_t count = 1;
  for (size_t i = run->first; i < run->first + run->count; ++i) count *= input_meta(c).sizes[i].value();
  return count;
}
bool several_elements(Context c) { return reduced_count(c) > 1; }
bool more_than_correction(Context c) { return static_cast<double>(reduced_count(c)) > correction_of(c.node); }
bool normalizes_static(Context c) {
  const auto count = c.node.integers("normalized_shape").size();
  const auto& sizes = input_meta(c).sizes;
  return has_static_sizes(c) || (count == 1 && sizes.back().is_static());
}
bool constant_affine(Context c) {
  for (const std::string_view name : {"weight", "bias"}) {
    const Value* value = c.node.optional_tensor(name);
    if (value && !c.facts.is_constant(value)) return false;
  }
  return true;
}
bool static_growth(Context c) {
  const auto &in = input_meta(c).sizes, &out = output_meta(c).sizes;
  const size_t added = out.size() - in.size();
  for (size_t i = 0; i < out.size(); ++i)
    if (!out[i].is_static() && (i < added || !(in[i - added] == out[i]))) return false;
  return true;
}
bool runtime_expanded(Context c) { return !c.facts.is_constant(c.node.tensor("self")); }
bool constant_mask(Context c) {
  const Value* mask = c.node.tensor("condition");
  return mask->dtype() == DType::boolean && c.facts.is_constant(mask);
}
bool one_constant_choice(Context c) {
  const Value *self = c.node.tensor("self"), *other = c.node.tensor("other");
  const bool first = c.facts.is_constant(self), second = c.facts.is_constant(other);
  if (first == second) return false;
  const auto fill = c.facts.constant_value(first ? self : other);
  return fill->numel() == 1 && !std::isnan(converted(*fill, DType::float32).data<float>()[0]);
}
bool keeps_dims(Context c) { return c.features.mean_without_keepdim || c.node.boolean("keepdim"); }
bool no_dtype(Context c) {
  const auto dtype = c.node.optional_dtype("dtype");
  return !dtype || (c.features.more_ops && *dtype == input_meta(c).dtype);
}
// With explicit factors PyTorch samples by the factor, XNNPACK by the ratio of the sizes.
bool factor_is_ratio(Context c) {
  const Argument argument = c.node.argument("scale_factors");
  const auto* factors = argument.get_if<std::vector<double>>();
  if (!factors || c.node.boolean("align_corners")) return true;
  if (factors->size() != 2) return false;
  for (size_t i = 0; i < 2; ++i) {
    const double exact = static_cast<double>(input_meta(c).sizes[2 + i].value()) * (*factors)[i];
    if (exact != static_cast<double>(output_meta(c).sizes[2 + i].value())) return false;
  }
  return true;
}
bool one_inferred_size(Context c) {
  if (symbolic_count(output_meta(c).sizes) > 1) return false;
  if (c.features.symbolic_views) return true;
  const Argument* size = c.node.find("size");
  return !size || size->is<std::vector<int64_t>>();
}
// A reshape to no dimensions at all comes out with one.
bool has_dimensions(Context c) { return output_meta(c).rank() > 0; }
bool unsqueezes_last(Context c) {
  const int64_t dim = c.node.integer("dim");
  return c.features.more_ops || dim == -1 || dim == input_meta(c).rank();
}
bool step_fits(Context c) {
  const int64_t step = c.node.integer("step");
  return step == 1 || (c.features.more_ops && step > 1 && symbolic_count(input_meta(c).sizes) <= 1);
}
bool static_slice(Context c) {
  const size_t dim = lower::normalized(c.node.integer("dim"), input_meta(c).sizes.size());
  if (!c.features.more_ops) return has_static_sizes(c);
  return input_meta(c).sizes[dim].is_static() && output_meta(c).sizes[dim].is_static();
}
bool several_inputs(Context c) { return c.features.more_ops || c.node.tensors("tensors").size() >= 2; }
bool distinct_inputs(Context c) {
  if (c.features.more_ops) return true;
  const auto tensors = c.node.tensors("tensors");
  return std::set<Value*>(tensors.begin(), tensors.end()).size() == tensors.size();
}
bool nonnegative_pad(Context c) {
  return std::ranges::all_of(c.node.integers("pad"), [](int64_t pad) { return pad >= 0; });
}
bool static_padded_sizes(Context c) {
  const auto& sizes = input_meta(c).sizes;
  const auto padded = static_cast<std::ptrdiff_t>(c.node.integers("padding").size() / 2);
  return std::all_of(sizes.end() - padded, sizes.end(), [](const SymInt& size) { return size.is_static(); });
}
// Each is a slice of its own: of more, a kernel that copies element by element is done sooner.
bool few_border_slices(Context c) {
  return std::ranges::all_of(c.node.integers("padding"), [](int64_t padding) { return padding <= 64; });
}
// Each run is a slice, as each element of a border is.
constexpr size_t most_runs = 2 * 64 + 2;
bool places_known(Context c) { return picked_places(c.facts, c.node).has_value(); }
bool repeats_or_few_runs(Context c) {
  constexpr int64_t largest = int64_t{1} << 24;  // a damaged file may say anything
  return std::ranges::all_of(std::array<size_t, 2>{2, 3}, [&](size_t dim) {
    if (output_meta(c).sizes[dim].value() > largest) return false;
    const NearestAxis axis(c.node, dim);
    return axis.times > 0 || lower::runs_of(axis.places).size() <= most_runs;
  });
}
bool few_runs(Context c) { return lower::runs_of(picked_places(c.facts, c.node)->places).size() <= most_runs; }
bool few_windows(Context c) {
  const size_t dim = lower::normalized(c.node.integer("dimension"), static_cast<size_t>(input_meta(c).rank()));
  return output_meta(c).sizes[dim].value() <= static_cast<int64_t>(most_runs);
}
bool unit_step(Context c) { return c.node.integer("step") == 1; }
bool static_slice_scatter(Context c) {
  const auto& sizes = input_meta(c).sizes;
  const size_t dim = lower::normalized(c.node.integer("dim"), sizes.size());
  return sizes[dim].is_static() && c.node.tensor("src")->sizes()[dim].is_static();
}
bool value_is_number(Context c) { return !std::isnan(c.node.number("value")); }
bool finite_value(Context c) { return std::isfinite(c.node.number("value")); }
// Layouts of inputs and outputs are the layout pass's work: a copy into another dim order is no node of its own.
bool same_dim_order(Context c) {
  if (c.features.more_ops) return true;
  return input_meta(c).dim_order() == output_meta(c).dim_order();
}
bool constant_statistics(Context c) {
  for (const std::string_view name : {"weight", "bias", "running_mean", "running_var"}) {
    const Value* value = c.node.optional_tensor(name);
    if (value && !c.facts.is_constant(value)) return false;
  }
  return true;
}
bool batch_norm_rank(Context c) { return input_meta(c).rank() >= 2; }

constexpr Constraint common_rows[] = {
    {"one tensor result", has_tensor_result},
    {"arguments are tensors and numbers", reads_tensors_only},
    {"all tensors are float32, or all float16", float_tensors},
    {"contiguous or channels-last tensors", known_dim_order},
    {"only the first result is used", only_first_result_is_used},
};
constexpr Constraint gemm_weight_row{"the weight is a constant", constant_weight};
constexpr Constraint gemm_bias_row{"the bias is a constant", constant_bias};
constexpr Constraint gemm_input_row{"the input is not a constant", runtime_input};
constexpr Constraint convolution_rows[] = {
    {"1-d or 2-d, batched", convolution_rank},
    gemm_weight_row,
    gemm_bias_row,
    gemm_input_row,
    {"no negative padding", nonnegative_padding},
    {"1-d: at most one symbolic size", one_reshaped_size},
};
constexpr Constraint linear_weight_row{"the weight is a constant, or computed in float32", linear_weight};
constexpr Constraint linear_bias_row{"the bias is a constant", linear_bias};
constexpr Constraint linear_rows[] = {linear_weight_row, linear_bias_row, gemm_input_row};
constexpr Constraint addmm_rows[] = {
    {"the added term is a vector over the output channels", bias_is_vector},
    linear_weight_row,
    linear_bias_row,
    gemm_input_row,
    {"alpha and beta are 1", unit_factors},
};
constexpr Constraint bmm_rows[] = {{"both operands are computed at run time", runtime_operands}};
constexpr Constraint matmul_rows[] = {{"both operands are computed at run time", runtime_operands},
                                      {"equally many matrices on both sides", equal_batches},
                                      {"more sizes are symbolic than a reshape can infer", many_symbols}};
constexpr Constraint alpha_rows[] = {{"alpha is finite", alpha_fits}};
constexpr Constraint unit_alpha_rows[] = {{"alpha is 1", unit_alpha}};
constexpr Constraint clamp_rows[] = {{"the lower bound is below the upper", clamp_range}};
constexpr Constraint softmax_rows[] = {{"over the last dimension", softmax_dim}, {"no widening to float32", no_widening}};
constexpr Constraint power_rows[] = {{"the exponent is one of -2, -1, -1/2, 1/2, 2, 3, 4", few_products}};
constexpr Constraint square_rows[] = {{"the exponent is 2", exponent_two}};
constexpr Constraint gelu_rows[] = {{"float32", gelu_has_kernel}};
constexpr Constraint erf_rows[] = {{"approximate is 'none'", gelu_is_erf}};
constexpr Constraint elu_rows[] = {{"finite scales", usable_elu_scales}, {"alpha is positive", positive_alpha}};
constexpr Constraint unit_elu_rows[] = {{"scale and input_scale are 1", unit_elu_scales}};
constexpr Constraint nearest_rows[] = {{"static sizes", has_static_sizes},
                                       {"by whole factors, or with few runs of neighbours", repeats_or_few_runs}};
constexpr Constraint group_norm_rows[] = {{"weight and bias are constants", constant_affine}, {"static sizes", has_static_sizes}};
constexpr Constraint leaky_relu_rows[] = {{"the slope is finite", finite_slope}};
constexpr Constraint prelu_rows[] = {{"images with a constant weight per channel, or one", prelu_weight}};
constexpr Constraint avg_pool_rows[] = {
    {"images, alone or in a batch", pools_images},
    {"a window above 1x1", window_above_one},
    {"windows of 1x1 with a stride: static sizes, but for the batch", sees_all_or_is_static},
    {"ceil_mode is off", ceil_is_known},
    {"ceil_mode needs static sizes, but for the batch", ceil_is_static},
    {"padding is not counted", padding_not_counted},
    {"the divisor is the window's area", divisor_is_window},
};
constexpr Constraint adaptive_pool_rows[] = {{"images, alone or in a batch", pools_images},
                                             {"static sizes, but for the batch", static_images},
                                             {"at most a million weights of elements", few_weights}};
constexpr Constraint max_pool_rows[] = {
    {"images, alone or in a batch", pools_images},
    {"a window above 1x1", window_above_one},
    {"the stride is within the window, or sizes but for the batch are static", few_gaps},
    {"ceil_mode needs static sizes, but for the batch", ceil_is_static},
};
constexpr Constraint mean_rows[] = {{"over neighbouring dimensions", neighbouring_dims},
                                    {"keepdim", keeps_dims},
                                    {"no dtype", no_dtype},
                                    {"static sizes, or over the last dimension alone", reducible_sizes}};
constexpr Constraint int8_mean_rows[] = {{"in int8: static sizes", reducible_int8}};
constexpr Constraint maximum_rows[] = {
    {"over neighbouring dimensions", neighbouring_dims},
    {"over height or width of images", max_of_image},
    {"static sizes", has_static_sizes},
    {"over more than one element", several_elements},
};
constexpr Constraint variance_rows[] = {{"over neighbouring dimensions", neighbouring_dims},
                                        {"static sizes, or over the last dimension alone", reducible_sizes},
                                        {"over more elements than the correction", more_than_correction}};
constexpr Constraint layer_norm_rows[] = {{"weight and bias are constants", constant_affine},
                                          {"the normalized sizes are static", normalizes_static}};
constexpr Constraint expand_rows[] = {{"the new sizes are static", static_growth}, {"the tensor is not a constant", runtime_expanded}};
constexpr Constraint where_rows[] = {{"the condition is a constant", constant_mask},
                                     {"one choice is a constant number", one_constant_choice}};
constexpr Constraint upsample_rows[] = {{"static sizes", has_static_sizes},
                                        {"a batch of images", rank_four},
                                        {"the scale factors are the ratios of the sizes", factor_is_ratio}};
constexpr Constraint view_rows[] = {{"at most one symbolic size", one_inferred_size}, {"the result has a dimension", has_dimensions}};
constexpr Constraint unsqueeze_rows[] = {{"at most one symbolic size", one_inferred_size}, {"the last dimension", unsqueezes_last}};
constexpr Constraint slice_rows[] = {{"step is 1, or at most one size is symbolic", step_fits},
                                     {"the sliced dimension is static", static_slice}};
constexpr Constraint cat_rows[] = {{"at least two inputs", several_inputs}, {"distinct inputs", distinct_inputs}};
constexpr Constraint pad_rows[] = {{"no negative padding", nonnegative_pad}, {"the value is a number", value_is_number}};
constexpr Constraint finite_pad_rows[] = {{"in int8: a finite value", finite_value}};
constexpr Constraint border_pad_rows[] = {{"no negative padding", nonnegative_padding},
                                          {"the padded sizes are static", static_padded_sizes},
                                          {"at most 64 rows or columns on a side", few_border_slices}};
constexpr Constraint pick_rows[] = {{"along one dimension of static size, at places known ahead", places_known},
                                    {"at most 130 runs of neighbours", few_runs}};
constexpr Constraint unfold_rows[] = {{"static sizes", has_static_sizes}, {"at most 130 windows", few_windows}};
constexpr Constraint slice_scatter_rows[] = {{"step is 1", unit_step}, {"the sliced dimension is static", static_slice_scatter}};
constexpr Constraint copy_rows[] = {{"the dim order stays", same_dim_order}};
constexpr Constraint batch_norm_rows[] = {{"constant statistics", constant_statistics}, {"two dimensions or more", batch_norm_rank}};

}  // namespace

const std::span<const Constraint> common = common_rows;
const std::span<const Constraint> none;
const std::span<const Constraint> convolution = convolution_rows;
const std::span<const Constraint> linear = linear_rows;
const std::span<const Constraint> addmm = addmm_rows;
const std::span<const Constraint> bmm = bmm_rows;
const std::span<const Constraint> matmul = matmul_rows;
const std::span<const Constraint> finite_alpha = alpha_rows;
const std::span<const Constraint> clamp = clamp_rows;
const std::span<const Constraint> softmax = softmax_rows;
const std::span<const Constraint> one_alpha = unit_alpha_rows;
const std::span<const Constraint> power = power_rows;
const std::span<const Constraint> square = square_rows;
const std::span<const Constraint> gelu = gelu_rows;
const std::span<const Constraint> erf = erf_rows;
const std::span<const Constraint> elu = elu_rows;
const std::span<const Constraint> unit_elu = unit_elu_rows;
const std::span<const Constraint> nearest = nearest_rows;
const std::span<const Constraint> group_norm = group_norm_rows;
const std::span<const Constraint> leaky_relu = leaky_relu_rows;
const std::span<const Constraint> prelu = prelu_rows;
const std::span<const Constraint> avg_pool = avg_pool_rows;
const std::span<const Constraint> adaptive_pool = adaptive_pool_rows;
const std::span<const Constraint> max_pool = max_pool_rows;
const std::span<const Constraint> mean = mean_rows;
const std::span<const Constraint> int8_mean = int8_mean_rows;
const std::span<const Constraint> maximum = maximum_rows;
const std::span<const Constraint> variance = variance_rows;
const std::span<const Constraint> layer_norm = layer_norm_rows;
const std::span<const Constraint> expand = expand_rows;
const std::span<const Constraint> where = where_rows;
const std::span<const Constraint> upsample = upsample_rows;
const std::span<const Constraint> view = view_rows;
const std::span<const Constraint> unsqueeze = unsqueeze_rows;
const std::span<const Constraint> slice = slice_rows;
const std::span<const Constraint> cat = cat_rows;
const std::span<const Constraint> pad = pad_rows;
const std::span<const Constraint> finite_pad = finite_pad_rows;
const std::span<const Constraint> border_pad = border_pad_rows;
const std::span<const Constraint> pick = pick_rows;
const std::span<const Constraint> unfold = unfold_rows;
const std::span<const Constraint> slice_scatter = slice_scatter_rows;
const std::span<const Constraint> copy = copy_rows;
const std::span<const Constraint> batch_norm = batch_norm_rows;

}  // namespace intaglio::xnnpack::constraints
