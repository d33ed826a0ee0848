// Linear layers and matrix products.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/parts.h"
#include "base/threads.h"
#include "interpreter/elementwise.h"
#include "interpreter/gemm.h"
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

// Integers and float64 are rare enough for the plain loops.
template <typename T>
void plain_product(const Tensor& x, const Tensor& y, const Tensor& out) {
  const int64_t m = x.size(1), k = x.size(2), n = y.size(2);
  T* c = writable<T>(out);
  for (int64_t batch = 0; batch < out.size(0); ++batch) {
    const T* a = x.data<T>() + batch * x.strides()[0];
    const T* b = y.data<T>() + batch * y.strides()[0];
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        using Wide = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;
        Wide sum = 0;
        for (int64_t l = 0; l < k; ++l)
          sum +=
              static_cast<Wide>(a[i * x.strides()[1] + l * x.strides()[2]]) * static_cast<Wide>(b[l * y.strides()[1] + j * y.strides()[2]]);
        *c++ = static_cast<T>(sum);
      }
  }
}

Tensor with_rank(const Tensor& tensor, Sizes sizes, Sizes strides) {
  return tensor.view_as(std::move(sizes), std::move(strides), tensor.storage_offset());
}

Tensor as_batch(const Tensor& matrix) {
  return with_rank(matrix, {1, matrix.size(0), matrix.size(1)}, {0, matrix.strides()[0], matrix.strides()[1]});
}

// x as rows of `features`, with no copy where its strides allow it.
Tensor as_rows(const Call& call, const Tensor& x, int64_t features) {
  const int64_t rows = features == 0 ? 0 : x.numel() / features;
  if (x.rank() == 2) return x;
  if (x.is_contiguous()) return with_rank(x, {rows, features}, {features, 1});
  return with_rank(own_copy(call, x), {rows, features}, {features, 1});
}

// Rows that one primitive takes; more are spread over threads.
constexpr int64_t rows_per_call = 256;

// c = a B + bias, row-major without gaps.
void multiply(Call& call, const Tensor& a, const Tensor& weight, bool packed, const float* bias, float* c) {
  const int64_t rows = a.size(0), columns = weight.size(1);
  const int64_t chunk = rows > 2 * rows_per_call ? rows_per_call : rows;
  GemmState& state = call.state<GemmState>();
  const auto entry_of = [&](int64_t count) {
    Matrix part = matrix_of(a);
    part.rows = count;
    return gemm_entry(state, part, matrix_shape_of(weight), packed, bias != nullptr, call.epilogue());
  };
  const auto whole = entry_of(chunk), rest = rows % chunk != 0 ? entry_of(rows % chunk) : whole;
  const auto memory_of = [&](const GemmState::Entry& entry) {
    return packed ? gemm_packed(call, state, entry, weight) : dnnl_memory(entry.b, weight.data<float>());
  };
  const dnnl::memory whole_b = memory_of(*whole), rest_b = rest == whole ? whole_b : memory_of(*rest);
  parallel_for(static_cast<size_t>((rows + chunk - 1) / chunk), call.threads(), [&](size_t i) {
    const int64_t first = static_cast<int64_t>(i) * chunk;
    const bool last = first + chunk > rows;
    gemm_run(last ? *rest : *whole, a.data<float>() + first * a.strides()[0], last ? rest_b : whole_b, bias, c + first * columns);
  });
}

Tensor transposed_matrix(const Tensor& matrix) {
  return with_rank(matrix, {matrix.size(1), matrix.size(0)}, {matrix.strides()[1], matrix.strides()[0]});
}

// The same for a large B whose columns lie one behind the other: some of them at a time, so that no copy of all of it is made.
void multiply_in_parts(Call& call, const Tensor& a, const Tensor& columns_of_b, const float* bias, const Tensor& out) {
  float* c = writable<float>(out);
  for_each_part(columns_of_b, [&](int64_t first, const Tensor& part) {
    const int64_t rows = a.size(0), count = part.size(0), columns = out.size(1);
    const Tensor some = call.empty(DType::float32, {rows, count});
    float* from = writable<float>(some);
    multiply(call, a, transposed_matrix(part), false, bias != nullptr ? bias + first : nullptr, from);
    for (int64_t row = 0; row < rows; ++row) std::copy_n(from + row * count, count, c + row * columns + first);
  });
}

// out = x B + bias for x [m, k], B [k, n].
Tensor affine(Call& call, const Tensor& x, const Tensor& b, bool constant_b, const Tensor* bias) {
  const int64_t rows = x.size(0), columns = b.size(1);
  const Tensor out = call.empty(DType::float32, {rows, columns});
  if (out.numel() == 0) return out;
  const Tensor flat_bias = bias != nullptr ? bias->contiguous() : Tensor();
  const float* bias_data = bias != nullptr ? flat_bias.data<float>() : nullptr;
  call.require(b.size(0) > 0, "a product over nothing");
  const Tensor a = readable_matrix(call, x);
  const bool is_large = is_large_weight(b), in_place = is_large || !call.context().keep_packed_weights, packed = constant_b && !in_place;
  if (is_large && is_read_in_parts(transposed_matrix(b))) {
    multiply_in_parts(call, a, transposed_matrix(b), bias_data, out);
  } else {
    const Tensor weight = packed ? b : readable_matrix(call, in_place ? b.for_one_use() : b);
    multiply(call, a, weight, packed, bias_data, writable<float>(out));
  }
  return out;
}

// [batch, m, k] x [batch, k, n] of one numeric type, checked; the node's state must be a GemmState or unused. Of float16 and bfloat16 the
// product is float32: whoever adds to it rounds the sum alone, as PyTorch does.
Tensor unrounded_product(Call& call, const Tensor& x, const Tensor& y) {
  if (x.dtype() != y.dtype()) call.fail(fmt::format("the operands are {} and {}", name(x.dtype()), name(y.dtype())));
  if (x.size(0) != y.size(0) || x.size(2) != y.size(1))
    call.fail(fmt::format("matrices [{}] and [{}] do not fit", fmt::join(x.sizes(), ", "), fmt::join(y.sizes(), ", ")));
  const Sizes sizes = {x.size(0), x.size(1), y.size(2)};
  if (x.dtype() == DType::float16 || x.dtype() == DType::bfloat16) {
    const Tensor out = call.empty(DType::float32, sizes);
    batched_gemm(call, call.state<GemmState>(), converted(x, DType::float32), converted(y, DType::float32), out);
    return out;
  }
  const Tensor out = call.empty(x.dtype(), sizes);
  switch (x.dtype()) {
    case DType::float32: batched_gemm(call, call.state<GemmState>(), x, y, out); break;
    case DType::float64: plain_product<double>(x, y, out); break;
    case DType::int64: plain_product<int64_t>(x, y, out); break;
    case DType::int32: plain_product<int32_t>(x, y, out); break;
    case DType::int16: plain_product<int16_t>(x, y, out); break;
    case DType::int8: plain_product<int8_t>(x, y, out); break;
    case DType::uint8: plain_product<uint8_t>(x, y, out); break;
    default: call.unsupported(fmt::format("matrix products of {} tensors", name(x.dtype())));
  }
  return out;
}

Tensor matrix_product(Call& call, const Tensor& x, const Tensor& y) { return converted(unrounded_product(call, x, y), x.dtype()); }

void linear(Call& call) {
  const Tensor& input = call.tensor("input");
  const Tensor& weight = call.tensor("weight");
  const Tensor* bias = call.optional_tensor("bias");
  call.require(input.rank() >= 1 && (weight.rank() == 1 || weight.rank() == 2), "input and weight do not fit a linear layer");
  const bool vector = weight.rank() == 1;
  const Tensor matrix = vector ? with_rank(weight, {1, weight.size(0)}, {0, weight.strides()[0]}) : weight;
  const int64_t features = matrix.size(1), outputs = matrix.size(0);
  if (input.size(-1) != features || (bias != nullptr && bias->numel() != outputs))
    call.fail(fmt::format("input [{}] does not fit weight [{}]", fmt::join(input.sizes(), ", "), fmt::join(weight.sizes(), ", ")));
  Sizes sizes = input.sizes();
  sizes.back() = outputs;
  if (vector) sizes.pop_back();
  const bool is_float =
      input.dtype() == DType::float32 && weight.dtype() == DType::float32 && (bias == nullptr || bias->dtype() == DType::float32);
  if (is_float) {
    return call.set(
        affine(call, as_rows(call, input, features), transposed_matrix(matrix), call.is_constant("weight"), bias).reshaped(sizes));
  }
  call.require(call.epilogue() == nullptr, "its result is not float32, as the graph says it is");
  const Tensor rows = as_batch(as_rows(call, input, features));
  const int64_t permutation[] = {0, 2, 1};
  const Tensor product = unrounded_product(call, rows, as_batch(matrix).permuted(permutation)).reshaped(sizes);
  if (bias == nullptr) return call.set(converted(product, input.dtype()));
  const Tensor* const operands[] = {&product, bias};
  const Tensor sum = call.empty(input.dtype(), sizes);
  run_elementwise(call, addition_functions(), product.dtype(), sum, operands, {1});
  call.set(sum);
}

void mm(Call& call) {
  const Tensor &self = call.tensor("self"), &other = call.tensor("mat2");
  call.require(self.rank() == 2 && other.rank() == 2, "both operands must be matrices");
  if (self.dtype() == DType::float32 && other.dtype() == DType::float32 && self.size(1) == other.size(0) && self.size(1) > 0)
    return call.set(affine(call, self, other, call.is_constant("mat2"), nullptr));
  const Tensor out = matrix_product(call, as_batch(self), as_batch(other));
  call.set(out.reshaped({self.size(0), other.size(1)}));
}

void bmm(Call& call) {
  const Tensor &self = call.tensor("self"), &other = call.tensor("mat2");
  call.require(self.rank() == 3 && other.rank() == 3, "both operands must have rank 3");
  call.set(matrix_product(call, self, other));
}

// beta * self + alpha * (a b)
void add_matrix_product(Call& call) {
  const Tensor& self = call.tensor("self");
  const bool batched = call.has("batch1");
  const Tensor &a = call.tensor(batched ? "batch1" : "mat1"), &b = call.tensor(batched ? "batch2" : "mat2");
  call.require(a.rank() == (batched ? 3 : 2) && b.rank() == a.rank(), "the operands have the wrong rank");
  const double beta = call.floating("beta"), alpha = call.floating("alpha");
  const bool bias_like = !batched && beta == 1 && alpha == 1 && self.rank() == 1 && self.size(0) == b.size(1);
  if (bias_like && a.dtype() == DType::float32 && b.dtype() == DType::float32 && self.dtype() == DType::float32 && a.size(1) == b.size(0) &&
      a.size(1) > 0)
    return call.set(affine(call, a, b, call.is_constant("mat2"), &self));
  const Tensor result =
      batched ? unrounded_product(call, a, b) : unrounded_product(call, as_batch(a), as_batch(b)).reshaped({a.size(0), b.size(1)});
  const Tensor* const operands[] = {&self, &result};
  const Tensor out = call.empty(a.dtype(), result.sizes());
  run_elementwise(call, weighted_sum_functions(), result.dtype(), out, operands, {beta, alpha});
  call.set(out);
}

// NumPy's rules: vectors are rows or columns, leading dimensions broadcast.
void matmul(Call& call) {
  Tensor x = call.tensor("self"), y = call.tensor("other");
  call.require(x.rank() >= 1 && y.rank() >= 1, "a 0-d operand");
  const bool row = x.rank() == 1, column = y.rank() == 1;
  if (row) x = with_rank(x, {1, x.size(0)}, {0, x.strides()[0]});
  if (column) y = with_rank(y, {y.size(0), 1}, {y.strides()[0], 0});
  if (x.size(-1) != y.size(-2)) call.fail(fmt::format("[{}] and [{}] do not fit", fmt::join(x.sizes(), ", "), fmt::join(y.sizes(), ", ")));
  const int64_t m = x.size(-2), k = x.size(-1), n = y.size(-1);
  Sizes x_lead(x.sizes().begin(), x.sizes().end() - 2), y_lead(y.sizes().begin(), y.sizes().end() - 2);
  const Sizes* const leads[] = {&x_lead, &y_lead};
  const auto lead = broadcast_shape(leads);
  if (!lead) call.fail(fmt::format("[{}] and [{}] do not broadcast", fmt::join(x.sizes(), ", "), fmt::join(y.sizes(), ", ")));
  Sizes result = *lead;
  if (!row) result.push_back(m);
  if (!column) result.push_back(n);

  if (y.rank() == 2 && k > 0 && x.dtype() == DType::float32 && y.dtype() == DType::float32)
    return call.set(affine(call, as_rows(call, x, k), y, call.is_constant("other"), nullptr).reshaped(result));

  const int64_t batch = element_count(*lead);
  const auto flattened = [&](const Tensor& tensor, int64_t rows, int64_t columns) {
    Sizes full = *lead;
    full.insert(full.end(), {rows, columns});
    const Tensor expanded = with_rank(tensor, full, broadcast_strides(tensor, full));
    if (lead->size() == 1) return expanded;
    if (lead->empty()) return as_batch(expanded);
    return (expanded.is_contiguous() ? expanded : own_copy(call, expanded)).reshaped({batch, rows, columns});
  };
  call.set(matrix_product(call, flattened(x, m, k), flattened(y, k, n)).reshaped(result));
}

void dot(Call& call) {
  const Tensor &x = call.tensor("self"), &y = call.tensor(call.has("vec") ? "vec" : "tensor");
  const bool matrix = x.rank() == 2;
  call.require(y.rank() == 1 && (matrix || x.rank() == 1), "the operands have the wrong rank");
  const Tensor left = matrix ? as_batch(x) : with_rank(x, {1, 1, x.size(0)}, {0, 0, x.strides()[0]});
  const Tensor right = with_rank(y, {1, y.size(0), 1}, {0, y.strides()[0], 0});
  call.set(matrix_product(call, left, right).reshaped(matrix ? Sizes{x.size(0)} : Sizes{}));
}

}  // namespace

std::span<const Kernel> matmul_kernels() {
  static const Kernel table[] = {
      {"aten.linear.default", linear},
      {"aten.mm.default", mm},
      {"aten.bmm.default", bmm},
      {"aten.addmm.default", add_matrix_product},
      {"aten.baddbmm.default", add_matrix_product},
      {"aten.matmul.default", matmul},
      {"aten.mv.default", dot},
      {"aten.dot.default", dot},
  };
  return table;
}

}  // namespace intaglio::interp
