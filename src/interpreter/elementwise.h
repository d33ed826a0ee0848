// The engine of elementwise kernels: operands are broadcast, converted block by block to a compute type, and handed as
// plain arrays to loops that exist once for each instruction set.
#pragma once

#include <array>
#include <cmath>

#include "interpreter/call.h"
#include "interpreter/instruction_set.h"
#include "interpreter/promotion.h"

namespace intaglio::interp {

constexpr int64_t element_block = 1024;
using Parameters = std::array<double, 4>;

// `in` holds one array per operand, `out` the result; all have `count` elements.
template <typename T>
using BlockFunction = void (*)(const T* const* in, T* out, int64_t count, const Parameters& parameters);

// One operation in the compute types it exists in (null where it does not).
struct BlockFunctions {
  BlockFunction<float> f32 = nullptr;
  BlockFunction<double> f64 = nullptr;
  BlockFunction<int64_t> i64 = nullptr;
};

// out <- f(operands); `out` may have any strides and element type, operands broadcast to its sizes and are read as
// `compute`'s type.
void run_elementwise(const Call& call, const BlockFunctions& functions, DType compute, const Tensor& out,
                     std::span<const Tensor* const> operands, const Parameters& parameters);

// A result for `operands` in `dtype` (broadcast sizes, layout of the first full operand), or the destination of an
// in-place form after checking that it fits.
Tensor elementwise_result(Call& call, DType dtype, std::span<const Tensor* const> operands);

// Integers wrap around as PyTorch's do; what no 64-bit integer holds is limited, and NaN is 0.
template <typename T>
inline T parameter_as(double value) {
  if constexpr (std::is_floating_point_v<T>) return static_cast<T>(value);
  else if (std::isnan(value)) return T(0);
  else return static_cast<T>(value >= 0x1p63 ? INT64_MAX : value <= -0x1p63 ? INT64_MIN : static_cast<int64_t>(value));
}

// Loops of one operation for each instruction set. Op has `template <typename T> static T apply(T..., const std::array<T, 4>&)`.
template <typename Op, typename T, size_t... I>
INTAGLIO_INLINE void block_loop(const T* const* in, T* out, int64_t count, const Parameters& parameters, std::index_sequence<I...>) {
  const std::array<T, 4> p = {parameter_as<T>(parameters[0]), parameter_as<T>(parameters[1]), parameter_as<T>(parameters[2]),
                              parameter_as<T>(parameters[3])};
  const T* const operands[] = {in[I]...};
// In place, an operand is the result's own memory: each element is read before it is written.
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) out[i] = Op::apply(operands[I][i]..., p);
}

template <typename Op, typename T>
void block_default(const T* const* in, T* out, int64_t count, const Parameters& parameters) {
  block_loop<Op, T>(in, out, count, parameters, std::make_index_sequence<Op::arity>());
}
#if defined(__x86_64__)
template <typename Op, typename T>
INTAGLIO_AVX2 void block_avx2(const T* const* in, T* out, int64_t count, const Parameters& parameters) {
  block_loop<Op, T>(in, out, count, parameters, std::make_index_sequence<Op::arity>());
}
template <typename Op, typename T>
INTAGLIO_AVX512 void block_avx512(const T* const* in, T* out, int64_t count, const Parameters& parameters) {
  block_loop<Op, T>(in, out, count, parameters, std::make_index_sequence<Op::arity>());
}
#endif

template <typename Op, typename T>
BlockFunction<T> best_block() {
#if defined(__x86_64__)
  if (instruction_set() == InstructionSet::avx512) return block_avx512<Op, T>;
  if (instruction_set() == InstructionSet::avx2) return block_avx2<Op, T>;
#endif
  return block_default<Op, T>;
}

template <typename Op>
BlockFunctions float_only() {
  return {best_block<Op, float>(), block_default<Op, double>, nullptr};
}
template <typename Op>
BlockFunctions all_types() {
  return {best_block<Op, float>(), block_default<Op, double>, best_block<Op, int64_t>()};
}
template <typename Op>
BlockFunctions integer_only() {
  return {nullptr, nullptr, best_block<Op, int64_t>()};
}

// Shared by several families: a^b; a b; a / b; a + p0 b; p0 a + p1 b.
BlockFunctions power_functions();
BlockFunctions product_functions();
BlockFunctions quotient_functions();
BlockFunctions addition_functions();
BlockFunctions weighted_sum_functions();
BlockFunctions scale_shift_functions();  // a b + c

}  // namespace intaglio::interp
