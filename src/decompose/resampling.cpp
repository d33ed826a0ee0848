// Padding at borders and resizing of images.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "decompose/limits.h"
#include "decompose/resampling.h"
#include "decompose/rewrite.h"
#include "decompose/tables.h"

namespace intaglio::decompose {
namespace {

// Wraps around: the end stands before the start and the other way round.
Value* circular(GraphBuilder& b, const Node& n, Value* x, const Ints& pads) {
  for (size_t i = 0; i < pads.size() / 2; ++i) {
    const int64_t dim = x->meta().rank() - 1 - static_cast<int64_t>(i);
    const SymInt& size = x->sizes()[static_cast<size_t>(dim)];
    const int64_t before = pads[2 * i], after = pads[2 * i + 1];
    if (!size.is_static() || before < 0 || after < 0) refuse(n, "circular padding needs fixed sizes and no negative amounts");
    Values parts;
    if (before) parts.push_back(b.slice(x, dim, size.value() - before, size.value()));
    parts.push_back(x);
    if (after) parts.push_back(b.slice(x, dim, 0, after));
    if (parts.size() > 1) x = b("aten.cat.default", parts, dim);
  }
  return x;
}

Values pad(GraphBuilder& b, const Node& n) {
  Value* x = n.tensor("self");
  const std::string mode = n.string("mode");
  if (mode == "constant") {
    const Argument value = n.argument("value");
    return {b("aten.constant_pad_nd.default", x, n.argument("pad"), value.is_none() ? Argument(0) : value)};
  }
  const Ints pads = n.integers("pad");
  if (mode == "circular") return {circular(b, n, x, pads)};
  const char* kernel = mode == "reflect" ? "reflection" : mode == "replicate" ? "replication" : nullptr;
  if (!kernel || pads.empty() || pads.size() > 6) refuse(n, "this padding mode is not supported");
  return {b(fmt::format("aten.{}_pad{}d.default", kernel, pads.size() / 2), x, pads)};
}

// Negative amounts take away: slices, then what is left of the padding.
Values cropped(GraphBuilder& b, const Node& n, Ints pads) {
  Value* x = n.tensor("self");
  for (size_t i = 0; i < pads.size(); ++i) {
    if (pads[i] >= 0) continue;
    const int64_t dim = x->meta().rank() - 1 - static_cast<int64_t>(i / 2);
    const SymInt& size = x->sizes()[static_cast<size_t>(dim)];
    if (!size.is_static() && i % 2) refuse(n, "negative padding behind needs a fixed size");
    x = i % 2 ? b.slice(x, dim, 0, size.value() + pads[i]) : b.slice(x, dim, -pads[i], std::numeric_limits<int64_t>::max());
    pads[i] = 0;
  }
  return {b("aten.constant_pad_nd.default", x, pads, n.argument("value"))};
}

Values constant_pad(GraphBuilder& b, const Node& n) {
  const Argument pads = n.argument("pad");
  const auto* amounts = pads.get_if<std::vector<int64_t>>();
  const bool nothing = amounts && std::all_of(amounts->begin(), amounts->end(), [](int64_t amount) { return amount == 0; });
  if (amounts && std::any_of(amounts->begin(), amounts->end(), [](int64_t amount) { return amount < 0; })) return cropped(b, n, *amounts);
  const bool returns_input = !n.tensor("self")->producer() && is_program_output(n.output());
  return nothing && !returns_input ? Values{n.tensor("self")} : Values{};
}

// The two forms of an op: sizes or factors, and sizes with a factor of each axis that decides where samples are taken.
Value* image_of(const Node& n) {
  Value* image = n.tensor(n.op().schema()->find("input") ? "input" : "self");
  // Not every one of these has a rule that checks what a file claims.
  if (image->sizes().size() < 3 || n.output()->sizes().size() != image->sizes().size()) refuse(n, "input and result are not images");
  return image;
}
// Lists of sizes and scales get a leading entry for the added height of 1.
Values upsample_1d(GraphBuilder& b, const Node& n) {
  Argument sizes = n.argument("output_size"), scales;
  if (auto* list = sizes.get_if<std::vector<int64_t>>()) list->insert(list->begin(), 1);
  if (const auto factor = resize_factor(n, 0)) {
    scales = std::vector<double>{1.0, *factor};
    sizes = Argument();
  }
  Value* image = b.unsqueeze(image_of(n), -2);
  Value* resized = n.op().base() == "upsample_nearest1d"
                       ? b("aten.upsample_nearest2d.vec", image, sizes, scales)
                       : b("aten.upsample_bilinear2d.vec", image, sizes, n.boolean("align_corners"), scales);
  return {b.squeeze(resized, -2)};
}

// The form with separate scales. A scale that was given decides the sampling positions.
Values upsample_size(GraphBuilder& b, const Node& n) {
  const auto high = n.optional_number("scales_h"), wide = n.optional_number("scales_w");
  const bool nearest = n.op().base() == "upsample_nearest2d";
  Argument sizes = n.argument("output_size"), scales;
  if (high && wide) {
    scales = std::vector<double>{*high, *wide};
    sizes = Argument();
  }
  if (nearest) return {b("aten.upsample_nearest2d.vec", n.tensor("self"), sizes, scales)};
  return {b("aten.upsample_bilinear2d.vec", n.tensor("self"), sizes, n.boolean("align_corners"), scales)};
}

// ---- each axis is a product with a constant matrix of weights
double cubic(double t, double a) {
  t = std::abs(t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return 0;
}
double triangle(double t) { return std::max(0.0, 1 - std::abs(t)); }
double sharp_cubic(double t) { return cubic(t, -0.5); }
double smooth_cubic(double t) { return cubic(t, -0.75); }

// Factors may be any number. Further out than this all taps are the border's element, however far.
double near_image(double position, int64_t size) {
  constexpr double out = 4;
  return position > -out ? std::min(position, static_cast<double>(size) + out) : -out;
}
int64_t place_within(double position, int64_t size) {
  return position > 0 ? static_cast<int64_t>(std::min(position, static_cast<double>(size))) : 0;
}

// [from, to]: column j holds the weights of the inputs that make output j. Borders repeat.
template <double (*filter)(double)>
Tensor nearby_weights(const Node& n, int64_t from, int64_t to, bool align_corners, std::optional<double> scale) {
  Tensor weights = bounded_zeros(n, DType::float32, {from, to});
  float* data = weights.mutable_data<float>();
  const double step = align_corners ? (to > 1 ? static_cast<double>(from - 1) / static_cast<double>(to - 1) : 0)
                      : scale       ? 1 / *scale
                                    : static_cast<double>(from) / static_cast<double>(to);
  for (int64_t j = 0; j < to; ++j) {
    const double position = near_image(align_corners ? step * static_cast<double>(j) : step * (static_cast<double>(j) + 0.5) - 0.5, from);
    const auto left = static_cast<int64_t>(std::floor(position));
    for (int64_t tap = left - 1; tap <= left + 2; ++tap)
      data[std::clamp<int64_t>(tap, 0, from - 1) * to + j] += static_cast<float>(filter(position - static_cast<double>(tap)));
  }
  return weights;
}
// With antialias: the filter widens as the image shrinks, and what it takes in adds up to one.
template <double (*filter)(double), int reach>
Tensor smooth_weights(const Node& n, int64_t from, int64_t to, bool align_corners, std::optional<double> scale) {
  Tensor weights = bounded_zeros(n, DType::float32, {from, to});
  float* data = weights.mutable_data<float>();
  const double step = align_corners ? (to > 1 ? static_cast<double>(from - 1) / static_cast<double>(to - 1) : 0)
                      : scale       ? 1 / *scale
                                    : static_cast<double>(from) / static_cast<double>(to);
  const double width = std::max(step, 1.0), support = reach * width;
  for (int64_t j = 0; j < to; ++j) {
    const double center = step * (static_cast<double>(j) + 0.5);
    const int64_t first = place_within(center - support + 0.5, from), last = place_within(center + support + 0.5, from);
    double total = 0;
    for (int64_t i = first; i < last; ++i) total += filter((static_cast<double>(i) - center + 0.5) / width);
    for (int64_t i = first; i < last; ++i)
      data[i * to + j] = static_cast<float>(filter((static_cast<double>(i) - center + 0.5) / width) / total);
  }
  return weights;
}

using Weights = Tensor (*)(const Node& n, int64_t from, int64_t to, bool align_corners, std::optional<double> scale);
template <const Weights& weights_of>
Values resized_by_products(GraphBuilder& b, const Node& n) {
  Value* x = image_of(n);
  const SymSizes from = x->sizes(), to = n.output()->sizes();
  const int64_t last = x->meta().rank() - 1;
  bool fixed = x->dtype() == DType::float32;
  const auto is_empty = [](const SymInt& size) { return size.is_static() && size.value() < 1; };
  if (std::ranges::any_of(from, is_empty) || std::ranges::any_of(to, is_empty)) refuse(n, "an image without pixels");
  for (size_t axis = 2; axis < from.size(); ++axis) fixed = fixed && from[axis].is_static() && to[axis].is_static();
  if (!fixed) refuse(n, "there is no kernel: resizing by products needs float32 and fixed image sizes");
  const bool corners = n.boolean("align_corners");
  for (int64_t axis = last; axis >= 2; --axis) {
    const auto place = static_cast<size_t>(axis);
    Ints order(from.size());
    std::iota(order.begin(), order.end(), 0);
    std::swap(order[place], order.back());
    const Tensor weights = weights_of(n, from[place].value(), to[place].value(), corners, resize_factor(n, place - 2));
    Value* turned = b.permute(x, order);
    x = b.permute(b("aten.matmul.default", turned, b.constant(weights)), order);
  }
  return {x};
}
constexpr Weights bicubic = nearby_weights<smooth_cubic>;
constexpr Weights trilinear = nearby_weights<triangle>;
constexpr Weights smooth_bilinear = smooth_weights<triangle, 1>;
constexpr Weights smooth_bicubic = smooth_weights<sharp_cubic, 2>;

// Rows and columns are picked: by the middle of each pixel, or by its corner.
template <bool exact>
Values nearest(GraphBuilder& b, const Node& n) {
  Value* x = image_of(n);
  const size_t axes = x->sizes().size() - 2;
  for (size_t axis = 0; axis < axes; ++axis) {
    const SymInt from = x->sizes()[2 + axis], to = n.output()->sizes()[2 + axis];
    if (!from.is_static() || !to.is_static()) refuse(n, "there is no kernel: this resizing needs fixed image sizes");
    if (from.value() < 1) refuse(n, "an image without pixels");
    written_out(n, DType::int64, {to.value()});
    const std::vector<int64_t> picked = nearest_places(from.value(), to.value(), resize_factor(n, axis), exact);
    x = b("aten.index_select.default", x, static_cast<int64_t>(2 + axis), b.constant(Tensor::of<int64_t>(picked, {to.value()})));
  }
  return {x};
}

Values grid_sampler(GraphBuilder& b, const Node& n) {
  if (n.tensor("input")->meta().rank() != 4) refuse(n, "there is no kernel for volumes");
  return {b("aten.grid_sampler_2d.default", n.tensor("input"), n.tensor("grid"), n.integer("interpolation_mode"), n.integer("padding_mode"),
            n.boolean("align_corners"))};
}

// The places of all elements in [-1, 1], the last dimension first and a 1 behind, times each transformation.
Values affine_grid(GraphBuilder& b, const Node& n) {
  const Ints size = n.integers("size");
  if (size.size() < 4 || size.size() > 5 || n.tensor("theta")->dtype() != DType::float32)
    refuse(n, "only float32 grids of images and volumes are supported");
  const bool corners = n.boolean("align_corners");
  const Ints spatial = size.all_but_first(2);
  const size_t axes = spatial.size();
  const auto width = static_cast<int64_t>(axes) + 1;
  const int64_t count = written_out(n, DType::float32, spatial);
  Tensor base = bounded_zeros(n, DType::float32, {count, width});
  for (int64_t place = 0; place < count; ++place) {
    float* row = base.mutable_data<float>() + place * width;
    int64_t rest = place;
    for (size_t i = 0; i < axes; ++i) {
      const int64_t length = spatial[axes - 1 - i], index = rest % length;
      rest /= length;
      const double steps = static_cast<double>(corners ? std::max<int64_t>(length - 1, 1) : length);
      row[i] = corners && length == 1 ? 0 : static_cast<float>((2 * static_cast<double>(index) + (corners ? 0 : 1)) / steps - 1);
    }
    row[axes] = 1;
  }
  Value *places = b.constant(std::move(base)), *theta = b.permute(n.tensor("theta"), {0, 2, 1});
  return {b.view(b("aten.matmul.default", places, theta), n.output()->sizes())};
}

const DecompositionRow resampling_rows[] = {
    {affine_grid, {"aten.affine_grid_generator.default"}},
    {pad, {"aten.pad.default"}},
    {constant_pad, {"aten.constant_pad_nd.default"}},
    {upsample_1d,
     {"aten.upsample_nearest1d.vec", "aten.upsample_linear1d.vec", "aten.upsample_nearest1d.default", "aten.upsample_linear1d.default"}},
    {upsample_size, {"aten.upsample_nearest2d.default", "aten.upsample_bilinear2d.default"}},
    {resized_by_products<bicubic>, {"aten.upsample_bicubic2d.default", "aten.upsample_bicubic2d.vec"}},
    {resized_by_products<smooth_bicubic>, {"aten._upsample_bicubic2d_aa.default", "aten._upsample_bicubic2d_aa.vec"}},
    {resized_by_products<trilinear>, {"aten.upsample_trilinear3d.default", "aten.upsample_trilinear3d.vec"}},
    {nearest<false>, {"aten.upsample_nearest3d.default", "aten.upsample_nearest3d.vec"}},
    {nearest<true>,
     {"aten._upsample_nearest_exact1d.default", "aten._upsample_nearest_exact2d.default", "aten._upsample_nearest_exact3d.default",
      "aten._upsample_nearest_exact1d.vec", "aten._upsample_nearest_exact2d.vec", "aten._upsample_nearest_exact3d.vec"}},
    {resized_by_products<smooth_bilinear>, {"aten._upsample_bilinear2d_aa.vec"}},
    {grid_sampler, {"aten.grid_sampler.default"}},
};

}  // namespace

std::vector<int64_t> nearest_places(int64_t from, int64_t to, std::optional<double> factor, bool exact) {
  // PyTorch does not ask for the factor where the size is the same or twice as large.
  if (!exact && (to == from || to == 2 * from)) factor.reset();
  const float step = factor && *factor > 0 ? static_cast<float>(1 / *factor) : static_cast<float>(from) / static_cast<float>(to);
  std::vector<int64_t> places;
  for (int64_t i = 0; i < to; ++i) {
    const float place = (static_cast<float>(i) + (exact ? 0.5f : 0.0f)) * step;
    places.push_back(std::min(place_within(place, from), from - 1));
  }
  return places;
}

std::optional<double> resize_factor(const Node& node, size_t axis) {
  if (node.op().overload() == "vec") {
    const Argument factors = node.argument("scale_factors");
    const auto* list = factors.get_if<std::vector<double>>();
    return list ? std::optional(list->at(axis)) : std::nullopt;
  }
  constexpr std::array<std::string_view, 3> names = {"scales_d", "scales_h", "scales_w"};
  const OpSchema& schema = *node.op().schema();
  if (schema.find("scales")) return node.optional_number("scales");
  return node.optional_number(names.at(axis + (schema.find("scales_d") ? 0 : 1)));
}

std::span<const DecompositionRow> resampling_decompositions() { return resampling_rows; }

}  // namespace intaglio::decompose
