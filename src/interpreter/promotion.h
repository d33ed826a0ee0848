// Result types of arithmetic on tensors and Python numbers, as PyTorch's type promotion gives them: tensors with
// dimensions decide within their category; 0-d tensors, then numbers, only raise the category (bool < int < float).
#pragma once

#include <span>
#include <variant>

#include "interpreter/call.h"

namespace intaglio::interp {

using Operand = std::variant<Tensor, Number>;

DType result_type(std::span<const Operand> operands);
// The type of a number standing alone: bool, int64 or float32.
DType number_type(const Number& number);
// The number as a 0-d tensor of `dtype`.
Tensor scalar_tensor(const Number& number, DType dtype);

// The C++ type that arithmetic on a dtype is done in.
enum class ComputeType : uint8_t { f32, f64, i64 };
ComputeType compute_type(DType dtype);

}  // namespace intaglio::interp
