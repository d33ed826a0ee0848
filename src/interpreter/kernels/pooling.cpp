// Max and average pooling, also adaptive, over one to three spatial dimensions. Windows are walked in channels-last
// order, so that the inner loop runs over channels.
#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/threads.h"
#include "interpreter/instruction_set.h"
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

INTAGLIO_INLINE void maximum_body(float* best, const float* values, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) best[i] = values[i] > best[i] || values[i] != values[i] ? values[i] : best[i];
}
INTAGLIO_VERSIONS(maximum, (float* best, const float* values, int64_t count), (best, values, count))

INTAGLIO_INLINE void accumulate_body(float* sum, const float* values, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) sum[i] += values[i];
}
INTAGLIO_VERSIONS(accumulate, (float* sum, const float* values, int64_t count), (sum, values, count))

INTAGLIO_INLINE void divide_body(float* values, float divisor, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] /= divisor;
}
INTAGLIO_VERSIONS(divide, (float* values, float divisor, int64_t count), (values, divisor, count))

// Half-open range of input positions that one output position sees in one dimension, and the step between them.
struct Window {
  int64_t begin, end;
  int64_t padded;  // positions counted with padding, for averages
};
struct Axis {
  int64_t input = 1;
  int64_t step = 1;  // dilation
  std::vector<Window> windows = {{0, 1, 1}};
};

// Always three axes; missing ones have one position.
struct Pooling {
  Axis axes[3];
  int64_t batch = 1, channels = 1;
  bool batched = true;
  size_t dims = 2;
  Tensor source;  // channels last, float32
};

Sizes list_of(Call& call, std::string_view name, size_t dims) {
  Sizes list = call.integers(name);
  if (list.size() == 1) list.resize(dims, list[0]);
  if (list.size() != dims) call.fail(fmt::format("argument '{}' has {} entries for {} dimensions", name, list.size(), dims));
  return list;
}

Pooling read_source(Call& call, size_t dims, std::string_view name) {
  Pooling pooling;
  pooling.dims = dims;
  Tensor self = call.tensor(name);
  pooling.batched = self.rank() == static_cast<int64_t>(dims) + 2;
  call.require(pooling.batched || self.rank() == static_cast<int64_t>(dims) + 1, "the input has the wrong rank");
  if (!pooling.batched) {
    Sizes sizes = self.sizes(), strides = self.strides();
    sizes.insert(sizes.begin(), 1);
    strides.insert(strides.begin(), 0);
    self = self.view_as(sizes, strides, self.storage_offset());
  }
  // Integers of up to 16 bits are floats of the same value.
  const bool is_small_integer = !is_floating(self.dtype()) && self.dtype() != DType::boolean && item_size(self.dtype()) <= 2;
  call.require(is_small_integer || (is_floating(self.dtype()) && self.dtype() != DType::float64), "pooling needs a float tensor");
  pooling.batch = self.size(0);
  pooling.channels = self.size(1);
  for (size_t i = 0; i < dims; ++i) pooling.axes[3 - dims + i].input = self.sizes()[i + 2];
  pooling.source = self;
  if (self.dtype() != DType::float32 || !is_channels_last(self)) {
    pooling.source = call.empty(DType::float32, self.sizes(), channels_last_strides(self.sizes()));
    copy_into(pooling.source, self, call.threads());
  }
  return pooling;
}

int64_t window_count(Call& call, int64_t input, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation, bool ceil_mode) {
  call.require(kernel > 0 && stride > 0 && dilation > 0 && pad >= 0 && pad <= kernel / 2 && kernel < INT32_MAX && stride < INT32_MAX &&
                   dilation < INT32_MAX,
               "kernel size, stride, padding or dilation is out of range");
  const int64_t room = input + 2 * pad - dilation * (kernel - 1) - 1;
  call.require(room >= 0, "the input is smaller than the window");
  int64_t count = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  if (ceil_mode && (count - 1) * stride >= input + pad) --count;
  return count;
}

void set_windows(Call& call, Pooling& pooling, bool dilated) {
  const size_t dims = pooling.dims;
  const Sizes kernel = list_of(call, "kernel_size", dims);
  Sizes stride = call.integers("stride");
  if (stride.empty()) stride = kernel;
  if (stride.size() == 1) stride.resize(dims, stride[0]);
  call.require(stride.size() == dims, "argument 'stride' has the wrong length");
  const Sizes padding = list_of(call, "padding", dims), dilation = dilated ? list_of(call, "dilation", dims) : Sizes(dims, 1);
  const bool ceil_mode = call.boolean("ceil_mode");
  for (size_t d = 0; d < dims; ++d) {
    Axis& axis = pooling.axes[3 - dims + d];
    const int64_t count = window_count(call, axis.input, kernel[d], stride[d], padding[d], dilation[d], ceil_mode);
    axis.step = dilation[d];
    axis.windows.clear();
    for (int64_t i = 0; i < count; ++i) {
      const int64_t start = i * stride[d] - padding[d];
      const int64_t padded_end = std::min(start + kernel[d], axis.input + padding[d]);
      int64_t begin = start, end = std::min(start + dilation[d] * (kernel[d] - 1) + 1, axis.input);
      while (begin < 0) begin += dilation[d];
      axis.windows.push_back({begin, end, padded_end - start});
    }
  }
}

Sizes output_sizes(const Pooling& pooling) {
  Sizes sizes = {pooling.batch, pooling.channels};
  for (size_t i = 3 - pooling.dims; i < 3; ++i) sizes.push_back(static_cast<int64_t>(pooling.axes[i].windows.size()));
  return sizes;
}

// Calls body(output position, windows of the three axes, source of the sample) for every output position of every sample.
template <typename Body>
void for_windows(const Call& call, const Pooling& pooling, Body body) {
  const Axis &d_axis = pooling.axes[0], &h_axis = pooling.axes[1], &w_axis = pooling.axes[2];
  const int64_t sample = pooling.channels * d_axis.input * h_axis.input * w_axis.input;
  const float* source = pooling.source.data<float>();
  const size_t rows = h_axis.windows.size(), columns = w_axis.windows.size(), depth = d_axis.windows.size();
  const auto run_row = [&](size_t index) {
    const size_t n = index / (depth * rows), d = index / rows % depth, h = index % rows;
    for (size_t w = 0; w < columns; ++w)
      body(static_cast<int64_t>(index * columns + w), d_axis.windows[d], h_axis.windows[h], w_axis.windows[w],
           source + static_cast<int64_t>(n) * sample);
  };
  const size_t count = static_cast<size_t>(pooling.batch) * depth * rows;
  constexpr int64_t worth_threads = 1 << 20;
  if (pooling.source.numel() < worth_threads)
    for (size_t i = 0; i < count; ++i) run_row(i);
  else parallel_for(count, call.threads(), run_row);
}

// Calls body(flat spatial position) for the input positions of a window.
template <typename Body>
void for_positions(const Pooling& pooling, const Window& d, const Window& h, const Window& w, Body body) {
  const Axis &d_axis = pooling.axes[0], &h_axis = pooling.axes[1], &w_axis = pooling.axes[2];
  for (int64_t z = d.begin; z < d.end; z += d_axis.step)
    for (int64_t y = h.begin; y < h.end; y += h_axis.step)
      for (int64_t x = w.begin; x < w.end; x += w_axis.step) body((z * h_axis.input + y) * w_axis.input + x);
}

Tensor finished(const Pooling& pooling, const Tensor& out, DType dtype) {
  Tensor result = out.dtype() == DType::float32 && dtype != DType::float32 ? converted(out, dtype) : out;
  if (pooling.batched) return result;
  return result.view_as(Sizes(result.sizes().begin() + 1, result.sizes().end()),
                        Sizes(result.strides().begin() + 1, result.strides().end()), result.storage_offset());
}

Tensor result_of(const Call& call, const Pooling& pooling, DType dtype) {
  const Sizes sizes = output_sizes(pooling);
  return call.empty(dtype, sizes, channels_last_strides(sizes));
}

// Sets the maxima and, when wanted, their flat positions.
void set_maxima(Call& call, const Pooling& pooling, bool with_indices) {
  const int64_t channels = pooling.channels;
  const Tensor out = result_of(call, pooling, DType::float32);
  float* to = writable<float>(out);
  const DType dtype = call.tensor("self").dtype();
  if (!with_indices) {
    for_windows(call, pooling, [&](int64_t position, const Window& d, const Window& h, const Window& w, const float* from) {
      float* best = to + position * channels;
      std::fill_n(best, channels, -std::numeric_limits<float>::infinity());
      for_positions(pooling, d, h, w, [&](int64_t p) { maximum(best, from + p * channels, channels); });
    });
    return call.set(finished(pooling, out, dtype));
  }
  const Tensor indices = result_of(call, pooling, DType::int64);
  int64_t* index = writable<int64_t>(indices);
  for_windows(call, pooling, [&](int64_t position, const Window& d, const Window& h, const Window& w, const float* from) {
    float* best = to + position * channels;
    int64_t* where = index + position * channels;
    bool first = true;
    for_positions(pooling, d, h, w, [&](int64_t p) {
      const float* values = from + p * channels;
      for (int64_t c = 0; c < channels; ++c) {
        if (!first && !(values[c] > best[c] || values[c] != values[c])) continue;
        best[c] = values[c];
        where[c] = p;
      }
      first = false;
    });
    if (first) {
      std::fill_n(best, channels, -std::numeric_limits<float>::infinity());
      std::fill_n(where, channels, 0);
    }
  });
  call.set(finished(pooling, out, dtype), 0);
  call.set(finished(pooling, indices, DType::int64), 1);
}

// Variant: spatial dimensions, +10 when the indices are wanted.
void max_pool(Call& call) {
  Pooling pooling = read_source(call, static_cast<size_t>(call.variant() % 10), "self");
  set_windows(call, pooling, true);
  set_maxima(call, pooling, call.variant() >= 10);
}

// Averages over the windows; the divisor is `divisor_of(windows, positions inside)`.
template <typename Divisor>
Tensor average(const Call& call, const Pooling& pooling, Divisor divisor_of) {
  const int64_t channels = pooling.channels;
  const Tensor out = result_of(call, pooling, DType::float32);
  float* to = writable<float>(out);
  for_windows(call, pooling, [&](int64_t position, const Window& d, const Window& h, const Window& w, const float* from) {
    float* sum = to + position * channels;
    std::fill_n(sum, channels, 0.0f);
    int64_t count = 0;
    for_positions(pooling, d, h, w, [&](int64_t p) {
      accumulate(sum, from + p * channels, channels);
      ++count;
    });
    divide(sum, static_cast<float>(divisor_of(d, h, w, count)), channels);
  });
  return out;
}

void average_pool(Call& call) {
  Pooling pooling = read_source(call, static_cast<size_t>(call.variant()), "self");
  set_windows(call, pooling, false);
  const bool include_padding = call.boolean("count_include_pad");
  const auto divisor = call.optional_integer("divisor_override");
  call.require(!divisor || *divisor != 0, "divisor_override is 0");
  const Tensor out = average(call, pooling, [&](const Window& d, const Window& h, const Window& w, int64_t count) {
    return divisor ? *divisor : include_padding ? d.padded * h.padded * w.padded : count;
  });
  call.set(finished(pooling, out, call.tensor("self").dtype()));
}

// The input, with windows that spread over it as evenly as they can.
Pooling adaptive_source(Call& call) {
  Pooling pooling = read_source(call, static_cast<size_t>(call.variant()), "self");
  const Sizes target = list_of(call, "output_size", pooling.dims);
  for (size_t i = 0; i < pooling.dims; ++i) {
    Axis& axis = pooling.axes[3 - pooling.dims + i];
    call.require(target[i] >= 0 && target[i] < (1 << 24) && axis.input > 0, "the output size is out of range");
    axis.windows.clear();
    for (int64_t o = 0; o < target[i]; ++o)
      axis.windows.push_back({o * axis.input / target[i], ((o + 1) * axis.input + target[i] - 1) / target[i], 0});
  }
  return pooling;
}

void adaptive_average_pool(Call& call) {
  const Pooling pooling = adaptive_source(call);
  const Tensor out = average(call, pooling, [](const Window&, const Window&, const Window&, int64_t count) { return count; });
  call.set(finished(pooling, out, call.tensor("self").dtype()));
}

void adaptive_max_pool(Call& call) { set_maxima(call, adaptive_source(call), true); }

}  // namespace

std::span<const Kernel> pooling_kernels() {
  static const Kernel table[] = {
      {"aten.max_pool1d.default", max_pool, 1},
      {"aten.max_pool2d.default", max_pool, 2},
      {"aten.max_pool3d.default", max_pool, 3},
      {"aten.max_pool1d_with_indices.default", max_pool, 11},
      {"aten.max_pool2d_with_indices.default", max_pool, 12},
      {"aten.max_pool3d_with_indices.default", max_pool, 13},
      {"aten.avg_pool1d.default", average_pool, 1},
      {"aten.avg_pool2d.default", average_pool, 2},
      {"aten.avg_pool3d.default", average_pool, 3},
      {"aten.adaptive_avg_pool1d.default", adaptive_average_pool, 1},
      {"aten.adaptive_avg_pool2d.default", adaptive_average_pool, 2},
      {"aten.adaptive_avg_pool3d.default", adaptive_average_pool, 3},
      {"aten._adaptive_avg_pool2d.default", adaptive_average_pool, 2},
      {"aten._adaptive_avg_pool3d.default", adaptive_average_pool, 3},
      {"aten.adaptive_max_pool1d.default", adaptive_max_pool, 1},
      {"aten.adaptive_max_pool2d.default", adaptive_max_pool, 2},
      {"aten.adaptive_max_pool3d.default", adaptive_max_pool, 3},
  };
  return table;
}

}  // namespace intaglio::interp
