#include "interpreter/promotion.h"

#include <optional>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

int category(DType dtype) { return is_complex(dtype) ? 3 : is_floating(dtype) ? 2 : is_integral(dtype) ? 1 : 0; }

void merge(std::optional<DType>& into, DType dtype) { into = into ? promote(*into, dtype) : dtype; }

}  // namespace

DType number_type(const Number& number) {
  switch (number.kind()) {
    case Number::Kind::boolean: return DType::boolean;
    case Number::Kind::integer: return DType::int64;
    default: return DType::float32;
  }
}

DType result_type(std::span<const Operand> operands) {
  std::optional<DType> ranks[3];  // with dimensions, 0-d, numbers
  for (const Operand& operand : operands) {
    if (const auto* tensor = std::get_if<Tensor>(&operand)) merge(ranks[tensor->rank() == 0 ? 1 : 0], tensor->dtype());
    else merge(ranks[2], number_type(std::get<Number>(operand)));
  }
  std::optional<DType> result;
  for (const std::optional<DType>& rank : ranks)
    if (rank && (!result || category(*rank) > category(*result))) result = rank;
  return result.value_or(DType::float32);
}

Tensor scalar_tensor(const Number& number, DType dtype) {
  Tensor result = Tensor::empty(dtype, {});
  if (number.kind() == Number::Kind::floating) {
    const double value = number.as_double();
    store_block<double>(dtype, writable_bytes(result), 0, 1, 1, &value);
  } else {
    const int64_t value = number.as_int();
    store_block<int64_t>(dtype, writable_bytes(result), 0, 1, 1, &value);
  }
  return result;
}

ComputeType compute_type(DType dtype) {
  switch (dtype) {
    case DType::float64: return ComputeType::f64;
    case DType::float32:
    case DType::float16:
    case DType::bfloat16: return ComputeType::f32;
    case DType::uint8:
    case DType::int8:
    case DType::int16:
    case DType::int32:
    case DType::int64:
    case DType::uint16:
    case DType::uint32:
    case DType::boolean: return ComputeType::i64;
    default: throw_unsupported(fmt::format("no arithmetic on {} tensors", name(dtype)));
  }
}

}  // namespace intaglio::interp
