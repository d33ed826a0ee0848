#include "interpreter/kernel_table.h"

#include <unordered_map>

#include "decompose/decompose.h"

namespace intaglio::interp {
namespace {

const std::unordered_map<std::string_view, const Kernel*>& table() {
  static const auto kernels = [] {
    std::unordered_map<std::string_view, const Kernel*> result;
    for (const auto& family : kernel_families())
      for (const Kernel& kernel : family) result.emplace(kernel.op, &kernel);
    return result;
  }();
  return kernels;
}

}  // namespace

std::vector<Kernel> kernels_of(std::initializer_list<KernelRows> rows) {
  std::vector<Kernel> kernels;
  for (const KernelRows& row : rows)
    for (const std::string_view op : row.ops) kernels.push_back({op, row.run, row.variant, row.aliases});
  return kernels;
}

std::vector<std::span<const Kernel>> kernel_families() {
  return {attention_kernels(),     binary_kernels(),   control_kernels(),       convolution_kernels(), creation_kernels(),
          fourier_kernels(),       indexing_kernels(), integer_layer_kernels(), joining_kernels(),     matmul_kernels(),
          normalization_kernels(), pooling_kernels(),  quantized_kernels(),     recurrent_kernels(),   reduction_kernels(),
          resampling_kernels(),    scalar_kernels(),   scan_kernels(),          softmax_kernels(),     type_kernels(),
          unary_kernels(),         view_kernels()};
}

FoundKernel find_kernel(const Op& op) {
  const auto& kernels = table();
  if (const auto found = kernels.find(op.name()); found != kernels.end()) return {found->second, false};
  const std::optional<Op> functional = decompose::functional_form(op);
  if (!functional) return {};
  if (const auto found = kernels.find(functional->name()); found != kernels.end()) return {found->second, true};
  return {};
}

}  // namespace intaglio::interp
