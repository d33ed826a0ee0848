// Op name -> kernel. One row per op; rows that share a function tell themselves apart by `variant`.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "interpreter/call.h"

namespace intaglio::interp {

using KernelFunction = void (*)(Call&);

struct Kernel {
  std::string_view op;  // "aten.relu.default"
  KernelFunction run;
  int variant = 0;
  bool aliases = false;           // results may share memory with an argument
  bool uses_destination = false;  // takes Call::destination; other in-place forms copy the result over
};

// The rows of ops that share a function and all else.
struct KernelRows {
  KernelFunction run;
  std::initializer_list<std::string_view> ops;
  int variant = 0;
  bool aliases = false;
};
std::vector<Kernel> kernels_of(std::initializer_list<KernelRows> rows);

// Null when the interpreter has none of its own. An in-place name (`relu_`) without a row finds the kernel of its
// functional form.
struct FoundKernel {
  const Kernel* kernel = nullptr;
  bool in_place = false;  // the functional kernel stands for an in-place op
};
FoundKernel find_kernel(const Op& op);

// The part of `self` that the dim, start, end and step arguments of slice ops name, as a view.
Tensor sliced(Call& call, const Tensor& self);

// The tensor in memory of its own, row-major.
Tensor own_copy(const Call& call, const Tensor& tensor, DType dtype);
inline Tensor own_copy(const Call& call, const Tensor& tensor) { return own_copy(call, tensor, tensor.dtype()); }
// One place along a dimension, which is gone.
Tensor selected(const Tensor& self, int64_t dim, int64_t index);

// All rows, by family.
std::vector<std::span<const Kernel>> kernel_families();

// The families, one file each in kernels/.
std::span<const Kernel> attention_kernels();
std::span<const Kernel> binary_kernels();
std::span<const Kernel> control_kernels();
std::span<const Kernel> convolution_kernels();
std::span<const Kernel> creation_kernels();
std::span<const Kernel> fourier_kernels();
std::span<const Kernel> indexing_kernels();
std::span<const Kernel> integer_layer_kernels();
std::span<const Kernel> joining_kernels();
std::span<const Kernel> matmul_kernels();
std::span<const Kernel> normalization_kernels();
std::span<const Kernel> pooling_kernels();
std::span<const Kernel> quantized_kernels();
std::span<const Kernel> recurrent_kernels();
std::span<const Kernel> reduction_kernels();
std::span<const Kernel> resampling_kernels();
std::span<const Kernel> scalar_kernels();
std::span<const Kernel> scan_kernels();
std::span<const Kernel> softmax_kernels();
std::span<const Kernel> type_kernels();
std::span<const Kernel> unary_kernels();
std::span<const Kernel> view_kernels();

}  // namespace intaglio::interp
