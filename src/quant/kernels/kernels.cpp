#include "quant/kernels/kernels.h"

#include <atomic>
#include <vector>

namespace intaglio::quant {
namespace {

std::atomic<const Kernels*> override_set = nullptr;

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> sets{&baseline::kernel_set};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&avx2::kernel_set);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")) {
    sets.push_back(&avx512::kernel_set);
  }
#endif
  return sets;
}

}  // namespace

std::span<const Kernels* const> available_kernels() {
  static const std::vector<const Kernels*> sets = detect();
  return sets;
}

const Kernels& kernels() {
  static const Kernels& best = *available_kernels().back();
  const Kernels* chosen = override_set.load(std::memory_order_relaxed);
  return chosen ? *chosen : best;
}

KernelOverride::KernelOverride(const Kernels& set) { override_set = &set; }
KernelOverride::~KernelOverride() { override_set = nullptr; }

}  // namespace intaglio::quant
