#include "interpreter/elementwise.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

template <typename T>
void run_typed(const Call& call, BlockFunction<T> function, DType compute, const Tensor& out, std::span<const Tensor* const> operands,
               const Parameters& parameters) {
  if (function == nullptr) call.unsupported(fmt::format("not defined on {} tensors", name(compute)));
  std::vector<Sizes> strides = {out.strides()};
  for (const Tensor* operand : operands) strides.push_back(broadcast_strides(*operand, out.sizes()));
  if (out.numel() == 0) return;
  const RowLoop loop = make_row_loop(out.sizes(), strides);

  constexpr size_t max_operands = 4;
  std::array<const std::byte*, max_operands> bases{};
  std::array<DType, max_operands> dtypes{};
  for (size_t k = 0; k < operands.size(); ++k) {
    bases[k] = static_cast<const std::byte*>(operands[k]->raw());
    dtypes[k] = operands[k]->dtype();
  }
  std::byte* const target = writable_bytes(out);
  constexpr DType native = std::is_same_v<T, float> ? DType::float32 : std::is_same_v<T, double> ? DType::float64 : DType::int64;
  const bool direct_out = out.dtype() == native && loop.steps[0] == 1;

  for_blocks(loop, element_block, call.threads(), [&](const int64_t* offsets, const int64_t* steps, int64_t count) {
    alignas(64) T buffers[max_operands + 1][element_block];
    std::array<const T*, max_operands> in{};
    for (size_t k = 0; k < operands.size(); ++k) {
      if (dtypes[k] == native && steps[k + 1] == 1) {
        in[k] = reinterpret_cast<const T*>(bases[k]) + offsets[k + 1];
      } else {
        load_block<T>(dtypes[k], bases[k], offsets[k + 1], steps[k + 1], count, buffers[k]);
        in[k] = buffers[k];
      }
    }
    if (direct_out) {
      function(in.data(), reinterpret_cast<T*>(target) + offsets[0], count, parameters);
    } else {
      function(in.data(), buffers[max_operands], count, parameters);
      store_block<T>(out.dtype(), target, offsets[0], steps[0], count, buffers[max_operands]);
    }
  });
}

}  // namespace

InstructionSet instruction_set() {
  static const InstructionSet found = [] {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
      return InstructionSet::avx512;
    if (__builtin_cpu_supports("avx2")) return InstructionSet::avx2;
#endif
    return InstructionSet::base;
  }();
  return found;
}

void run_elementwise(const Call& call, const BlockFunctions& functions, DType compute, const Tensor& out,
                     std::span<const Tensor* const> operands, const Parameters& parameters) {
  switch (compute_type(compute)) {
    case ComputeType::f32: return run_typed<float>(call, functions.f32, compute, out, operands, parameters);
    case ComputeType::f64: return run_typed<double>(call, functions.f64, compute, out, operands, parameters);
    case ComputeType::i64: return run_typed<int64_t>(call, functions.i64, compute, out, operands, parameters);
  }
}

Tensor elementwise_result(Call& call, DType dtype, std::span<const Tensor* const> operands) {
  std::vector<const Sizes*> shapes;
  for (const Tensor* operand : operands) shapes.push_back(&operand->sizes());
  const std::optional<Sizes> shape = broadcast_shape(shapes);
  if (!shape) {
    std::string text;
    for (const Sizes* sizes : shapes) text += fmt::format("{}[{}]", text.empty() ? "" : " and ", fmt::join(*sizes, ", "));
    call.fail("sizes " + text + " do not broadcast");
  }
  if (const Tensor* destination = call.destination()) {
    if (*shape != destination->sizes())
      call.fail(
          fmt::format("the result [{}] does not fit in place into [{}]", fmt::join(*shape, ", "), fmt::join(destination->sizes(), ", ")));
    return *destination;
  }
  return call.empty(dtype, *shape, result_strides(*shape, operands));
}

}  // namespace intaglio::interp
