// Every kernel the stock runtime registers, and the functional op each one serves.
//
// The rows stand in kernel_table.inc, which tools/make_kernel_table.py writes; a kernel stands in every release of the
// runtime from `since` on. What has no row here cannot run undelegated: programs are refused before they are written.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <intaglio/op.h>
#include <intaglio/runtime_version.h>

namespace intaglio::pte {

// The library of the SDK that registers a kernel.
enum class KernelGroup : uint8_t { primitive, optimized, quantized };

struct RuntimeKernel {
  std::string_view key;         // "aten::add.out": the runtime's registry key
  std::string_view functional;  // "aten.add.Tensor", or "" for primitives
  std::string_view schema_text;
  KernelGroup group = KernelGroup::optimized;
  RuntimeVersion since = oldest_runtime;

  std::string_view name() const;      // "aten::add"
  std::string_view overload() const;  // "out"; "" for default overloads
};

std::span<const RuntimeKernel> runtime_kernels();
// By registry key, or null.
const RuntimeKernel* find_runtime_kernel(std::string_view key);
// The kernel a functional edge op becomes, or null.
const RuntimeKernel* runtime_kernel_for(std::string_view functional_op);
// Parsed at first use. Results are the last arguments, in the order of the returns.
const OpSchema& schema_of(const RuntimeKernel& kernel);
// Whether the kernel writes a result into this argument: `out`, but not the `self` of an in-place op.
bool is_out(const ArgSchema& argument);
// The arguments in front of the results, and the results. In-place kernels and primitives have none of the latter.
std::span<const ArgSchema> inputs_of(const RuntimeKernel& kernel);
std::span<const ArgSchema> outs_of(const RuntimeKernel& kernel);
// The runtime's primitive for a Python symbol operation (`_operator.mul`, `torch.sym_max`), "" when there is none.
std::string_view primitive_for_symbolic_op(std::string_view target);

}  // namespace intaglio::pte
