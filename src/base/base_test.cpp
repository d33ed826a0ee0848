#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>

#include <intaglio/dtype.h>
#include <intaglio/error.h>
#include <intaglio/tensor.h>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/characters.h"
#include "base/crc32.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "base/thread_limit.h"
#include "base/threads.h"
#include "testing/errors.h"

namespace intaglio {
namespace {

using test::message_of;

std::filesystem::path scratch(const std::string& name) {
  const auto folder = std::filesystem::temp_directory_path() / ("intaglio_base_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  return folder / name;
}

TEST(Escaped, ControlCharactersAndBrokenUtf8AreShownAsHex) {
  EXPECT_EQ(escaped("plain é"), "plain é");
  EXPECT_EQ(escaped("a\nb\x1b[31m"), "a\\x0ab\\x1b[31m");
  EXPECT_EQ(escaped("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(escaped("\xe2\x80\xae"), "\\xe2\\x80\\xae");  // right-to-left override
  for (const char* hidden : {"\u2028", "\u2029", "\u061c", "\u200b", "\u200f", "\u2066", "\ufeff", "\u0085", "\u00ad", "\U000e0041"})
    EXPECT_TRUE(escaped(hidden).starts_with("\\x")) << escaped(hidden);
  EXPECT_EQ(escaped("नि\u200dष \u200c ü 漢 🙂"), "नि\u200dष \u200c ü 漢 🙂");
  EXPECT_EQ(with_hidden_escaped("{\n\"\x7f\u2028a\U000e0041\u00e9\xff\"}"), "{\n\"\\u007f\\u2028a\\udb40\\udc41\u00e9\xff\"}");
  EXPECT_EQ(escaped(std::string(300, 'x'), 10), "xxxxxxxxxx...");
}

TEST(Error, APlaceIsNamedOnce) {
  const auto in_model = [](const char* message) { return std::string(Error(ErrorKind::bad_input, message).with_context("m.pt2").what()); };
  EXPECT_EQ(in_model("it is damaged"), "m.pt2: it is damaged");
  EXPECT_EQ(in_model("m.pt2: it is damaged"), "m.pt2: it is damaged");
  EXPECT_EQ(in_model("layer 'a': m.pt2: it is damaged"), "layer 'a': m.pt2: it is damaged");
  EXPECT_EQ(in_model("shm.pt2: it is damaged"), "m.pt2: shm.pt2: it is damaged");
}

TEST(DType, PromotionFollowsPyTorch) {
  EXPECT_EQ(promote(DType::int64, DType::float16), DType::float16);
  EXPECT_EQ(promote(DType::uint8, DType::int8), DType::int16);
  EXPECT_EQ(promote(DType::boolean, DType::uint8), DType::uint8);
  EXPECT_EQ(promote(DType::float16, DType::bfloat16), DType::float32);
  EXPECT_EQ(promote(DType::complex64, DType::float64), DType::complex128);
  EXPECT_THROW(promote(DType::uint64, DType::int8), Error);
}

TEST(DType, HalfRoundTripsEveryPattern) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = half_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    ASSERT_EQ(float_to_half(value), bits);
  }
  EXPECT_EQ(float_to_half(65519.99f), 0x7BFF);
  EXPECT_EQ(float_to_half(65520.0f), 0x7C00);
  EXPECT_EQ(float_to_half(std::ldexp(1.0f, -25)), 0);  // half way to the smallest subnormal: to even
  EXPECT_EQ(float_to_bfloat16(1.00390625f), 0x3F80);   // half way: to even
  EXPECT_EQ(float_to_bfloat16(1.01171875f), 0x3F82);
}

TEST(Tensor, ViewsShareAndWritesCopy) {
  Tensor a = Tensor::of<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  const int64_t swap[] = {1, 0};
  const Tensor b = a.permuted(swap);
  EXPECT_EQ(b.sizes(), (Sizes{3, 2}));
  EXPECT_FALSE(b.is_contiguous());
  EXPECT_TRUE(b.is_dense());
  const Tensor dense = b.contiguous();
  EXPECT_EQ(std::vector<float>(dense.span<float>().begin(), dense.span<float>().end()), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  a.mutable_data<float>()[0] = 9;  // b keeps its values
  EXPECT_EQ(*b.data<float>(), 0.0f);
  EXPECT_EQ(a.narrowed(1, 0, 2, 2).contiguous().span<float>()[1], 2.0f);
}

TEST(Tensor, HostileViewsAreRefused) {
  const auto storage = Storage::allocate(16);
  EXPECT_THROW(Tensor(DType::float32, {5}, {1}, 0, storage), Error);
  EXPECT_THROW(Tensor(DType::float32, {2}, {4}, 0, storage), Error);
  EXPECT_THROW(Tensor(DType::float32, {1}, {1}, 4, storage), Error);
  EXPECT_THROW(Tensor(DType::float32, {1}, {1}, -1, storage), Error);
  EXPECT_THROW(Tensor(DType::float32, {2}, {-1}, 1, storage), Error);
  EXPECT_THROW(Tensor(DType::float32, {int64_t{1} << 62, 4}, {4, 1}, 0, storage), Error);
  EXPECT_THROW(Tensor(DType::float32, {int64_t{1} << 62}, {int64_t{1} << 62}, 0, storage), Error);
  EXPECT_NO_THROW(Tensor(DType::float32, {int64_t{1} << 40}, {0}, 3, storage));  // an expanded view
}

TEST(Tensor, NoElementsTakeNoMemory) {
  for (const int64_t wide : {int64_t{1} << 33, int64_t{1} << 60}) {
    const Tensor nothing = Tensor::zeros(DType::uint8, {0, wide, 1});
    EXPECT_EQ(nothing.sizes(), (Sizes{0, wide, 1}));
    EXPECT_EQ(nothing.storage()->size(), 0u);
  }
}

TEST(Tensor, ConversionTruncatesAndSaturatesNothing) {
  const Tensor x = Tensor::of<float>({-1.7f, 0.0f, 2.9f, 300.0f}, {4});
  const Tensor as_int = converted(x, DType::int32);
  EXPECT_EQ(as_int.span<int32_t>()[0], -1);
  EXPECT_EQ(as_int.span<int32_t>()[2], 2);
  EXPECT_EQ(converted(x, DType::uint8).span<uint8_t>()[3], 300 - 256);
  EXPECT_EQ(converted(x, DType::boolean).span<bool>()[1], false);
  EXPECT_EQ(converted(Tensor::scalar(int64_t{7}), DType::float64).item_as_double(), 7.0);
}

TEST(Tensor, DimOrderKeepsTies) {
  EXPECT_EQ(dim_order_of(Sizes{3, 1, 3, 3}), (std::vector<uint8_t>{0, 2, 3, 1}));
  EXPECT_EQ(strides_of_dim_order(Sizes{2, 3, 4, 5}, std::vector<uint8_t>{0, 2, 3, 1}), (Sizes{60, 1, 15, 3}));
}

TEST(Storage, CheckRunsOnceAndAgainAfterFailure) {
  static const std::byte bytes[4] = {};
  int calls = 0;
  const auto good = Storage::mapped(nullptr, bytes, [&](auto) { ++calls; });
  good->bytes();
  good->bytes();
  EXPECT_EQ(calls, 1);
  const auto bad = Storage::mapped(nullptr, bytes, [](auto) { throw_bad_input("damaged"); });
  EXPECT_THROW(bad->bytes(), Error);
  EXPECT_THROW(bad->bytes(), Error);
}

TEST(Storage, ReleasedPagesReadTheSame) {
  const auto path = scratch("pages");
  write_file_atomically(path, std::string(100000, 'x'));
  const auto file = MappedFile::open(path);
  const auto storage = Storage::mapped(file, file->bytes().subspan(10), {}, Storage::Backing::file);
  const auto count = [](const Storage& read, char c) { return std::count(read.bytes().begin(), read.bytes().end(), std::byte(c)); };
  EXPECT_EQ(count(*Storage::for_one_use(storage), 'x'), 100000 - 10);
  EXPECT_EQ(count(*storage, 'x'), 100000 - 10);
  std::vector<std::byte> memory(100000, std::byte{'y'});  // would be lost
  const auto held = Storage::mapped(nullptr, memory);
  EXPECT_EQ(Storage::for_one_use(held), held);
  EXPECT_EQ(count(*held, 'y'), 100000);
  std::filesystem::remove_all(path.parent_path());
}

TEST(Storage, ComputedBytesAreKeptOnlyForLastingReaders) {
  int calls = 0;
  const Tensor source = Tensor::of<float>({1, 2, 3}, {3});
  const auto storage = Storage::computed(3 * sizeof(float), [&] {
    ++calls;
    return source.clone().storage();
  });
  Tensor tensor(DType::float32, {2}, {2}, 0, storage);
  EXPECT_EQ(calls, 0);
  std::weak_ptr<Storage> passing;
  {
    const Tensor once = tensor.for_one_use();
    passing = once.storage();
    EXPECT_EQ(once.contiguous().span<float>()[1], 3.0f);
  }
  EXPECT_TRUE(passing.expired());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(tensor.data<float>(), tensor.data<float>());  // stays where it is
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(tensor.for_one_use().data<float>(), tensor.data<float>());
  EXPECT_EQ(calls, 2);
  tensor.mutable_data<float>()[0] = 7;  // its own copy
  EXPECT_EQ(Tensor(DType::float32, {3}, {1}, 0, storage).span<float>()[0], 1.0f);
}

TEST(Storage, ComputationThatFailsRunsAgain) {
  bool fails = true;
  const auto storage = Storage::computed(4, [&] {
    if (fails) throw_bad_input("damaged");
    return Storage::allocate(4);
  });
  EXPECT_THROW(storage->bytes(), Error);
  EXPECT_THROW(Storage::for_one_use(storage), Error);
  fails = false;
  EXPECT_EQ(storage->bytes().size(), 4u);
  EXPECT_NE(message_of([] { Storage::computed(4, [] { return Storage::allocate(5); })->bytes(); }).find("another size"), std::string::npos);
}

TEST(ByteReader, NamesThePlaceOfACut) {
  const std::byte bytes[3] = {};
  ByteReader reader(bytes, "header");
  reader.read<uint16_t>();
  EXPECT_EQ(message_of([&] { reader.read<uint32_t>(); }), "header is cut short: 4 bytes are needed at offset 2, 1 are there");
}

TEST(MappedFile, SaysWhatIsWrong) {
  EXPECT_NE(message_of([] { MappedFile::open("/nowhere/x.pt2"); }).find("no such file"), std::string::npos);
  EXPECT_NE(message_of([] { MappedFile::open("/tmp"); }).find("is a directory"), std::string::npos);
}

TEST(AtomicFile, LeavesTheTargetAloneUntilCommit) {
  const auto path = scratch("target");
  write_file_atomically(path, "old");
  {
    AtomicFile file(path);
    file.write("new");
  }
  std::string text;
  std::getline(std::ifstream(path), text);
  EXPECT_EQ(text, "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}), 1);
  {
    AtomicFile file(path);
    file.write("new");
    file.write(std::string(997, 'x'));
    EXPECT_EQ(file.position(), 1000u);
    file.commit();
  }
  EXPECT_EQ(std::filesystem::file_size(path), 1000u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}), 1);
  EXPECT_NE(message_of([] { AtomicFile("/nowhere/x"); }).find("the folder must exist"), std::string::npos);
  EXPECT_NE(message_of([&] { AtomicFile(path.parent_path() / std::string(300, 'x')); }).find("choose a shorter name"), std::string::npos);
  std::filesystem::remove_all(path.parent_path());
}

TEST(AtomicFile, OverwritesWhatWasWritten) {
  const auto path = scratch("overwritten");
  AtomicFile file(path);
  file.write("one two ");
  file.overwrite(4, std::as_bytes(std::span("2", 1)));
  file.write("three");
  EXPECT_EQ(file.position(), 13u);
  file.commit();
  std::string text;
  std::getline(std::ifstream(path), text);
  EXPECT_EQ(text, "one 2wo three");
  std::filesystem::remove_all(path.parent_path());
}

TEST(Crc32, EqualsZlibAtEveryLength) {
  std::vector<std::byte> bytes(700);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i * 31 + i / 7);
  for (size_t length = 0; length < 600; ++length)
    for (const size_t start : {0, 1, 13}) {
      const std::span<const std::byte> part = std::span(bytes).subspan(start, length);
      ASSERT_EQ(crc32_of(part), ::crc32(0, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(length)));
    }
}

TEST(Sha256, KnownDigests) {
  EXPECT_EQ(lowercase_hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string_view text = "abc";
  EXPECT_EQ(lowercase_hex(sha256(std::as_bytes(std::span(text)))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ParallelFor, VisitsEachIndexOnceAndReportsTheFirstFailure) {
  std::vector<int> seen(1000);
  parallel_for(seen.size(), 4, [&](size_t i) { ++seen[i]; });
  EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), 1000);
  EXPECT_EQ(*std::min_element(seen.begin(), seen.end()), 1);
  for (const int threads : {1, 4})
    EXPECT_EQ(message_of([&] {
                parallel_for(100, threads, [](size_t i) {
                  if (i % 10 == 7) throw_bad_input(std::to_string(i));
                });
              }),
              "7");
}

TEST(ThreadLimit, StandsForTheProcessorsWhileItLives) {
  const int all = thread_count(0);
  {
    const ThreadLimit limit(3);
    EXPECT_EQ(thread_count(0), 3);
    EXPECT_EQ(thread_count(5), 5);
    {
      const ThreadLimit none(0), inner(2);
      EXPECT_EQ(thread_count(0), 2);
    }
    EXPECT_EQ(thread_count(0), 3);
  }
  EXPECT_EQ(thread_count(0), all);
}

}  // namespace
}  // namespace intaglio
