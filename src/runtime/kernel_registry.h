// The ExecuTorch SDK's kernels, called in this process: what the interpreter falls back to.
//
// The SDK ends the process when a kernel is called with a value of the wrong kind, so every call is checked against the
// kernel's schema first (pte/kernel_table.h). The libraries are loaded at the first question that needs them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <intaglio/tensor.h>

namespace intaglio::runtime {

// One argument; monostate is None. A Scalar is an int64_t, a double or a bool; a dtype is its ExecuTorch number
// (pte/scalar_type.h).
using KernelArgument = std::variant<std::monostate, Tensor, int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>,
                                    std::vector<bool>, std::vector<Tensor>, std::vector<std::optional<Tensor>>>;

// Registered by the loaded libraries and callable here: with results among its arguments.
bool has_kernel(std::string_view name);
// Everything that the libraries register, sorted.
std::vector<std::string> registered_kernels();

// Runs a kernel on the calling thread. `arguments` are all of its inputs (inputs_of) in order; integers are taken
// for floats, one integer for a list of fixed length, tensors of any strides. `outs` are allocated with the right dtype
// and sizes (an upper bound is enough: they come back with the sizes that the kernel gave them) and must not share
// memory with arguments. An out that is a list takes all of `outs`.
// Unsupported error when the kernel refuses (dtype, shape, value), bug error when the call does not fit the schema.
void call_kernel(std::string_view name, std::span<const KernelArgument> arguments, std::span<Tensor> outs);

}  // namespace intaglio::runtime
