// Functions of two or three tensors (or numbers), element by element, broadcast together.
#include <cmath>

#include "interpreter/elementwise.h"
#include "interpreter/kernel_table.h"
#include "interpreter/vector_math.h"
#include "quant/narrow.h"

namespace intaglio::interp {
namespace {

#define INTAGLIO_BINARY(Name, expression)                                 \
  struct Name {                                                           \
    static constexpr int arity = 2;                                       \
    template <typename T>                                                 \
    INTAGLIO_INLINE static T apply(T a, T b, const std::array<T, 4>& p) { \
      [[maybe_unused]] const T p0 = p[0];                                 \
      return static_cast<T>(expression);                                  \
    }                                                                     \
  };
#define INTAGLIO_TERNARY(Name, expression)                                     \
  struct Name {                                                                \
    static constexpr int arity = 3;                                            \
    template <typename T>                                                      \
    INTAGLIO_INLINE static T apply(T a, T b, T c, const std::array<T, 4>& p) { \
      [[maybe_unused]] const T p0 = p[0];                                      \
      return static_cast<T>(expression);                                       \
    }                                                                          \
  };

// Integer arithmetic wraps.
template <typename T>
using Wrapping = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;
template <typename T>
INTAGLIO_INLINE T sum(T a, T b) {
  return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
}
template <typename T>
INTAGLIO_INLINE T difference(T a, T b) {
  return static_cast<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
}
template <typename T>
INTAGLIO_INLINE T product(T a, T b) {
  return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
}

// Integer division that no divisor makes trap; PyTorch refuses a zero, here it gives 0.
int64_t truncated_quotient(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return static_cast<int64_t>(uint64_t{0} - static_cast<uint64_t>(a));
  return a / b;
}
template <typename T>
T fmod_of(T a, T b) {
  if constexpr (std::is_integral_v<T>) return b == 0 || b == -1 ? 0 : a % b;
  else return std::fmod(a, b);
}
template <typename T>
T remainder_of(T a, T b) {  // the sign of the divisor, as Python's %
  const T r = fmod_of(a, b);
  return r != T(0) && (r < T(0)) != (b < T(0)) ? r + b : r;
}
template <typename T>
T floor_quotient(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    const T q = truncated_quotient(a, b);
    return fmod_of(a, b) != 0 && (a < 0) != (b < 0) ? q - 1 : q;
  } else {
    if (b == T(0)) return a / b;
    const T r = std::fmod(a, b);
    T q = (a - r) / b;
    if (r != T(0) && (b < T(0)) != (r < T(0))) q -= T(1);
    if (q == T(0)) return std::copysign(T(0), a / b);
    const T whole = std::floor(q);
    return q - whole > T(0.5) ? whole + T(1) : whole;
  }
}
template <typename T>
T trunc_quotient(T a, T b) {
  if constexpr (std::is_integral_v<T>) return truncated_quotient(a, b);
  else return std::trunc(a / b);
}
template <typename T>
T power_of(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
    uint64_t result = 1, base = static_cast<uint64_t>(a);
    for (uint64_t n = static_cast<uint64_t>(b); n != 0; n >>= 1, base *= base)
      if (n & 1) result *= base;
    return static_cast<T>(result);
  } else return std::pow(a, b);
}
template <typename T>
INTAGLIO_INLINE T larger(T a, T b) {
  return a != a ? a : (b > a || b != b ? b : a);
}
template <typename T>
INTAGLIO_INLINE T smaller(T a, T b) {
  return a != a ? a : (b < a || b != b ? b : a);
}
INTAGLIO_INLINE int64_t shifted_left(int64_t a, int64_t b) {
  return b < 0 || b > 63 ? 0 : static_cast<int64_t>(static_cast<uint64_t>(a) << b);
}
INTAGLIO_INLINE int64_t shifted_right(int64_t a, int64_t b) { return b < 0 || b > 63 ? (a < 0 ? -1 : 0) : a >> b; }

template <typename T>
INTAGLIO_INLINE T exp_of(T x) {
  if constexpr (std::is_same_v<T, float>) return math::exp(x);
  else return std::exp(x);
}

INTAGLIO_BINARY(Add, sum(a, b))
INTAGLIO_BINARY(AddScaled, sum(a, product(p0, b)))
INTAGLIO_BINARY(WeightedSum, sum(product(p[0], a), product(p[1], b)))
INTAGLIO_BINARY(Sub, difference(a, b))
INTAGLIO_BINARY(SubScaled, difference(a, product(p0, b)))
INTAGLIO_BINARY(ReverseSub, difference(b, product(p0, a)))
INTAGLIO_BINARY(Mul, product(a, b))
INTAGLIO_BINARY(Div, a / b)
INTAGLIO_BINARY(FloorDiv, floor_quotient(a, b))
INTAGLIO_BINARY(TruncDiv, trunc_quotient(a, b))
INTAGLIO_BINARY(Remainder, remainder_of(a, b))
INTAGLIO_BINARY(Fmod, fmod_of(a, b))
INTAGLIO_BINARY(Power, power_of(a, b))
INTAGLIO_BINARY(Maximum, larger(a, b))
INTAGLIO_BINARY(Minimum, smaller(a, b))
INTAGLIO_BINARY(Fmax, b != b || a > b ? a : b)
INTAGLIO_BINARY(Fmin, b != b || a < b ? a : b)
INTAGLIO_BINARY(Atan2, std::atan2(a, b))
INTAGLIO_BINARY(Eq, a == b ? T(1) : T(0))
INTAGLIO_BINARY(Ne, a != b ? T(1) : T(0))
INTAGLIO_BINARY(Lt, a < b ? T(1) : T(0))
INTAGLIO_BINARY(Le, a <= b ? T(1) : T(0))
INTAGLIO_BINARY(Gt, a > b ? T(1) : T(0))
INTAGLIO_BINARY(Ge, a >= b ? T(1) : T(0))
INTAGLIO_BINARY(LogicalAnd, (a != T(0)) & (b != T(0)) ? T(1) : T(0))
INTAGLIO_BINARY(LogicalOr, (a != T(0)) | (b != T(0)) ? T(1) : T(0))
INTAGLIO_BINARY(LogicalXor, (a != T(0)) != (b != T(0)) ? T(1) : T(0))
INTAGLIO_BINARY(BitwiseAnd, a& b)
INTAGLIO_BINARY(BitwiseOr, a | b)
INTAGLIO_BINARY(BitwiseXor, a ^ b)
INTAGLIO_BINARY(ShiftLeft, shifted_left(a, b))
INTAGLIO_BINARY(ShiftRight, shifted_right(a, b))
INTAGLIO_BINARY(Gated, a*(T(1) / (T(1) + exp_of(-b))))
INTAGLIO_BINARY(Prelu, a > T(0) ? a : b * a)
INTAGLIO_TERNARY(Where, a != T(0) ? b : c)
INTAGLIO_TERNARY(ScaleShift, a* b + c)
INTAGLIO_TERNARY(AddCMul, a + p0 * b * c)
INTAGLIO_TERNARY(AddCDiv, a + p0 * b / c)
INTAGLIO_TERNARY(Lerp, c < T(0.5) ? a + c * (b - a) : b - (b - a) * (T(1) - c))
INTAGLIO_TERNARY(ClampTensors, smaller(larger(a, b), c))

enum class Result : uint8_t { promoted, floating, boolean };
// Numbers and 0-d tensors beside float16 and bfloat16: factors and divisors stay as they are, all others are rounded first, as by PyTorch.
enum class Numbers : uint8_t { rounded, exact };

struct Row {
  std::string_view op;
  BlockFunctions functions;
  Result result = Result::promoted;
  std::string_view first = "self";
  std::string_view second = "other";
  Numbers numbers = Numbers::rounded;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table = [] {
    std::vector<Row> list = {
        {"aten.maximum.default", all_types<Maximum>()},
        {"aten.max.other", all_types<Maximum>()},
        {"aten.minimum.default", all_types<Minimum>()},
        {"aten.min.other", all_types<Minimum>()},
        {"aten.clamp_min.Tensor", all_types<Maximum>(), Result::promoted, "self", "min"},
        {"aten.clamp_max.Tensor", all_types<Minimum>(), Result::promoted, "self", "max"},
        {"aten.fmax.default", all_types<Fmax>()},
        {"aten.fmin.default", all_types<Fmin>()},
        {"aten.atan2.default", float_only<Atan2>(), Result::floating},
        {"aten.floor_divide.default", all_types<FloorDiv>()},
        {"aten.floor_divide.Scalar", all_types<FloorDiv>()},
        {"aten.pow.Tensor_Tensor", all_types<Power>(), Result::promoted, "self", "exponent"},
        {"aten.pow.Scalar", all_types<Power>(), Result::promoted, "self", "exponent"},
        {"aten.logical_and.default", all_types<LogicalAnd>(), Result::boolean},
        {"aten.logical_or.default", all_types<LogicalOr>(), Result::boolean},
        {"aten.logical_xor.default", all_types<LogicalXor>(), Result::boolean},
        {"aten._prelu_kernel.default", float_only<Prelu>(), Result::promoted, "self", "weight"},
    };
    const auto add = [&](BlockFunctions functions, Result result, std::initializer_list<std::string_view> ops,
                         Numbers numbers = Numbers::rounded) {
      for (const std::string_view op : ops) list.push_back({op, functions, result, "self", "other", numbers});
    };
    add(all_types<Mul>(), Result::promoted, {"aten.mul.Tensor", "aten.mul.Scalar", "aten.multiply.Tensor"}, Numbers::exact);
    add(float_only<Div>(), Result::floating, {"aten.div.Tensor", "aten.div.Scalar", "aten.divide.Tensor", "aten.true_divide.Tensor"},
        Numbers::exact);
    add(all_types<Remainder>(), Result::promoted, {"aten.remainder.Tensor", "aten.remainder.Scalar", "aten.remainder.Scalar_Tensor"});
    add(all_types<Fmod>(), Result::promoted, {"aten.fmod.Tensor", "aten.fmod.Scalar"});
    add(all_types<Eq>(), Result::boolean, {"aten.eq.Tensor", "aten.eq.Scalar"});
    add(all_types<Ne>(), Result::boolean, {"aten.ne.Tensor", "aten.ne.Scalar", "aten.not_equal.Tensor", "aten.not_equal.Scalar"});
    add(all_types<Lt>(), Result::boolean, {"aten.lt.Tensor", "aten.lt.Scalar", "aten.less.Tensor", "aten.less.Scalar"});
    add(all_types<Le>(), Result::boolean, {"aten.le.Tensor", "aten.le.Scalar", "aten.less_equal.Tensor", "aten.less_equal.Scalar"});
    add(all_types<Gt>(), Result::boolean, {"aten.gt.Tensor", "aten.gt.Scalar", "aten.greater.Tensor", "aten.greater.Scalar"});
    add(all_types<Ge>(), Result::boolean, {"aten.ge.Tensor", "aten.ge.Scalar", "aten.greater_equal.Tensor", "aten.greater_equal.Scalar"});
    add(integer_only<BitwiseAnd>(), Result::promoted,
        {"aten.bitwise_and.Tensor", "aten.bitwise_and.Scalar", "aten.__and__.Tensor", "aten.__and__.Scalar"});
    add(integer_only<BitwiseOr>(), Result::promoted,
        {"aten.bitwise_or.Tensor", "aten.bitwise_or.Scalar", "aten.__or__.Tensor", "aten.__or__.Scalar"});
    add(integer_only<BitwiseXor>(), Result::promoted,
        {"aten.bitwise_xor.Tensor", "aten.bitwise_xor.Scalar", "aten.__xor__.Tensor", "aten.__xor__.Scalar"});
    add(integer_only<ShiftLeft>(), Result::promoted,
        {"aten.bitwise_left_shift.Tensor", "aten.bitwise_left_shift.Tensor_Scalar", "aten.__lshift__.Scalar", "aten.__lshift__.Tensor"});
    add(integer_only<ShiftRight>(), Result::promoted,
        {"aten.bitwise_right_shift.Tensor", "aten.bitwise_right_shift.Tensor_Scalar", "aten.__rshift__.Scalar", "aten.__rshift__.Tensor"});
    return list;
  }();
  return table;
}

bool is_narrow(DType dtype) { return dtype == DType::float16 || dtype == DType::bfloat16; }

void run_operands(Call& call, const BlockFunctions& functions, Result kind, const std::vector<Operand>& operands,
                  const Parameters& parameters, Numbers numbers = Numbers::rounded) {
  DType compute = result_type(operands);
  if (kind == Result::floating && !is_floating(compute)) compute = DType::float32;
  std::vector<Tensor> scalars;
  scalars.reserve(operands.size());
  std::vector<const Tensor*> tensors;
  const bool narrow = is_narrow(compute), exact = narrow && numbers == Numbers::exact;
  for (const Operand& operand : operands) {
    const auto* tensor = std::get_if<Tensor>(&operand);
    if (tensor && (tensor->rank() > 0 || !narrow || exact)) {
      tensors.push_back(tensor);
      continue;
    }
    scalars.push_back(tensor ? converted(*tensor, compute) : scalar_tensor(std::get<Number>(operand), exact ? DType::float32 : compute));
    tensors.push_back(&scalars.back());
  }
  const Tensor out = elementwise_result(call, kind == Result::boolean ? DType::boolean : compute, tensors);
  run_elementwise(call, functions, compute, out, tensors, parameters);
  call.set(out);
}

void binary(Call& call) {
  const Row& row = rows()[static_cast<size_t>(call.variant())];
  run_operands(call, row.functions, row.result, {call.tensor_or_number(row.first), call.tensor_or_number(row.second)}, {}, row.numbers);
}

enum : int { kind_add, kind_sub, kind_reverse_sub };
void add_scaled(Call& call) {
  const std::vector<Operand> operands = {call.tensor_or_number("self"), call.tensor_or_number("other")};
  double alpha = call.has("alpha") ? call.floating("alpha") : 1;
  if (const DType type = result_type(operands); is_narrow(type))
    alpha = static_cast<double>(quant::rounded_to(type, static_cast<float>(alpha)));
  const BlockFunctions functions = call.variant() == kind_reverse_sub ? all_types<ReverseSub>()
                                   : call.variant() == kind_add       ? (alpha == 1 ? all_types<Add>() : all_types<AddScaled>())
                                                                      : (alpha == 1 ? all_types<Sub>() : all_types<SubScaled>());
  run_operands(call, functions, Result::promoted, operands, {alpha});
}

void divide_rounding(Call& call) {
  const std::vector<Operand> operands = {call.tensor_or_number("self"), call.tensor_or_number("other")};
  if (!call.has("rounding_mode")) return run_operands(call, float_only<Div>(), Result::floating, operands, {}, Numbers::exact);
  const std::string mode = call.string("rounding_mode");
  if (mode != "floor" && mode != "trunc") call.fail("rounding_mode='" + escaped(mode) + "'");
  run_operands(call, mode == "floor" ? all_types<FloorDiv>() : all_types<TruncDiv>(), Result::promoted, operands, {});
}

// The condition does not take part in the promotion.
void select_by(Call& call, const Tensor& condition, const Operand& yes, const Operand& no, DType dtype) {
  const auto as_tensor = [&](const Operand& operand) {
    const auto* tensor = std::get_if<Tensor>(&operand);
    return tensor ? *tensor : scalar_tensor(std::get<Number>(operand), dtype);
  };
  const Tensor a = as_tensor(yes), b = as_tensor(no);
  const Tensor* const tensors[] = {&condition, &a, &b};
  const Tensor out = elementwise_result(call, dtype, tensors);
  run_elementwise(call, all_types<Where>(), dtype, out, tensors, {});
  call.set(out);
}

void where(Call& call) {
  const std::vector<Operand> branches = {call.tensor_or_number("self"), call.tensor_or_number("other")};
  select_by(call, call.tensor("condition"), branches[0], branches[1], result_type(branches));
}

void masked_fill(Call& call) {
  const Tensor& self = call.tensor("self");
  const Operand value = call.tensor_or_number("value");
  if (const auto* tensor = std::get_if<Tensor>(&value)) call.require(tensor->numel() == 1, "the value must have one element");
  select_by(call, call.tensor("mask"), value, self, self.dtype());
}

void prelu(Call& call) {
  const Tensor& self = call.tensor("self");
  const Tensor& weight = call.tensor("weight");
  const int64_t channels = self.rank() >= 2 ? self.sizes()[1] : 1;
  call.require(weight.numel() == 1 || weight.numel() == channels, "the weight must have one element or one per channel");
  Sizes shape(static_cast<size_t>(std::max<int64_t>(self.rank(), 1)), 1);
  if (self.rank() >= 2) shape[1] = weight.numel();
  run_operands(call, float_only<Prelu>(), Result::promoted, {self, self.rank() == 0 ? weight.reshaped({}) : weight.reshaped(shape)}, {});
}

void clamp_tensors(Call& call) {
  const Tensor& self = call.tensor("self");
  const Tensor *low = call.optional_tensor("min"), *high = call.optional_tensor("max");
  if (low && high) return run_operands(call, all_types<ClampTensors>(), Result::promoted, {self, *low, *high}, {});
  call.require(low || high, "neither min nor max is given");
  run_operands(call, low ? all_types<Maximum>() : all_types<Minimum>(), Result::promoted, {self, low ? *low : *high}, {});
}

enum : int { kind_addcmul, kind_addcdiv };
void add_product(Call& call) {
  const double value = call.floating("value");
  run_operands(call, call.variant() == kind_addcmul ? float_only<AddCMul>() : float_only<AddCDiv>(), Result::promoted,
               {call.tensor("self"), call.tensor("tensor1"), call.tensor("tensor2")}, {value});
}

// The first half of a dimension, gated by the second.
void glu(Call& call) {
  const Tensor& self = call.tensor("self");
  call.require(self.rank() > 0, "a 0-d tensor");
  const int64_t dim = call.dimension("dim", self.rank()), half = self.size(dim) / 2;
  call.require(self.size(dim) % 2 == 0, "the dimension has no halves");
  run_operands(call, float_only<Gated>(), Result::promoted, {self.narrowed(dim, 0, half), self.narrowed(dim, half, half)}, {});
}

void outer(Call& call) {
  const Tensor &self = call.tensor("self"), &other = call.tensor("vec2");
  call.require(self.rank() == 1 && other.rank() == 1, "both operands must be vectors");
  const Tensor column = self.view_as({self.size(0), 1}, {self.strides()[0], 0}, self.storage_offset());
  run_operands(call, all_types<Mul>(), Result::promoted, {column, other}, {});
}

void lerp(Call& call) {
  run_operands(call, float_only<Lerp>(), Result::promoted, {call.tensor("self"), call.tensor("end"), call.tensor_or_number("weight")}, {});
}

}  // namespace

BlockFunctions power_functions() { return all_types<Power>(); }
BlockFunctions product_functions() { return all_types<Mul>(); }

BlockFunctions quotient_functions() { return float_only<Div>(); }

BlockFunctions addition_functions() { return all_types<AddScaled>(); }
BlockFunctions scale_shift_functions() { return float_only<ScaleShift>(); }
BlockFunctions weighted_sum_functions() { return all_types<WeightedSum>(); }

std::span<const Kernel> binary_kernels() {
  static const std::vector<Kernel> table = [] {
    std::vector<Kernel> kernels = kernels_of({
        {add_scaled, {"aten.add.Tensor", "aten.add.Scalar"}, kind_add},
        {add_scaled, {"aten.sub.Tensor", "aten.sub.Scalar", "aten.subtract.Tensor"}, kind_sub},
        {add_scaled, {"aten.rsub.Tensor", "aten.rsub.Scalar"}, kind_reverse_sub},
        {divide_rounding, {"aten.div.Tensor_mode", "aten.div.Scalar_mode"}},
        {where, {"aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar"}},
        {masked_fill, {"aten.masked_fill.Scalar", "aten.masked_fill.Tensor"}},
        {prelu, {"aten.prelu.default"}},
        {clamp_tensors, {"aten.clamp.Tensor", "aten.clip.Tensor"}},
        {add_product, {"aten.addcmul.default"}, kind_addcmul},
        {add_product, {"aten.addcdiv.default"}, kind_addcdiv},
        {glu, {"aten.glu.default"}},
        {outer, {"aten.outer.default", "aten.ger.default"}},
        {lerp, {"aten.lerp.Scalar", "aten.lerp.Tensor"}},
    });
    for (Kernel& kernel : kernels) kernel.uses_destination = true;
    for (size_t i = 0; i < rows().size(); ++i) kernels.push_back({rows()[i].op, binary, static_cast<int>(i), false, true});
    return kernels;
  }();
  return table;
}

}  // namespace intaglio::interp
