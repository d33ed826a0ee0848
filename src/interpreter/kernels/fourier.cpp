// Fourier transforms are the runtime's own, so that what is evaluated is what is deployed.
#include "base/complex_types.h"
#include "interpreter/kernel_table.h"
#include "runtime/kernel_registry.h"

namespace intaglio::interp {
namespace {

Sizes dims_of(Call& call, int64_t rank) {
  Sizes dims = call.integers("dim");
  call.require(!dims.empty(), "no dimension");
  for (int64_t& dim : dims) {
    dim += dim < 0 ? rank : 0;
    call.require(dim >= 0 && dim < rank, "a dimension is out of range");
  }
  return dims;
}

void give(Call& call, std::string_view key, std::vector<runtime::KernelArgument> arguments, DType dtype, const Sizes& sizes) {
  std::vector<Tensor> outs = {call.empty(dtype, sizes)};
  runtime::call_kernel(key, arguments, outs);
  call.set_all(std::move(outs));
}

void real_to_complex(Call& call) {
  const Tensor self = call.tensor("self").contiguous();
  call.require(call.boolean("onesided"), "both sides of a spectrum");
  call.require(self.dtype() == DType::float32 || self.dtype() == DType::float64, "the operand's type");
  const Sizes dims = dims_of(call, self.rank());
  Sizes sizes = self.sizes();
  int64_t& last = sizes[static_cast<size_t>(dims.back())];
  call.require(last > 0, "a transform of nothing");
  last = last / 2 + 1;
  give(call, "aten::_fft_r2c.out", {self, dims, call.integer("normalization"), true}, complex_type_of(self.dtype()), sizes);
}

void complex_to_real(Call& call) {
  const Tensor self = call.tensor("self").contiguous();
  call.require(self.dtype() == DType::complex64 || self.dtype() == DType::complex128, "the operand's type");
  const Sizes dims = dims_of(call, self.rank());
  const int64_t length = call.integer("last_dim_size");
  Sizes sizes = self.sizes();
  call.require(length > 0 && sizes[static_cast<size_t>(dims.back())] == length / 2 + 1, "the length of the signal");
  sizes[static_cast<size_t>(dims.back())] = length;
  give(call, "aten::_fft_c2r.out", {self, dims, call.integer("normalization"), length}, real_type_of(self.dtype()), sizes);
}

constexpr Kernel kernels[] = {
    {"aten._fft_r2c.default", real_to_complex},
    {"aten._fft_c2r.default", complex_to_real},
};

}  // namespace

std::span<const Kernel> fourier_kernels() { return kernels; }

}  // namespace intaglio::interp
