// Normalization, padding, resampling.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

void input_like(Inference& in) { in.result(in.operand("input").dtype, in.sizes("input")); }

// Statistics of a half-precision input are kept in the weights' or in float32.
DType statistics_dtype(const Inference& in) {
  const DType dtype = in.operand("input").dtype;
  return dtype == DType::float16 || dtype == DType::bfloat16 ? DType::float32 : dtype;
}

// A weight, bias or statistic: one number for each of `sizes`.
void require_sizes(Inference& in, std::string_view argument, std::span<const SymInt> sizes) {
  const Value* value = in.node.optional_tensor(argument);
  if (!value) return;
  in.require(may_equal(value->sizes(), sizes), fmt::format("'{}' does not fit what is normalized", argument));
}

void require_channels(Inference& in, std::initializer_list<std::string_view> arguments) {
  const SymSizes& input = in.sizes("input");
  in.require(input.size() >= 2, "the input has no channel dimension");
  for (const std::string_view argument : arguments) require_sizes(in, argument, input.all_but_first(1).first(1));
}
void batch_norm(Inference& in) {
  require_channels(in, {"weight", "bias", "running_mean", "running_var"});
  input_like(in);
}

void batch_norm_inference(Inference& in) {
  batch_norm(in);
  for (int i = 0; i < 2; ++i) in.result(statistics_dtype(in), {0});
}
void batch_norm_no_stats(Inference& in) {
  require_channels(in, {"weight", "bias"});
  input_like(in);
  for (int i = 0; i < 2; ++i) in.result(statistics_dtype(in), {in.sizes("input")[1]});
}

void require_groups(Inference& in, std::string_view argument) {
  require_channels(in, {"weight", "bias"});
  const int64_t groups = in.node.integer(argument);
  const SymInt& channels = in.sizes("input")[1];
  in.require(groups > 0 && (!channels.is_static() || channels.value() % groups == 0), "the channels do not divide into the groups");
}
void group_norm(Inference& in) {
  require_groups(in, "num_groups");
  input_like(in);
}

// The dimensions that are normalized are the input's last.
size_t normalized_dims(Inference& in, std::initializer_list<std::string_view> arguments) {
  const SymSizes& input = in.sizes("input");
  const SymSizes normalized = in.symbols("normalized_shape");
  if (!in.known) return 0;
  in.require(!normalized.empty() && normalized.size() <= input.size(), "normalized_shape has no dimension, or more than the input");
  const std::span<const SymInt> last = std::span(input).last(normalized.size());
  in.require(may_equal(last, normalized), "normalized_shape is not the input's last sizes");
  for (const std::string_view argument : arguments) require_sizes(in, argument, last);
  return normalized.size();
}
void layer_norm(Inference& in) {
  normalized_dims(in, {"weight", "bias"});
  input_like(in);
}
void rms_norm(Inference& in) {
  normalized_dims(in, {"weight"});
  input_like(in);
}
void native_layer_norm(Inference& in) {
  const SymSizes& input = in.sizes("input");
  const size_t normalized = normalized_dims(in, {"weight", "bias"});
  SymSizes sizes = input;
  for (size_t i = input.size() - normalized; i < input.size(); ++i) sizes[i] = 1;
  input_like(in);
  for (int i = 0; i < 2; ++i) in.result(in.operand("input").dtype == DType::float64 ? DType::float64 : DType::float32, sizes);
}
void native_group_norm(Inference& in) {
  const auto batch = in.symbol("N"), channels = in.symbol("C"), rest = in.symbol("HxW");
  if (!batch || !channels || !rest) return in.unknown();
  require_groups(in, "group");
  const SymSizes& input = in.sizes("input");
  in.require(!surely_differ(input[0], *batch) && !surely_differ(input[1], *channels) &&
                 !surely_differ(size_product(input.all_but_first(2)), *rest),
             "N, C and HxW are not the input's sizes");
  input_like(in);
  for (int i = 0; i < 2; ++i) in.result(in.operand("input").dtype, {*batch, in.node.integer("group")});
}

// Pairs (before, after) from the last dimension backwards.
void pad_by(Inference& in, const SymSizes& pads) {
  SymSizes sizes = in.sizes("self");
  in.require(pads.size() % 2 == 0 && pads.size() / 2 <= sizes.size(), "the padding list does not fit the dimensions");
  for (size_t i = 0; i < pads.size() / 2; ++i) {
    SymInt& size = sizes[sizes.size() - 1 - i];
    size = size + pads[2 * i] + pads[2 * i + 1];
    in.require(!size.is_static() || size.value() >= 0, "the padding removes more than there is");
  }
  in.result(in.operand("self").dtype, std::move(sizes));
}
void pad(Inference& in) {
  const SymSizes pads = in.symbols("pad");
  if (in.known) pad_by(in, pads);
}
// Of images, from what they hold: a reflection ends before the border that it starts from.
template <size_t spatial>
void border_pad(Inference& in) {
  const SymSizes &sizes = in.sizes("self"), pads = in.symbols("padding");
  if (!in.known) return;
  require_image(in, sizes, spatial);
  in.require(pads.size() == 2 * spatial, "the padding list does not fit the dimensions");
  const int64_t least_left = in.node.op().base().starts_with("reflection") ? 1 : 0;
  for (size_t i = 0; i < pads.size(); ++i) {
    const SymInt& size = sizes[sizes.size() - 1 - i / 2];
    const bool is_reached = !pads[i].is_static() || !size.is_static() || least_left == 0 || pads[i].value() <= size.value() - least_left;
    if (!is_reached) in.fail(fmt::format("a reflection of {} elements in a dimension of {}", pads[i].value(), size.value()));
  }
  pad_by(in, pads);
}

template <size_t spatial>
void upsample_vec(Inference& in) {
  SymSizes sizes = in.sizes("input");
  in.require(sizes.size() == spatial + 2, "the input has the wrong number of dimensions");
  require_image(in, sizes, spatial);
  if (in.has("output_size")) {
    const SymSizes wanted = in.symbols("output_size");
    if (!in.known) return;
    in.require(wanted.size() == spatial, "output_size has the wrong length");
    for (size_t i = 0; i < spatial; ++i) sizes[2 + i] = wanted[i];
    return in.result(in.operand("input").dtype, std::move(sizes));
  }
  const auto written = in.node.argument("scale_factors");
  const auto* scales = written.get_if<std::vector<double>>();
  in.require(scales && scales->size() == spatial, "neither output_size nor fitting scale_factors");
  for (size_t i = 0; i < spatial; ++i) {
    const double scale = (*scales)[i];
    in.require(std::isfinite(scale) && scale > 0 && scale < 1e6, "a scale factor is out of range");
    if (sizes[2 + i].is_static()) sizes[2 + i] = static_cast<int64_t>(static_cast<double>(sizes[2 + i].value()) * scale);
    else if (scale == std::floor(scale)) sizes[2 + i] = sizes[2 + i] * SymInt(static_cast<int64_t>(scale));
    else return in.unknown();
  }
  in.result(in.operand("input").dtype, std::move(sizes));
}
template <size_t spatial>
void upsample_size(Inference& in) {
  SymSizes sizes = in.sizes("self");
  const SymSizes wanted = in.symbols("output_size");
  if (!in.known) return;
  in.require(wanted.size() == spatial && sizes.size() == spatial + 2, "output_size or the input has the wrong length");
  require_image(in, sizes, spatial);
  std::copy(wanted.begin(), wanted.end(), sizes.begin() + 2);
  in.result(in.operand("self").dtype, std::move(sizes));
}

void grid_sample(Inference& in) {
  const SymSizes &input = in.sizes("input"), &grid = in.sizes("grid");
  in.require(input.size() == grid.size() && input.size() >= 4, "input and grid differ in dimensions");
  require_image(in, input, input.size() - 2);
  SymSizes sizes = {input[0], input[1]};
  for (const SymInt& size : grid.all_but_first(1).all_but_last(1)) sizes.push_back(size);
  in.result(in.operand("input").dtype, std::move(sizes));
}

// With the mask of what stayed.
void native_dropout(Inference& in) {
  input_like(in);
  in.result(DType::boolean, in.sizes("input"));
}

const Rule neural_table[] = {
    {native_dropout, {"aten.native_dropout.default"}},
    {batch_norm, {"aten.batch_norm.default", "aten.instance_norm.default"}},
    {layer_norm, {"aten.layer_norm.default"}},
    {group_norm, {"aten.group_norm.default"}},
    {rms_norm, {"aten.rms_norm.default"}},
    {batch_norm_inference, {"aten._native_batch_norm_legit_no_training.default"}},
    {batch_norm_no_stats, {"aten._native_batch_norm_legit.no_stats"}},
    {native_layer_norm, {"aten.native_layer_norm.default"}},
    {native_group_norm, {"aten.native_group_norm.default"}},
    {pad, {"aten.constant_pad_nd.default", "aten.pad.default"}},
    {border_pad<1>, {"aten.reflection_pad1d.default", "aten.replication_pad1d.default"}},
    {border_pad<2>, {"aten.reflection_pad2d.default", "aten.replication_pad2d.default"}},
    {border_pad<3>, {"aten.reflection_pad3d.default", "aten.replication_pad3d.default"}},
    {upsample_vec<1>, {"aten.upsample_nearest1d.vec", "aten.upsample_linear1d.vec"}},
    {upsample_vec<2>,
     {"aten.upsample_nearest2d.vec", "aten.upsample_bilinear2d.vec", "aten.upsample_bicubic2d.vec", "aten._upsample_bilinear2d_aa.vec"}},
    {upsample_size<2>, {"aten.upsample_nearest2d.default", "aten.upsample_bilinear2d.default", "aten._upsample_bilinear2d_aa.default"}},
    {grid_sample, {"aten.grid_sampler.default", "aten.grid_sampler_2d.default"}},
};

}  // namespace

std::span<const Rule> neural_rules() { return neural_table; }

}  // namespace intaglio::infer
