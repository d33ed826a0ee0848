// `higher_order.out_dtype`: linear layers and convolutions of int16 tensors with sums in wider integers, and products and
// quotients that are cut to integers.
#include <algorithm>

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

// --------------------------------------------------------------------------------------------------------------- layers

constexpr int64_t rows_at_once = 64;

// out = a b^T, rows spread over threads.
template <typename Out>
void spread_gemm(const Call& call, const IntegerMatrix& a, const IntegerMatrix& b, Out* out, int64_t out_stride) {
  const int64_t terms = safe_terms(a, b);
  parallel_for(static_cast<size_t>((a.rows + rows_at_once - 1) / rows_at_once), call.threads(), [&](size_t part) {
    const int64_t first = static_cast<int64_t>(part) * rows_at_once;
    const IntegerMatrix rows{a.data + first * a.stride, std::min(rows_at_once, a.rows - first), a.columns, a.stride};
    integer_gemm(rows, b, terms, out + first * out_stride, out_stride);
  });
}

template <typename Out>
void linear_layer(Call& call, DType dtype) {
  const Tensor x = int16_at(call, first_operand).contiguous(), weight = int16_at(call, first_operand + 1).contiguous();
  require_no_bias(call, first_operand + 2);
  call.require(x.rank() >= 1 && weight.rank() == 2 && x.size(-1) == weight.size(1), "input and weight do not fit a linear layer");
  Sizes sizes = x.sizes();
  sizes.back() = weight.size(0);
  const Tensor out = call.empty(dtype, sizes);
  const int64_t features = weight.size(1), outputs = weight.size(0);
  const int64_t rows = features == 0 ? 0 : x.numel() / features;
  if (features == 0) std::fill_n(writable<Out>(out), out.numel(), Out{0});
  spread_gemm(call, {x.data<int16_t>(), rows, features, features}, {weight.data<int16_t>(), outputs, features, features},
              writable<Out>(out), outputs);
  call.set(out);
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
  Tensor weight;                                   // [groups * out, taps, in], int16
};

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

Tensor channels_last(const Call& call, const Tensor& x) {
  if (is_channels_last(x)) return x;
  const Tensor copy = call.empty(x.dtype(), x.sizes(), channels_last_strides(x.sizes()));
  copy_into(copy, x, call.threads());
  return copy;
}

Convolution read_convolution(Call& call) {
  Tensor x = int16_at(call, first_operand), weight = int16_at(call, first_operand + 1).contiguous();
  require_no_bias(call, first_operand + 2);
  call.require(call.argument_count() == first_operand + 9, "a convolution has nine arguments");
  call.require(x.rank() >= 3 && x.rank() <= 5 && weight.rank() == x.rank(), "input and weight do not fit a convolution");
  const size_t dims = static_cast<size_t>(x.rank()) - 2;
  Sizes stride = list_at(call, 5, dims, 1), padding = list_at(call, 6, dims, 0);
  const Sizes dilation = list_at(call, 7, dims, 1), added = list_at(call, 9, dims, 0);
  const bool transposed = std::get<Number>(call.value(8)).as_int() != 0;
  Convolution c;
  c.groups = std::get<Number>(call.value(10)).as_int();
  call.require(c.groups > 0 && weight.size(0) % c.groups == 0 && weight.numel() > 0, "the groups do not divide the channels");
  if (transposed) {
    call.require(x.size(1) == weight.size(0), "the input's channels are not the weight's");
    for (size_t i = 0; i < dims; ++i) {
      padding[i] = dilation[i] * (weight.sizes()[i + 2] - 1) - padding[i];
      call.require(padding[i] >= 0, "more padding than the window reaches");
    }
    x = spread_out(call, x, stride, added);
    weight = turned_around(weight, c.groups);
    stride.assign(dims, 1);
  }
  call.require(x.size(1) == weight.size(1) * c.groups, "the input's channels are not the weight's");
  set_patch(call, c.window, x, weight, stride, padding, dilation);
  c.batch = x.size(0);
  c.in = weight.size(1);
  c.out = weight.size(0) / c.groups;
  c.source = channels_last(call, x);
  c.weight = taps_first(weight);
  return c;
}

// What the window at `position` sees of one group's channels, tap by tap; zeros outside.
void gather(const Convolution& c, int64_t sample, int64_t group, int64_t position, int16_t* to) {
  const Patch& w = c.window;
  const int64_t channels = c.in * c.groups;
  const int16_t* from = c.source.data<int16_t>() + sample * w.pixels() * channels + group * c.in;
  const int64_t at[3] = {position / (w.output[1] * w.output[2]), position / w.output[2] % w.output[1], position % w.output[2]};
  for (int64_t z = 0; z < w.kernel[0]; ++z)
    for (int64_t y = 0; y < w.kernel[1]; ++y)
      for (int64_t x = 0; x < w.kernel[2]; ++x, to += c.in) {
        const int64_t pz = at[0] * w.stride[0] - w.padding[0] + z * w.dilation[0],
                      py = at[1] * w.stride[1] - w.padding[1] + y * w.dilation[1],
                      px = at[2] * w.stride[2] - w.padding[2] + x * w.dilation[2];
        const bool inside = pz >= 0 && pz < w.input[0] && py >= 0 && py < w.input[1] && px >= 0 && px < w.input[2];
        if (inside) std::copy_n(from + ((pz * w.input[1] + py) * w.input[2] + px) * channels, c.in, to);
        else std::fill_n(to, c.in, int16_t{0});
      }
}

// One input and one output channel a group: the taps of all channels side by side.
template <typename Out>
void depthwise(const Convolution& c, const std::vector<int16_t>& taps, int64_t sample, int64_t position, Out* to) {
  Convolution whole = c;
  whole.in = c.groups;
  whole.groups = 1;
  std::vector<int16_t> seen(static_cast<size_t>(c.window.taps() * c.groups));
  gather(whole, sample, 0, position, seen.data());
  std::fill_n(to, c.groups, Out{0});
  for (int64_t t = 0; t < c.window.taps(); ++t) {
    const int16_t *x = seen.data() + t * c.groups, *w = taps.data() + t * c.groups;
    for (int64_t i = 0; i < c.groups; ++i)
      to[i] = static_cast<Out>(static_cast<std::make_unsigned_t<Out>>(to[i]) +
                               static_cast<std::make_unsigned_t<Out>>(int32_t{x[i]} * int32_t{w[i]}));
  }
}

template <typename Out>
void grouped(const Convolution& c, int64_t terms, int64_t sample, int64_t first, int64_t count, Out* to) {
  const int64_t columns = c.window.taps() * c.in, channels = c.groups * c.out;
  std::vector<int16_t> seen(static_cast<size_t>(count * columns));
  for (int64_t g = 0; g < c.groups; ++g) {
    for (int64_t i = 0; i < count; ++i) gather(c, sample, g, first + i, seen.data() + i * columns);
    integer_gemm({seen.data(), count, columns, columns}, {c.weight.data<int16_t>() + g * c.out * columns, c.out, columns, columns}, terms,
                 to + g * c.out, channels);
  }
}

std::vector<int16_t> taps_of_channels(const Convolution& c) {
  std::vector<int16_t> taps(static_cast<size_t>(c.weight.numel()));
  const int16_t* from = c.weight.data<int16_t>();
  for (int64_t g = 0; g < c.groups; ++g)
    for (int64_t t = 0; t < c.window.taps(); ++t) taps[static_cast<size_t>(t * c.groups + g)] = *from++;
  return taps;
}

template <typename Out>
void convolution_layer(Call& call, DType dtype) {
  const Convolution c = read_convolution(call);
  RuntimeValue held;
  const size_t rank = static_cast<size_t>(tensor_at(call, first_operand, held).rank());
  Sizes sizes = {c.batch, c.groups * c.out};
  sizes.insert(sizes.end(), c.window.output + 5 - rank, c.window.output + 3);
  const Tensor out = call.empty(dtype, sizes, channels_last_strides(sizes));
  Out* to = writable<Out>(out);
  const int64_t positions = c.window.positions(), channels = c.groups * c.out, parts = (positions + rows_at_once - 1) / rows_at_once;
  const bool is_depthwise = c.in == 1 && c.out == 1;
  const std::vector<int16_t> taps = is_depthwise ? taps_of_channels(c) : std::vector<int16_t>();
  const int64_t pixels = c.source.numel(), weights = c.weight.numel();
  const int64_t terms =
      is_depthwise ? 0 : safe_terms({c.source.data<int16_t>(), 1, pixels, pixels}, {c.weight.data<int16_t>(), 1, weights, weights});
  parallel_for(static_cast<size_t>(c.batch * parts), call.threads(), [&](size_t index) {
    const int64_t sample = static_cast<int64_t>(index) / parts, first = static_cast<int64_t>(index) % parts * rows_at_once;
    const int64_t count = std::min(rows_at_once, positions - first);
    Out* rows = to + (sample * positions + first) * channels;
    if (!is_depthwise) return grouped(c, terms, sample, first, count, rows);
    for (int64_t i = 0; i < count; ++i) depthwise(c, taps, sample, first + i, rows + i * channels);
  });
  call.set(out);
}

// ---------------------------------------------------------------------------------------------------------- elementwise

struct Times {
  static constexpr int arity = 2;
  template <typename T>
  INTAGLIO_INLINE static T apply(T a, T b, const std::array<T, 4>&) {
    return a * b;
  }
};
struct Over {
  static constexpr int arity = 2;
  template <typename T>
  INTAGLIO_INLINE static T apply(T a, T b, const std::array<T, 4>&) {
    return a / b;
  }
};

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
  if (op->target == "torch.ops.aten.mul.Tensor") return cut_to(call, *dtype, float_only<Times>());
  if (op->target == "torch.ops.aten.div.Tensor") return cut_to(call, *dtype, float_only<Over>());
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
