#include "quant/packing.h"

#include <cstring>
#include <numeric>

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
  uint8_t seen = 0;  // all in bytes, so that the compiler takes many at a time
  for (size_t i = 0; i < integers.size() / per_byte; ++i) {
    uint8_t byte = 0;
    for (int k = 0; k < per_byte; ++k) {
      const auto moved = static_cast<uint8_t>(integers[i * per_byte + static_cast<size_t>(k)] - lowest);
      seen |= moved;
      byte |= static_cast<uint8_t>(moved << (first == First::low_bits ? k * bits : 8 - (k + 1) * bits));
    }
    bytes[i] = byte;
  }
  if ((seen & ~mask) != 0)
    throw_bad_input(
        fmt::format("a weight of {} bits holds an integer outside [{}, {}]; quantize the model anew", bits, lowest, -lowest - 1));
}

using Pack = void (*)(std::span<const int8_t>, uint8_t*);
Pack pack_of(int bits, First first) {
  if (bits == 4) return first == First::low_bits ? pack<4, First::low_bits> : pack<4, First::high_bits>;
  if (bits == 2) return first == First::low_bits ? pack<2, First::low_bits> : pack<2, First::high_bits>;
  throw_bug(fmt::format("integers of {} bits are not packed", bits));
}

Sizes packed_sizes(const Tensor& integers, int bits, Sizes sizes) {
  const int64_t per_byte = 8 / bits;
  if (integers.dtype() != DType::int8 || sizes.empty() || sizes.back() % per_byte != 0)
    throw_bug("integers do not fill the bytes of a row");
  sizes.back() /= per_byte;
  return sizes;
}

// `rows` are contiguous.
Tensor packed_now(const Tensor& rows, int bits, First first) {
  const Pack pack = pack_of(bits, first);
  Tensor bytes = Tensor::empty(DType::uint8, packed_sizes(rows, bits, rows.sizes()));
  uint8_t* out = bytes.mutable_data<uint8_t>();
  const auto count = static_cast<size_t>(bytes.numel()), step = static_cast<size_t>(8 / bits);
  parallel_for((count + bytes_of_a_task - 1) / bytes_of_a_task, 0, [&](size_t task) {
    const size_t begin = task * bytes_of_a_task, length = std::min(bytes_of_a_task, count - begin);
    pack(rows.span<int8_t>().subspan(begin * step, length * step), out + begin);
  });
  return bytes;
}

// Of a contiguous matrix: [groups of a row, rows].
Tensor group_sums(const Tensor& matrix, int64_t group_size, int64_t padded_rows) {
  const int64_t rows = matrix.size(0), groups = matrix.size(1) / group_size;
  Tensor sums = Tensor::zeros(DType::int32, {groups, padded_rows});
  int32_t* out = sums.mutable_data<int32_t>();
  const int8_t* integer = matrix.data<int8_t>();
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t group = 0; group < groups; ++group, integer += group_size)
      out[group * padded_rows + row] = std::accumulate(integer, integer + group_size, int32_t{0});
  return sums;
}

}  // namespace

Tensor padded_matrix(const Tensor& matrix, const Sizes& sizes) {
  if (matrix.sizes() == sizes) return matrix;
  const Tensor rows = matrix.contiguous();
  if (rows.rank() != 2 || sizes.size() != 2 || rows.size(0) > sizes[0] || rows.size(1) > sizes[1]) throw_bug("padding to smaller sizes");
  Tensor result = Tensor::zeros(rows.dtype(), sizes);
  auto* out = static_cast<std::byte*>(result.mutable_raw());
  const auto* in = static_cast<const std::byte*>(rows.raw());
  const auto bytes = [&](int64_t elements) { return static_cast<size_t>(elements) * item_size(rows.dtype()); };
  for (int64_t row = 0; row < rows.size(0); ++row)
    std::memcpy(out + bytes(row * sizes[1]), in + bytes(row * rows.size(1)), bytes(rows.size(1)));
  return result;
}

Tensor packed(const Tensor& integers, int bits, First first, const Sizes& padded) {
  const Sizes& sizes = padded.empty() ? integers.sizes() : padded;
  if (sizes == integers.sizes())
    return computed_by_rows(integers, DType::uint8, packed_sizes(integers, bits, sizes),
                            [=](const Tensor& rows) { return packed_now(rows.for_one_use().contiguous(), bits, first); });
  return computed_from(integers, DType::uint8, packed_sizes(integers, bits, sizes), [=](const Tensor& source) {
    return packed_now(padded_matrix(source.for_one_use(), sizes).contiguous(), bits, first);
  });
}

PackedGroups packed_with_sums(const Tensor& integers, int bits, First first, const Sizes& padded, int64_t group_size) {
  const Sizes sums = {integers.size(1) / group_size, padded.at(0)};
  const std::vector<Tensor> made =
      computed_from(integers, {{DType::uint8, packed_sizes(integers, bits, padded)}, {DType::int32, sums}}, [=](const Tensor& source) {
        const Tensor rows = source.for_one_use().contiguous();
        return std::vector{packed_now(padded_matrix(rows, padded).contiguous(), bits, first), group_sums(rows, group_size, padded[0])};
      });
  return {made[0], made[1]};
}

}  // namespace intaglio::quant
