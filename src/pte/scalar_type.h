// ExecuTorch's numbers of element types: in programs, kernel calls and the runner's messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <intaglio/dtype.h>

namespace intaglio::pte {

// Of a tensor in a program; an unsupported error for those that a program cannot hold.
int8_t scalar_type_of(DType dtype);
// Of a tensor that a kernel is called with: kernels know more types than programs can hold (complex ones).
std::optional<int8_t> kernel_scalar_type(DType dtype);
std::optional<DType> dtype_of_scalar_type(int scalar_type);
bool is_program_scalar_type(int scalar_type);
// "float32"; for types that we have none for ExecuTorch's name, "QINT8", or "type 99".
std::string scalar_type_text(int scalar_type);

}  // namespace intaglio::pte
