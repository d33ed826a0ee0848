// The element types that the runtime's kernels take, argument by argument, as measured on the runtime itself
// (kernel_dtypes_test.cpp).
#pragma once

#include <string>
#include <string_view>

#include <intaglio/dtype.h>

#include "pte/kernel_table.h"

namespace intaglio::pte {

// The name that a kernel's first result goes by.
inline constexpr std::string_view result_argument = "out";

// Empty when the kernel takes the type for this argument (by the schema's name, or result_argument); otherwise the
// types that it does take. Kernels that no lowered program holds take everything.
std::string refused_dtype(const RuntimeKernel& kernel, std::string_view argument, DType dtype);
// The first release whose kernel takes a type that the newest one takes for this argument.
RuntimeVersion taken_since(const RuntimeKernel& kernel, std::string_view argument, DType dtype);
bool has_measured_dtypes(const RuntimeKernel& kernel);

}  // namespace intaglio::pte
