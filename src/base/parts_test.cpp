// Tensors whose bytes stand at any address, and tensors that are read in parts.
#include "base/parts.h"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include <intaglio/blob.h>

namespace intaglio {
namespace {

// Records of an archive may start at any byte of it.
struct Unaligned {
  explicit Unaligned(const std::vector<float>& values) : file(1 + values.size() * sizeof(float)) {
    std::memcpy(file.data() + 1, values.data(), values.size() * sizeof(float));
  }
  std::shared_ptr<Storage> storage() const { return Storage::unaligned(Storage::mapped(nullptr, std::span(file).subspan(1))); }
  std::vector<std::byte> file;
};

TEST(Storage, UnalignedBytesAreReadWhereTheyLieAndCopiedForElements) {
  const std::vector<float> values = {1.5f, -2.0f, 3.25f, 4.0f, 0.5f, -6.0f};
  const Unaligned bytes(values);
  const Tensor tensor(DType::float32, {2, 3}, {3, 1}, 0, bytes.storage());
  EXPECT_EQ(tensor.as_it_lies().raw(), bytes.file.data() + 1);
  EXPECT_EQ(Blob(tensor).bytes(), std::vector<std::byte>(bytes.file.begin() + 1, bytes.file.end()));
  const Tensor once = tensor.for_one_use();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(once.raw()) % 16, 0u);
  EXPECT_TRUE(std::ranges::equal(once.span<float>(), values));
  EXPECT_TRUE(bit_equal(tensor, Tensor::of<float>(std::span<const float>(values), {2, 3})));
  const std::vector<int64_t> swapped = {1, 0};
  const std::vector<float> transposed = {1.5f, 4.0f, -2.0f, 0.5f, 3.25f, -6.0f};
  EXPECT_TRUE(std::ranges::equal(tensor.permuted(swapped).contiguous().span<float>(), transposed));
}

TEST(Parts, RowsOfALargeTensorInOrderEachAtAnAlignedAddress) {
  constexpr int64_t rows = 1001, columns = 3000;  // 12 MB
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 9973) - 4000;
  const Unaligned bytes(values);
  const Tensor tensor(DType::float32, {rows, columns}, {columns, 1}, 0, bytes.storage());
  ASSERT_TRUE(is_read_in_parts(tensor));
  int64_t next = 0, parts = 0;
  for_each_part(tensor, [&](int64_t first, const Tensor& part) {
    ASSERT_EQ(first, next);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(part.raw()) % sizeof(float), 0u);
    const auto expected = std::span(values).subspan(static_cast<size_t>(first * columns), static_cast<size_t>(part.numel()));
    EXPECT_TRUE(std::ranges::equal(part.span<float>(), expected));
    next += part.size(0);
    ++parts;
  });
  EXPECT_EQ(next, rows);
  EXPECT_GT(parts, 1);
}

}  // namespace
}  // namespace intaglio
