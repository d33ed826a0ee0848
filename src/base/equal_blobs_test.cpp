#include "base/equal_blobs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <string>

#include "base/computed.h"
#include "testing/counted_blob.h"

namespace intaglio {
namespace {

TEST(EqualBlobs, OnlyEntriesOfOneSizeAreLookedAt) {
  int unique = 0;
  const std::vector<Blob> entries = {Blob("ab"), test::counted_blob("abc", unique), Blob("xy"), Blob("ab"), Blob(), Blob()};
  EXPECT_EQ(first_equal(entries), (std::vector<size_t>{0, 1, 2, 0, 4, 4}));
  EXPECT_EQ(unique, 0);
}

// Weights as of a mapped file and what is made of their rows: each byte plus one, and for each row its first byte.
class Weights {
 public:
  static constexpr int64_t rows = 3000, columns = 1024;

  Weights(uint8_t first, uint8_t last, std::optional<uint32_t> checksum = {}) {
    Tensor owned = Tensor::zeros(DType::uint8, {rows, columns});
    owned.mutable_data<uint8_t>()[0] = first;
    owned.mutable_data<uint8_t>()[rows * columns - 1] = last;
    const auto file = Storage::mapped(owned.storage(), owned.storage()->bytes());
    if (checksum) file->came_with(*checksum);
    const Tensor mapped(DType::uint8, {rows, columns}, {columns, 1}, 0, file);
    results_ = computed_by_rows(mapped, {{DType::uint8, {rows, columns}}, {DType::int32, {rows, 1}}}, [this](const Tensor& part, int64_t) {
      Tensor next = part.clone(), firsts = Tensor::empty(DType::int32, {part.size(0), 1});
      for (int64_t i = 0; i < next.numel(); ++i) ++next.mutable_data<uint8_t>()[i];
      for (int64_t i = 0; i < part.size(0); ++i) firsts.mutable_data<int32_t>()[i] = part.data<uint8_t>()[i * columns];
      rows_made_ += part.size(0);
      return std::vector{next, firsts};
    });
  }
  Blob next() const { return Blob(results_[0]); }
  Blob firsts() const { return Blob(results_[1]); }
  // Made of a result by rows, too.
  Blob doubled() const {
    return Blob(computed_by_rows(results_[1], DType::int32, {rows, 1}, [](const Tensor& part) {
      Tensor twice = part.clone();
      for (int64_t i = 0; i < twice.numel(); ++i) twice.mutable_data<int32_t>()[i] *= 2;
      return twice;
    }));
  }
  int64_t take_rows_made() { return rows_made_.exchange(0); }

 private:
  std::vector<Tensor> results_;
  std::atomic<int64_t> rows_made_ = 0;
};

TEST(EqualBlobs, ComputedOnesThatStartOtherwiseAreNotComputed) {
  Weights one(1, 0, 7), other(5, 0, 8);
  const std::vector<Blob> blobs = {one.next(), other.next(), one.firsts(), other.firsts(), one.doubled(), other.doubled()};
  const std::vector<Sha256> names = names_of(blobs);
  for (size_t i = 0; i < names.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(names[i], names[j]) << i << ' ' << j;
  EXPECT_EQ(first_equal(blobs), (std::vector<size_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_LT(one.take_rows_made() + other.take_rows_made(), 2 * Weights::rows);
}

TEST(EqualBlobs, ComputedOnesThatStartAlikeAreComparedToTheEnd) {
  Weights one(1, 2), same(1, 2), other(1, 3);
  const std::vector<Sha256> names = names_of({one.next(), same.next(), other.next(), one.firsts(), same.firsts(), other.firsts()});
  EXPECT_EQ(names[0], names[1]);
  EXPECT_NE(names[0], names[2]);
  EXPECT_EQ(names[3], names[4]);
  EXPECT_EQ(names[3], names[5]);
  EXPECT_EQ(names[0], one.next().digest());
  EXPECT_EQ(names_of({one.next()})[0], one.next().digest());
}

// A runtime that holds two programs shares what has one name.
TEST(EqualBlobs, NamesAreOfAllThatTheFileHas) {
  const auto name = [](const Weights& weights) { return names_of({weights.next()})[0]; };
  EXPECT_EQ(name({1, 2, 7}), name({1, 2, 7}));
  EXPECT_NE(name({1, 2, 7}), name({1, 3, 8}));
  EXPECT_NE(name({1, 2, 7}), Weights(1, 2, 7).next().digest());
}

TEST(EqualBlobs, OneThatIsThereEqualsOneThatIsComputed) {
  const Weights weights(1, 2);
  const Blob copy(weights.next().bytes());
  EXPECT_EQ(first_equal({weights.next(), copy}), (std::vector<size_t>{0, 0}));
}

TEST(EqualBlobs, StartsOfViewsAreTheirOwn) {
  Tensor owned = Tensor::zeros(DType::uint8, {4 << 20});
  owned.mutable_data<uint8_t>()[2 << 20] = 1;
  const Blob low(owned.narrowed(0, 0, 2 << 20)), high(owned.narrowed(0, 2 << 20, 2 << 20));
  EXPECT_TRUE(low.has_start());
  EXPECT_NE(low.start_digest(), high.start_digest());
  EXPECT_EQ(high.start_digest(), Blob(high.bytes()).start_digest());
}

}  // namespace
}  // namespace intaglio
