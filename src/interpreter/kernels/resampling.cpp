// Up- and downsampling of one or two spatial dimensions: nearest, linear, cubic. A result position reads a few source
// rows and columns with weights; the inner loop runs over channels.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/threads.h"
#include "decompose/resampling.h"
#include "interpreter/fallbacks.h"
#include "interpreter/kernel_table.h"
#include "interpreter/row_math.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

enum class Method : int { nearest, nearest_exact, linear, cubic };

struct Tap {
  int64_t position;
  float weight;
};
using Taps = std::vector<Tap>;  // of one result position

struct Resize {
  int64_t input = 1, output = 1;
  double scale = 0;  // given factor, 0: from the sizes
};

float step_of(const Resize& resize, bool align_corners) {
  if (align_corners) return resize.output > 1 ? static_cast<float>(resize.input - 1) / static_cast<float>(resize.output - 1) : 0.0f;
  return resize.scale > 0 ? static_cast<float>(1.0 / resize.scale) : static_cast<float>(resize.input) / static_cast<float>(resize.output);
}

float cubic_weight(float distance) {
  constexpr float a = -0.75f;
  const float x = std::fabs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

std::vector<Taps> taps_of(const Resize& resize, Method method, bool align_corners) {
  std::vector<Taps> result;
  if (method == Method::nearest || method == Method::nearest_exact) {
    const auto factor = resize.scale > 0 ? std::optional(resize.scale) : std::nullopt;
    for (const int64_t place : decompose::nearest_places(resize.input, resize.output, factor, method == Method::nearest_exact))
      result.push_back({{place, 1.0f}});
    return result;
  }
  const float step = step_of(resize, align_corners);
  const int64_t last = resize.input - 1;
  for (int64_t o = 0; o < resize.output; ++o) {
    const float position = static_cast<float>(o);
    float source = align_corners ? step * position : step * (position + 0.5f) - 0.5f;
    if (method == Method::linear && source < 0) source = 0;
    const float whole = std::floor(source);
    const float part = source - whole;
    const int64_t base = static_cast<int64_t>(whole);
    const auto at = [&](int64_t p) { return std::clamp<int64_t>(p, 0, last); };
    if (method == Method::linear) {
      result.push_back({{at(base), 1.0f - part}, {at(base + 1), part}});
    } else {
      Taps taps;
      for (int64_t k = -1; k <= 2; ++k) taps.push_back({at(base + k), cubic_weight(part - static_cast<float>(k))});
      result.push_back(taps);
    }
  }
  return result;
}

// Sizes and factors from either form of the op: (output_size, scales...) or (output_size or scale_factors).
std::vector<Resize> read_resizes(Call& call, const Sizes& sizes, size_t dims) {
  std::vector<Resize> result(dims);
  for (size_t i = 0; i < dims; ++i) result[i].input = sizes[i + 2];
  if (call.has("scale_factors")) {
    const std::vector<double> factors = call.floatings("scale_factors");
    call.require(factors.size() == dims, "scale_factors has the wrong length");
    for (size_t i = 0; i < dims; ++i) {
      call.require(factors[i] > 0 && factors[i] < 1e6, "a scale factor is out of range");
      result[i].scale = factors[i];
      result[i].output = static_cast<int64_t>(std::floor(static_cast<double>(result[i].input) * factors[i]));
    }
  }
  if (const auto given = call.optional_integers("output_size")) {
    call.require(given->size() == dims, "output_size has the wrong length");
    for (size_t i = 0; i < dims; ++i) result[i].output = (*given)[i];
  }
  static constexpr std::string_view scale_names[2][2] = {{"scales", ""}, {"scales_h", "scales_w"}};
  for (size_t i = 0; i < dims; ++i) {
    if (const auto scale = call.optional_number(scale_names[dims - 1][i])) result[i].scale = scale->as_double();
    call.require(result[i].output > 0 && result[i].output < (1 << 24) && result[i].input > 0, "a size is out of range");
  }
  return result;
}

// Variant: spatial dimensions * 10 + method.
void resample(Call& call) {
  const Method method = static_cast<Method>(call.variant() % 10);
  const size_t dims = static_cast<size_t>(call.variant() / 10);
  const Tensor& self = call.tensor(call.has("input") ? "input" : "self");
  call.require(self.rank() == static_cast<int64_t>(dims) + 2, "the input has the wrong rank");
  if (!is_floating(self.dtype())) call.unsupported(fmt::format("resampling of {} tensors", name(self.dtype())));
  const std::vector<Resize> resizes = read_resizes(call, self.sizes(), dims);
  if (self.dtype() == DType::float64) return run_elsewhere(call);
  const bool align_corners = call.has("align_corners") && call.boolean("align_corners");
  const std::vector<Taps> one = {{{0, 1.0f}}};
  const std::vector<Taps> rows = dims == 2 ? taps_of(resizes[0], method, align_corners) : one;
  const std::vector<Taps> columns = taps_of(resizes[dims - 1], method, align_corners);

  Sizes sizes = {self.size(0), self.size(1)};
  for (const Resize& resize : resizes) sizes.push_back(resize.output);
  Tensor source = self;
  if (self.dtype() != DType::float32 || !is_channels_last(self)) {
    source = call.empty(DType::float32, self.sizes(), channels_last_strides(self.sizes()));
    copy_into(source, self, call.threads());
  }
  const Tensor out = call.empty(DType::float32, sizes, channels_last_strides(sizes));
  const int64_t channels = sizes[1], width = resizes[dims - 1].input;
  const int64_t sample = source.numel() / std::max<int64_t>(sizes[0], 1);
  float* to = writable<float>(out);
  const auto run_row = [&](size_t index) {
    const float* from = source.data<float>() + static_cast<int64_t>(index / rows.size()) * sample;
    float* target = to + static_cast<int64_t>(index * columns.size()) * channels;
    for (const Taps& column : columns) {
      const Taps& row = rows[index % rows.size()];
      if (row.size() == 1 && column.size() == 1) {
        std::copy_n(from + (row[0].position * width + column[0].position) * channels, channels, target);
      } else {
        std::fill_n(target, channels, 0.0f);
        for (const Tap& y : row)
          for (const Tap& x : column)
            row_add_scaled(target, from + (y.position * width + x.position) * channels, y.weight * x.weight, channels);
      }
      target += channels;
    }
  };
  const size_t count = static_cast<size_t>(sizes[0]) * rows.size();
  parallel_for(count, out.numel() < (1 << 20) ? 1 : call.threads(), run_row);
  call.set(converted(out, self.dtype()));
}

constexpr int code(int dims, Method method) { return dims * 10 + static_cast<int>(method); }

}  // namespace

std::span<const Kernel> resampling_kernels() {
  static const std::vector<Kernel> table = kernels_of({
      {resample, {"aten.upsample_nearest1d.default", "aten.upsample_nearest1d.vec"}, code(1, Method::nearest)},
      {resample, {"aten.upsample_nearest2d.default", "aten.upsample_nearest2d.vec"}, code(2, Method::nearest)},
      {resample, {"aten._upsample_nearest_exact1d.default", "aten._upsample_nearest_exact1d.vec"}, code(1, Method::nearest_exact)},
      {resample, {"aten._upsample_nearest_exact2d.default", "aten._upsample_nearest_exact2d.vec"}, code(2, Method::nearest_exact)},
      {resample, {"aten.upsample_linear1d.default", "aten.upsample_linear1d.vec"}, code(1, Method::linear)},
      {resample, {"aten.upsample_bilinear2d.default", "aten.upsample_bilinear2d.vec"}, code(2, Method::linear)},
      {resample, {"aten.upsample_bicubic2d.default", "aten.upsample_bicubic2d.vec"}, code(2, Method::cubic)},
  });
  return table;
}

}  // namespace intaglio::interp
