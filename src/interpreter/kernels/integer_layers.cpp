// `higher_order.out_dtype`: linear layers and convolutions of int16 tensors with sums in wider integers, and products and
// quotients that are cut to integers.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/threads.h"
#include "interpreter/elementwise.h"
#include "interpreter/integer_gemm.h"
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

// -------------------------------------------------------------------------------------------------------- arguments

constexpr size_t first_operand = 2;

const Tensor& tensor_at(const Call& call, size_t position, RuntimeValue& held) {
  held = call.value(position);
  const auto* tensor = std::get_if<Tensor>(&held);
  call.require(tensor != nullptr && tensor->defined(), "an operand is no tensor");
  return *tensor;
}

// Wider integers are taken where int16 holds them.
Tensor int16_at(const Call& call, size_t position) {
  RuntimeValue held;
  const Tensor& tensor = tensor_at(call, position, held);
  if (tensor.dtype() == DType::int16) return tensor;
  const bool is_integer = !is_floating(tensor.dtype()) && !is_complex(tensor.dtype()) && tensor.dtype() != DType::boolean;
  Tensor narrow;
  if (is_integer) narrow = converted(tensor, DType::int16);
  const auto fits = [&] {
    const Tensor wide = converted(tensor, DType::int64).contiguous();
    return std::ranges::all_of(wide.span<int64_t>(), [](int64_t v) { return v >= INT16_MIN && v <= INT16_MAX; });
  };
  if (!is_integer || !fits()) call.unsupported(fmt::format("integer layers on {} beyond int16", name(tensor.dtype())));
  return narrow;
}

void require_no_bias(const Call& call, size_t position) {
  if (position >= call.argument_count()) return;
  const Argument* bias = call.literal(position);
  if (bias == nullptr || !bias->is_none()) call.unsupported("a bias inside of an integer layer; add it to the sums");
}

Sizes list_at(const Call& call, size_t position, size_t length, int64_t smallest) {
  Sizes list;
  for (const RuntimeValue& item : call.values(position)) {
    const auto* number = std::get_if<Number>(&item);
    call.require(number != nullptr && number->as_int() >= smallest && number->as_int() <= INT32_MAX, "a list holds what is no size");
    list.push_back(number->as_int());
  }
  if (list.size() == 1) list.resize(length, list[0]);
  call.require(list.size() == length, "a list does not have an entry for each dimension");
  return list;
}

int64_t number_at(const Call& call, size_t position) {
  const RuntimeValue value = call.value(position);
  const auto* number = std::get_if<Number>(&value);
  call.require(number != nullptr, "an argument is no number");
  return number->as_int();
}

// -------------------------------------------------------------------------------------------------------------- results

constexpr int64_t rows_at_once = 64;

template <typename Small, typename Sum>
INTAGLIO_INLINE void requantize_row(const Sum* sums, const int32_t* bias, const float* factor, bool one_factor, int64_t count,
                                    const Requantization& to, Small* out) {
  using Unsigned = std::make_unsigned_t<Sum>;
  for (int64_t i = 0; i < count; ++i) {
    const Sum sum = bias ? static_cast<Sum>(static_cast<Unsigned>(sums[i]) + static_cast<Unsigned>(Sum{bias[i]})) : sums[i];
    const float value = std::nearbyint(static_cast<float>(sum) * factor[one_factor ? 0 : i]) + to.zero_point;
    out[i] = static_cast<Small>(static_cast<int32_t>(std::min(std::max(value, to.low), to.high)));
  }
}
#define INTAGLIO_REQUANTIZE(NAME, SMALL, SUM)                                                                                            \
  INTAGLIO_INLINE void NAME##_body(const SUM* sums, const int32_t* bias, const float* factor, bool one_factor, int64_t count,            \
                                   const Requantization& to, SMALL* out) {                                                               \
    if (bias && !one_factor) requantize_row<SMALL>(sums, bias, factor, false, count, to, out);                                           \
    else if (bias) requantize_row<SMALL>(sums, bias, factor, true, count, to, out);                                                      \
    else requantize_row<SMALL>(sums, nullptr, factor, one_factor, count, to, out);                                                       \
  }                                                                                                                                      \
  INTAGLIO_VERSIONS(                                                                                                                     \
      NAME,                                                                                                                              \
      (const SUM* sums, const int32_t* bias, const float* factor, bool one_factor, int64_t count, const Requantization& to, SMALL* out), \
      (sums, bias, factor, one_factor, count, to, out))
INTAGLIO_REQUANTIZE(requantize, int8_t, int32_t)
INTAGLIO_REQUANTIZE(requantize, uint8_t, int32_t)
INTAGLIO_REQUANTIZE(requantize, int8_t, int64_t)
INTAGLIO_REQUANTIZE(requantize, uint8_t, int64_t)
#undef INTAGLIO_REQUANTIZE

// Where rows of sums go: as they are, or as what is fused behind the layer makes of them.
template <typename Sum>
class Results {
 public:
  // `sizes` of the result, `channels` of a row of it.
  Results(Call& call, DType sum, const Sizes& sizes, const Sizes& strides, int64_t channels)
      : channels_(channels), to_(call.epilogue() ? &*call.epilogue()->requantization : nullptr) {
    tensor_ = call.empty(to_ ? to_->dtype : sum, sizes, strides);
    const auto fits = [&](size_t count) { return count <= 1 || static_cast<int64_t>(count) == channels; };
    if (to_) call.require(fits(to_->bias.size()) && fits(to_->factor.size()), "the numbers behind the layer are not one for each channel");
    if (to_ && to_->bias.size() == 1) bias_.assign(static_cast<size_t>(channels), to_->bias[0]);
  }

  const Tensor& tensor() const { return tensor_; }

  // Calls compute(Sum* rows) for `count` rows from `first` on, which it fills.
  template <typename Compute>
  void set_rows(int64_t first, int64_t count, Compute compute) const {
    if (to_ == nullptr) return compute(writable<Sum>(tensor_) + first * channels_);
    std::vector<Sum> sums(static_cast<size_t>(count * channels_));
    compute(sums.data());
    const int32_t* bias = !bias_.empty() ? bias_.data() : to_->bias.empty() ? nullptr : to_->bias.data();
    const auto finish = [&](auto* out) {
      for (int64_t r = 0; r < count; ++r)
        requantize(sums.data() + r * channels_, bias, to_->factor.data(), to_->factor.size() == 1, channels_, *to_,
                   out + (first + r) * channels_);
    };
    if (to_->dtype == DType::int8) finish(writable<int8_t>(tensor_));
    else finish(writable<uint8_t>(tensor_));
  }

 private:
  int64_t channels_;
  const Requantization* to_;
  Tensor tensor_;
  std::vector<int32_t> bias_;
};

// -------------------------------------------------------------------------------------------------------------- weights

// What is kept of a weight that never changes.
struct IntegerWeight : NodeState {
  std::vector<PackedRows> groups;
  std::vector<int16_t> taps;  // of one input and one output channel a group: [taps, channels]
  bool is_ready = false;
};

template <typename Prepare>
const IntegerWeight& prepared_weight(Call& call, IntegerWeight& passing, Prepare prepare) {
  const bool is_kept = call.is_constant(first_operand + 1);
  IntegerWeight& weight = is_kept ? call.state<IntegerWeight>() : passing;
  if (!weight.is_ready) prepare(weight);
  weight.is_ready = true;
  return weight;
}

// --------------------------------------------------------------------------------------------------------------- layers

template <typename Out>
void linear_layer(Call& call, DType dtype) {
  const Tensor x = int16_at(call, first_operand).contiguous(), weight = int16_at(call, first_operand + 1).contiguous();
  require_no_bias(call, first_operand + 2);
  call.require(x.rank() >= 1 && weight.rank() == 2 && x.size(-1) == weight.size(1), "input and weight do not fit a linear layer");
  Sizes sizes = x.sizes();
  sizes.back() = weight.size(0);
  const int64_t features = weight.size(1), outputs = weight.size(0);
  const int64_t rows = element_count(std::span(sizes).first(sizes.size() - 1));
  const Results<Out> results(call, dtype, sizes, {}, outputs);
  const IntegerMatrix a{x.data<int16_t>(), rows, features, features};
  IntegerWeight passing;
  const PackedRows& packed = prepared_weight(call, passing, [&](IntegerWeight& kept) {
                               kept.groups.emplace_back(IntegerMatrix{weight.data<int16_t>(), outputs, features, features});
                             }).groups[0];
  const int64_t bound = largest(a);
  parallel_for(static_cast<size_t>((rows + rows_at_once - 1) / rows_at_once), call.threads(), [&](size_t part) {
    const int64_t first = static_cast<int64_t>(part) * rows_at_once, count = std::min(rows_at_once, rows - first);
    results.set_rows(first, count,
                     [&](Out* out) { packed.multiply({a.data + first * features, count, features, features}, bound, out, outputs); });
  });
  call.set(results.tensor());
}

// What one result sees. Always three spatial dimensions, missing ones in front.
struct Patch {
  int64_t input[3] = {1, 1, 1}, kernel[3] = {1, 1, 1}, output[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  int64_t positions() const { return output[0] * output[1] * output[2]; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t pixels() const { return input[0] * input[1] * input[2]; }
};

struct Convolution {
  Patch window;
  int64_t batch = 0, groups = 1, in = 0, out = 0;  // channels of one group
  Tensor source;                                   // channels last, int16
  bool transposed = false;
};

bool is_depthwise(const Convolution& c) { return c.in == 1 && c.out == 1; }

// A transposed convolution is one over the input with zeros between its elements, by the weight turned around.
Tensor spread_out(const Call& call, const Tensor& x, const Sizes& stride, const Sizes& added) {
  Sizes sizes = x.sizes();
  for (size_t i = 0; i < stride.size(); ++i) sizes[i + 2] = (sizes[i + 2] - 1) * stride[i] + 1 + added[i];
  const Tensor wide = call.empty(DType::int16, sizes);
  std::fill_n(writable<int16_t>(wide), wide.numel(), int16_t{0});
  Sizes strides = wide.strides();
  for (size_t i = 0; i < stride.size(); ++i) strides[i + 2] *= stride[i];
  copy_into(wide.view_as(x.sizes(), strides, 0), x, call.threads());
  return wide;
}

// [in, out / groups, taps...] as the weight of the convolution that it is the transpose of: [out, in / groups, reversed taps...].
Tensor turned_around(const Tensor& weight, int64_t groups) {
  const int64_t in = weight.size(0) / groups, out = weight.size(1), taps = weight.numel() / std::max<int64_t>(1, weight.size(0) * out);
  Sizes sizes = weight.sizes();
  sizes[0] = out * groups;
  sizes[1] = in;
  Tensor result = Tensor::empty(DType::int16, sizes);
  const int16_t* from = weight.data<int16_t>();
  int16_t* to = result.mutable_data<int16_t>();
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t o = 0; o < out; ++o)
        for (int64_t t = 0; t < taps; ++t) to[((g * out + o) * in + i) * taps + taps - 1 - t] = from[((g * in + i) * out + o) * taps + t];
  return result;
}

void set_patch(const Call& call, Patch& window, const Tensor& x, const Tensor& weight, const Sizes& stride, const Sizes& padding,
               const Sizes& dilation) {
  const size_t dims = stride.size(), first = 3 - dims;
  for (size_t i = 0; i < dims; ++i) {
    const size_t at = first + i;
    window.input[at] = x.sizes()[i + 2];
    window.kernel[at] = weight.sizes()[i + 2];
    window.stride[at] = stride[i];
    window.padding[at] = padding[i];
    window.dilation[at] = dilation[i];
    const int64_t room = window.input[at] + 2 * padding[i] - dilation[i] * (window.kernel[at] - 1) - 1;
    call.require(room >= 0 && window.kernel[at] > 0, "the input is smaller than the window");
    window.output[at] = room / stride[i] + 1;
  }
}

// [out, in, taps...] to [out, taps, in]: the order in which a channels-last input is read.
Tensor taps_first(const Tensor& weight) {
  const int64_t out = weight.size(0), in = weight.size(1), taps = weight.numel() / std::max<int64_t>(1, out * in);
  Tensor result = Tensor::empty(DType::int16, {out, taps, in});
  const int16_t* from = weight.data<int16_t>();
  int16_t* to = result.mutable_data<int16_t>();
  for (int64_t o = 0; o < out; ++o)
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t c = 0; c < in; ++c) *to++ = from[(o * in + c) * taps + t];
  return result;
}

Convolution read_convolution(Call& call) {
  Tensor x = int16_at(call, first_operand);
  const Tensor weight = int16_at(call, first_operand + 1);
  require_no_bias(call, first_operand + 2);
  call.require(call.argument_count() == first_operand + 9, "a convolution has nine arguments");
  call.require(x.rank() >= 3 && x.rank() <= 5 && weight.rank() == x.rank(), "input and weight do not fit a convolution");
  const size_t dims = static_cast<size_t>(x.rank()) - 2;
  Sizes stride = list_at(call, 5, dims, 1), padding = list_at(call, 6, dims, 0);
  const Sizes dilation = list_at(call, 7, dims, 1), added = list_at(call, 9, dims, 0);
  Convolution c;
  c.transposed = number_at(call, 8) != 0;
  c.groups = number_at(call, 10);
  call.require(c.groups > 0 && weight.size(0) % c.groups == 0 && weight.numel() > 0, "the groups do not divide the channels");
  c.in = c.transposed ? weight.size(0) / c.groups : weight.size(1);
  c.out = c.transposed ? weight.size(1) : weight.size(0) / c.groups;
  call.require(x.size(1) == c.in * c.groups, "the input's channels are not the weight's");
  if (c.transposed) {
    for (size_t i = 0; i < dims; ++i) {
      padding[i] = dilation[i] * (weight.sizes()[i + 2] - 1) - padding[i];
      call.require(padding[i] >= 0, "more padding than the window reaches");
    }
    x = spread_out(call, x, stride, added);
    stride.assign(dims, 1);
  }
  set_patch(call, c.window, x, weight, stride, padding, dilation);
  c.batch = x.size(0);
  c.source = call.channels_last(x);
  return c;
}

// Calls body(tap, pixel) for what the result at `position` sees; -1 for a pixel outside.
template <typename Body>
void for_taps(const Patch& w, int64_t position, Body body) {
  const int64_t at[3] = {position / (w.output[1] * w.output[2]), position / w.output[2] % w.output[1], position % w.output[2]};
  int64_t start[3], tap = 0;
  for (size_t i = 0; i < 3; ++i) start[i] = at[i] * w.stride[i] - w.padding[i];
  const auto is_inside = [&](size_t i, int64_t p) { return p >= 0 && p < w.input[i]; };
  for (int64_t z = 0; z < w.kernel[0]; ++z)
    for (int64_t y = 0; y < w.kernel[1]; ++y)
      for (int64_t x = 0; x < w.kernel[2]; ++x, ++tap) {
        const int64_t pz = start[0] + z * w.dilation[0], py = start[1] + y * w.dilation[1], px = start[2] + x * w.dilation[2];
        const bool inside = is_inside(0, pz) && is_inside(1, py) && is_inside(2, px);
        body(tap, inside ? (pz * w.input[1] + py) * w.input[2] + px : -1);
      }
}

// One group's channels, tap by tap; zeros outside.
void gather(const Convolution& c, int64_t sample, int64_t group, int64_t position, int16_t* to) {
  const int64_t channels = c.in * c.groups;
  const int16_t* from = c.source.data<int16_t>() + sample * c.window.pixels() * channels + group * c.in;
  for_taps(c.window, position, [&](int64_t tap, int64_t pixel) {
    if (pixel >= 0) std::copy_n(from + pixel * channels, c.in, to + tap * c.in);
    else std::fill_n(to + tap * c.in, c.in, int16_t{0});
  });
}

template <typename Out>
INTAGLIO_INLINE void add_products(const int16_t* x, const int16_t* w, int64_t count, Out* sums) {
  using Unsigned = std::make_unsigned_t<Out>;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i)
    sums[i] = static_cast<Out>(static_cast<Unsigned>(sums[i]) + static_cast<Unsigned>(Out{int32_t{x[i]} * int32_t{w[i]}}));
}
INTAGLIO_INLINE void add_tap_body(const int16_t* x, const int16_t* w, int64_t count, int32_t* sums) { add_products(x, w, count, sums); }
INTAGLIO_VERSIONS(add_tap, (const int16_t* x, const int16_t* w, int64_t count, int32_t* sums), (x, w, count, sums))
INTAGLIO_INLINE void add_tap_body(const int16_t* x, const int16_t* w, int64_t count, int64_t* sums) { add_products(x, w, count, sums); }
INTAGLIO_VERSIONS(add_tap, (const int16_t* x, const int16_t* w, int64_t count, int64_t* sums), (x, w, count, sums))

// One input and one output channel a group: the taps of all channels side by side.
template <typename Out>
void depthwise(const Convolution& c, const std::vector<int16_t>& taps, int64_t sample, int64_t position, Out* to) {
  std::fill_n(to, c.groups, Out{0});
  const int16_t* pixels = c.source.data<int16_t>() + sample * c.window.pixels() * c.groups;
  for_taps(c.window, position, [&](int64_t tap, int64_t pixel) {
    if (pixel >= 0) add_tap(pixels + pixel * c.groups, taps.data() + tap * c.groups, c.groups, to);
  });
}

template <typename Out>
void grouped(const Convolution& c, const std::vector<PackedRows>& packed, int64_t bound, int64_t sample, int64_t first, int64_t count,
             Out* to) {
  const int64_t columns = c.window.taps() * c.in, channels = c.groups * c.out;
  // Each result of a 1 x 1 window sees the pixel at its own place.
  const Patch& w = c.window;
  const auto all = [](const int64_t(&list)[3], int64_t value) { return std::ranges::all_of(list, [=](int64_t v) { return v == value; }); };
  const bool is_pointwise = c.groups == 1 && w.taps() == 1 && all(w.stride, 1) && all(w.padding, 0);
  std::vector<int16_t> seen(is_pointwise ? 0 : static_cast<size_t>(count * columns));
  for (int64_t g = 0; g < c.groups; ++g) {
    const int16_t* rows = seen.data();
    if (is_pointwise) rows = c.source.data<int16_t>() + (sample * c.window.pixels() + first) * c.in;
    else
      for (int64_t i = 0; i < count; ++i) gather(c, sample, g, first + i, seen.data() + i * columns);
    packed[static_cast<size_t>(g)].multiply({rows, count, columns, columns}, bound, to + g * c.out, channels);
  }
}

void prepare(const Convolution& c, const Tensor& given, IntegerWeight& kept) {
  const Tensor dense = given.contiguous();
  const Tensor weight = taps_first(c.transposed ? turned_around(dense, c.groups) : dense);
  const int16_t* from = weight.data<int16_t>();
  const int64_t taps = c.window.taps(), columns = taps * c.in;
  if (is_depthwise(c)) {
    kept.taps.resize(static_cast<size_t>(weight.numel()));
    for (int64_t g = 0; g < c.groups; ++g)
      for (int64_t t = 0; t < taps; ++t) kept.taps[static_cast<size_t>(t * c.groups + g)] = *from++;
    return;
  }
  for (int64_t g = 0; g < c.groups; ++g) kept.groups.emplace_back(IntegerMatrix{from + g * c.out * columns, c.out, columns, columns});
}

template <typename Out>
void convolution_layer(Call& call, DType dtype) {
  const Convolution c = read_convolution(call);
  RuntimeValue held;
  const size_t rank = static_cast<size_t>(tensor_at(call, first_operand, held).rank());
  Sizes sizes = {c.batch, c.groups * c.out};
  sizes.insert(sizes.end(), c.window.output + 5 - rank, c.window.output + 3);
  const int64_t positions = c.window.positions(), channels = c.groups * c.out, parts = (positions + rows_at_once - 1) / rows_at_once;
  const Results<Out> results(call, dtype, sizes, channels_last_strides(sizes), channels);
  IntegerWeight passing;
  const IntegerWeight& weight =
      prepared_weight(call, passing, [&](IntegerWeight& kept) { prepare(c, int16_at(call, first_operand + 1), kept); });
  const int64_t bound = is_depthwise(c) ? 0 : largest({c.source.data<int16_t>(), 1, c.source.numel(), c.source.numel()});
  parallel_for(static_cast<size_t>(c.batch * parts), call.threads(), [&](size_t index) {
    const int64_t sample = static_cast<int64_t>(index) / parts, first = static_cast<int64_t>(index) % parts * rows_at_once;
    const int64_t count = std::min(rows_at_once, positions - first);
    results.set_rows(sample * positions + first, count, [&](Out* rows) {
      if (!is_depthwise(c)) return grouped(c, weight.groups, bound, sample, first, count, rows);
      for (int64_t i = 0; i < count; ++i) depthwise(c, weight.taps, sample, first + i, rows + i * channels);
    });
  });
  call.set(results.tensor());
}

// ---------------------------------------------------------------------------------------------------------- elementwise

// Computed in the floats that the operands and the result's type promote to, then cut.
void cut_to(Call& call, DType dtype, const BlockFunctions& functions) {
  std::vector<Operand> operands;
  for (size_t i = 0; i < 2; ++i) {
    const RuntimeValue value = call.value(first_operand + i);
    if (const auto* tensor = std::get_if<Tensor>(&value)) operands.emplace_back(*tensor);
    else operands.emplace_back(std::get<Number>(value));
  }
  const DType compute = result_type(operands);
  if (compute != DType::float32 && compute != DType::float64)
    call.unsupported(fmt::format("out_dtype of {} operands; multiply and divide floats", name(compute)));
  Tensor tensors[2];
  for (size_t i = 0; i < 2; ++i) {
    const auto* number = std::get_if<Number>(&operands[i]);
    tensors[i] = number ? scalar_tensor(*number, compute) : std::get<Tensor>(operands[i]);
  }
  const Tensor* const both[] = {&tensors[0], &tensors[1]};
  const Tensor result = elementwise_result(call, compute, both);
  run_elementwise(call, functions, compute, result, both, {});
  call.set(converted(result, dtype));
}

void out_dtype(Call& call) {
  call.require(call.argument_count() > first_operand, "an operator, a type and its operands are needed");
  const auto* op = call.literal(0) ? call.literal(0)->get_if<OpName>() : nullptr;
  const auto* dtype = call.literal(1) ? call.literal(1)->get_if<DType>() : nullptr;
  call.require(op != nullptr && dtype != nullptr, "the first arguments are no operator and type");
  if (op->target == "torch.ops.aten.mul.Tensor") return cut_to(call, *dtype, product_functions());
  if (op->target == "torch.ops.aten.div.Tensor") return cut_to(call, *dtype, quotient_functions());
  const bool is_linear = op->target == "torch.ops.aten.linear.default", is_convolution = op->target == "torch.ops.aten.convolution.default";
  if ((is_linear || is_convolution) && *dtype == DType::int32)
    return is_linear ? linear_layer<int32_t>(call, *dtype) : convolution_layer<int32_t>(call, *dtype);
  if ((is_linear || is_convolution) && *dtype == DType::int64)
    return is_linear ? linear_layer<int64_t>(call, *dtype) : convolution_layer<int64_t>(call, *dtype);
  call.unsupported(fmt::format("out_dtype of {} in {}", escaped(op->target), name(*dtype)));
}

}  // namespace

std::span<const Kernel> integer_layer_kernels() {
  static const Kernel table[] = {{"higher_order.out_dtype", out_dtype}};
  return table;
}

}  // namespace intaglio::interp
