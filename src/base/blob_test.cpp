#include <intaglio/blob.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <string>

#include <intaglio/error.h>

#include "base/computed.h"
#include "base/sha256.h"
#include "base/threads.h"
#include "testing/errors.h"

namespace intaglio {
namespace {

using test::refusal_of;

std::string text_of(const Blob& blob) {
  const std::vector<std::byte> bytes = blob.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Blob, HoldsBytesTextAndTensors) {
  EXPECT_EQ(Blob().size(), 0u);
  EXPECT_EQ(Blob().bytes().size(), 0u);
  EXPECT_EQ(text_of(Blob("abc")), "abc");
  EXPECT_EQ(Blob(std::vector<std::byte>{std::byte{7}}).bytes(), std::vector<std::byte>{std::byte{7}});
  const Tensor matrix = Tensor::of<uint8_t>({1, 2, 3, 4, 5, 6}, {3, 2});
  EXPECT_EQ(text_of(Blob(matrix)), "\1\2\3\4\5\6");
  EXPECT_EQ(text_of(Blob(matrix.narrowed(0, 1, 1))), "\3\4");
  EXPECT_EQ(text_of(Blob(matrix.storage())), "\1\2\3\4\5\6");
  EXPECT_EQ(Blob(Tensor::scalar(1.0f)).size(), 4u);
  EXPECT_EQ(Blob(Tensor::empty(DType::float32, {0, 3})).size(), 0u);
  EXPECT_EQ(refusal_of(ErrorKind::bug, [&] { Blob(matrix.narrowed(1, 0, 1)); }), "a tensor whose bytes are written is not contiguous");
}

TEST(Blob, PiecesStandAtTheirOffsetsBetweenZeros) {
  const Blob blob = Blob::of_pieces({{0, Blob("ab")}, {4, Blob("c")}, {5, Blob("d")}}, 8);
  EXPECT_EQ(text_of(blob), std::string("ab\0\0cd\0\0", 8));
  EXPECT_EQ(text_of(Blob::of_pieces({{300, blob}}, 308)), std::string(300, '\0') + text_of(blob));
  EXPECT_EQ(refusal_of(ErrorKind::bug, [] { Blob::of_pieces({{0, Blob("ab")}, {1, Blob("c")}}, 8); }),
            "a piece at 1 stands before the last one's end, 2");
  EXPECT_EQ(refusal_of(ErrorKind::bug, [] { Blob::of_pieces({{2, Blob("ab")}}, 3); }), "pieces end at 4, behind the end at 3");
}

TEST(Blob, DigestsAreThoseOfTheBytesAndComputedOnce) {
  EXPECT_EQ(lowercase_hex(Blob("abc").digest()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Blob().digest(), Blob("").digest());
  std::atomic<int> calls = 0;
  const Blob blob(6, [&](const Blob::Sink& sink) {
    ++calls;
    for (int i = 0; i < 2; ++i) sink(std::as_bytes(std::span("abc", 3)));
  });
  const Blob copy = blob;
  parallel_for(8, 4, [&](size_t i) { EXPECT_EQ((i % 2 == 0 ? blob : copy).digest(), Blob("abcabc").digest()); });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(text_of(blob), "abcabc");
  EXPECT_EQ(calls, 2);
}

TEST(Blob, ProducersKeepTheirWord) {
  const auto producer = [](std::string_view text) {
    return Blob(3, [text](const Blob::Sink& sink) { sink(std::as_bytes(std::span(text))); });
  };
  EXPECT_EQ(refusal_of(ErrorKind::bug, [&] { producer("ab").bytes(); }), "a producer of 3 bytes gives 1 too few");
  EXPECT_EQ(refusal_of(ErrorKind::bug, [&] { producer("abcd").digest(); }), "a producer of 3 bytes gives more");
  bool fails = true;
  const Blob blob(1, [&](const Blob::Sink& sink) {
    if (fails) throw_bug("damaged");
    sink(std::as_bytes(std::span("x", 1)));
  });
  EXPECT_EQ(refusal_of(ErrorKind::bug, [&] { blob.digest(); }), "damaged");
  fails = false;
  EXPECT_EQ(blob.digest(), Blob("x").digest());
}

TEST(Blob, KeepsNoComputedBytes) {
  int calls = 0;
  const auto storage = Storage::computed(3, [&] {
    ++calls;
    return Tensor::of<uint8_t>({'a', 'b', 'c'}, {3}).storage();
  });
  const Blob blob(storage);
  EXPECT_EQ(blob.size(), 3u);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(blob.digest(), Blob("abc").digest());
  EXPECT_EQ(text_of(blob), "abc");
  EXPECT_EQ(calls, 2);
}

TEST(ComputedFrom, ComputesLargeTensorsAtEachReadWhereThatSavesMemory) {
  constexpr int64_t size = 1 << 20;
  int calls = 0;
  const auto next = [&](const Tensor& source) {
    ++calls;
    Tensor result = source.clone();
    for (int64_t i = 0; i < result.numel(); ++i) ++result.mutable_data<uint8_t>()[i];
    return result;
  };
  const Tensor owned = Tensor::zeros(DType::uint8, {size});
  const Tensor mapped(DType::uint8, {size}, {1}, 0, Storage::mapped(owned.storage(), owned.storage()->bytes()));

  const Tensor now = computed_from(owned, DType::uint8, {size}, next);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(now.data<uint8_t>()[9], 1);
  const Tensor small = computed_from(mapped.narrowed(0, 1, 10), DType::uint8, {10}, next);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(small.data<uint8_t>()[9], 1);
  EXPECT_EQ(calls, 2);

  const Tensor once = computed_from(mapped, DType::uint8, {size}, next), twice = computed_from(once, DType::uint8, {size}, next);
  calls = 0;
  EXPECT_EQ(twice.clone().data<uint8_t>()[9], 2);  // copying is one use
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(bit_equal(once, now));
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(once.data<uint8_t>()[9], 1);  // kept from here on
  EXPECT_EQ(once.clone().data<uint8_t>()[9], 1);
  EXPECT_EQ(calls, 4);

  // However small: it is read when its source is.
  const Tensor few =
      computed_from(twice, DType::uint8, {10}, [](const Tensor& source) { return source.for_one_use().narrowed(0, 0, 10).clone(); });
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(few.clone().data<uint8_t>()[9], 2);
  EXPECT_EQ(calls, 5);
}

// Memory holds parts: of the source, of what is made of it, and of what is made of that.
TEST(ComputedByRows, GoOverTheirSourceInParts) {
  constexpr int64_t rows = 3001, columns = 2000;
  const Tensor owned = Tensor::zeros(DType::uint8, {rows, columns});
  auto* values = reinterpret_cast<uint8_t*>(owned.storage()->writable());
  for (int64_t i = 0; i < owned.numel(); ++i) values[i] = static_cast<uint8_t>(i * 31 % 251);
  const Tensor mapped(DType::uint8, {rows, columns}, {columns, 1}, 0, Storage::mapped(owned.storage(), owned.storage()->bytes()));
  int64_t longest = 0, computed = 0;
  const std::vector<Tensor> made =
      computed_by_rows(mapped, {{DType::uint8, {rows, columns}}, {DType::uint8, {rows, 1}}}, [&](const Tensor& part, int64_t first) {
        longest = std::max(longest, part.size(0));
        computed += part.size(0);
        EXPECT_EQ(part.data<uint8_t>()[0], values[first * columns]);
        return std::vector<Tensor>{part.clone(), part.narrowed(1, 7, 1).contiguous()};
      });
  const Tensor next = computed_by_rows(made[0], DType::uint8, {rows, columns / 2},
                                       [](const Tensor& part) { return part.narrowed(1, 0, columns / 2).contiguous(); });
  const Blob blob(next);
  const std::vector<std::byte> bytes = blob.bytes();
  EXPECT_LT(longest, rows);
  EXPECT_EQ(computed, rows);
  for (int64_t row = 0; row < rows; row += 100)
    EXPECT_EQ(bytes[static_cast<size_t>(row * columns / 2 + 9)], std::byte{values[row * columns + 9]});
  EXPECT_EQ(made[1].clone().data<uint8_t>()[2999], values[2999 * columns + 7]);  // kept while the first was read
  EXPECT_EQ(computed, rows);
  EXPECT_EQ(made[1].clone().data<uint8_t>()[2998], values[2998 * columns + 7]);  // in parts again
  EXPECT_EQ(computed, 2 * rows);
  EXPECT_LT(longest, rows);
  EXPECT_TRUE(bit_equal(made[0], owned));  // whole, where somebody wants it so
  EXPECT_EQ(longest, rows);

  // From several threads, large pieces and the small ones behind them.
  const Blob file =
      Blob::of_pieces({{0, Blob("head")}, {128, blob}, {128 + bytes.size() + 1, Blob("tail")}, {4 << 20, Blob(owned)}}, 11 << 20);
  std::vector<std::byte> written(file.size());
  file.write_in_place(
      [&](uint64_t offset, std::span<const std::byte> part) { std::ranges::copy(part, written.begin() + static_cast<int64_t>(offset)); },
      3);
  EXPECT_EQ(written, file.bytes());
}

TEST(ComputedFrom, ReadInOrderSeveralTensorsAreComputedOnce) {
  constexpr int64_t size = 1 << 20;
  const Tensor owned = Tensor::zeros(DType::uint8, {size});
  const Tensor mapped(DType::uint8, {size}, {1}, 0, Storage::mapped(owned.storage(), owned.storage()->bytes()));
  int calls = 0;
  const std::vector<Tensor> made =
      computed_from(mapped, {{DType::uint8, {size}}, {DType::uint8, {2}}, {DType::uint8, {1}}}, [&](const Tensor& source) {
        ++calls;
        return std::vector<Tensor>{source.clone(), Tensor::of<uint8_t>({3, 4}, {2}), Tensor::of<uint8_t>({5}, {1})};
      });
  EXPECT_EQ(calls, 0);
  for (int round = 1; round <= 2; ++round) {
    EXPECT_EQ(made[0].clone().numel(), size);
    EXPECT_EQ(made[1].clone().data<uint8_t>()[1], 4);
    EXPECT_EQ(made[2].clone().data<uint8_t>()[0], 5);
    EXPECT_EQ(calls, round);
  }
  EXPECT_EQ(made[1].clone().data<uint8_t>()[0], 3);  // nothing is kept of it now
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace intaglio
