#include "quant/packing.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/computed.h"
#include "base/threads.h"

namespace intaglio::quant {
namespace {

constexpr size_t bytes_of_a_task = 1 << 18;

template <int bits, First first>
void pack(std::span<const int8_t> integers, uint8_t* bytes) {
  constexpr int per_byte = 8 / bits, lowest = -(1 << (bits - 1)), mask = (1 << bits) - 1;
  unsigned outside = 0;
  for (size_t i = 0; i < integers.size() / per_byte; ++i) {
    unsigned byte = 0;
    for (int k = 0; k < per_byte; ++k) {
      const auto moved = static_cast<unsigned>(integers[i * per_byte + static_cast<size_t>(k)] - lowest);
      outside |= moved & ~static_cast<unsigned>(mask);
      byte |= moved << (first == First::low_bits ? k * bits : 8 - (k + 1) * bits);
    }
    bytes[i] = static_cast<uint8_t>(byte);
  }
  if (outside != 0)
    throw_bad_input(
        fmt::format("a weight of {} bits holds an integer outside [{}, {}]; quantize the model anew", bits, lowest, -lowest - 1));
}

using Pack = void (*)(std::span<const int8_t>, uint8_t*);
Pack pack_of(int bits, First first) {
  if (bits == 4) return first == First::low_bits ? pack<4, First::low_bits> : pack<4, First::high_bits>;
  if (bits == 2) return first == First::low_bits ? pack<2, First::low_bits> : pack<2, First::high_bits>;
  throw_bug(fmt::format("integers of {} bits are not packed", bits));
}

}  // namespace

Tensor packed(const Tensor& integers, int bits, First first) {
  const Pack pack = pack_of(bits, first);
  const int64_t per_byte = 8 / bits;
  Sizes sizes = integers.sizes();
  if (integers.dtype() != DType::int8 || sizes.empty() || sizes.back() % per_byte != 0)
    throw_bug("integers do not fill the bytes of a row");
  sizes.back() /= per_byte;
  return computed_from(integers, DType::uint8, sizes, [=](const Tensor& source) {
    const Tensor rows = source.for_one_use().contiguous();
    Tensor bytes = Tensor::empty(DType::uint8, sizes);
    uint8_t* out = bytes.mutable_data<uint8_t>();
    const auto count = static_cast<size_t>(bytes.numel());
    parallel_for((count + bytes_of_a_task - 1) / bytes_of_a_task, 0, [&](size_t task) {
      const size_t begin = task * bytes_of_a_task, length = std::min(bytes_of_a_task, count - begin);
      const auto step = static_cast<size_t>(per_byte);
      pack(rows.span<int8_t>().subspan(begin * step, length * step), out + begin);
    });
    return bytes;
  });
}

}  // namespace intaglio::quant
