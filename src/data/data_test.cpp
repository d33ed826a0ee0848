#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include <intaglio/data.h>
#include <intaglio/error.h>

#include "data/npy.h"
#include "testing/errors.h"

namespace intaglio {
namespace {

using test::message_of;

namespace fs = std::filesystem;

std::vector<std::byte> bytes_of(const std::string& text) {
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

std::string npy(const std::string& dict, const std::string& data) {
  std::string text = std::string("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(dict.size() & 0xff);
  text += static_cast<char>(dict.size() >> 8);
  return text + dict + data;
}

Tensor read(const std::string& dict, const std::string& data) { return data::read_npy(bytes_of(npy(dict, data))); }

void expect_message(const std::string& message, const std::string& part) { EXPECT_NE(message.find(part), std::string::npos) << message; }

class Folder {
 public:
  Folder() {
    path = fs::temp_directory_path() / ("intaglio_data_test_" + std::to_string(getpid()));
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

TEST(Npy, ReadsWhatNumpyWrites) {
  const Tensor tensor =
      read("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 2), }\n", std::string("\x01\x00\xff\xff\x00\x01\x02\x00", 8));
  EXPECT_TRUE(bit_equal(tensor, Tensor::of<int16_t>({1, -1, 256, 2}, {2, 2})));
  const Tensor scalar = read("{'descr': '|u1', 'fortran_order': False, 'shape': (), }\n", "\x07");
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(scalar.item_as_int(), 7);
  EXPECT_EQ(read("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }\n", "").sizes(), (Sizes{0, 3}));
}

TEST(Npy, FortranOrderAndBigEndianAreConverted) {
  const Tensor columns = read("{'descr': '|i1', 'fortran_order': True, 'shape': (2, 3), }", "\x01\x04\x02\x05\x03\x06");
  EXPECT_TRUE(bit_equal(columns, Tensor::of<int8_t>({1, 2, 3, 4, 5, 6}, {2, 3})));
  const Tensor big = read("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", std::string("\x3f\xc0\0\0", 4));
  EXPECT_TRUE(bit_equal(big, Tensor::of<float>({1.5f}, {1})));
  const Tensor complex = read("{'descr': '>c8', 'fortran_order': False, 'shape': (1,), }", std::string("\x3f\xc0\0\0\xc0\0\0\0", 8));
  EXPECT_EQ(std::memcmp(complex.raw(), std::string("\0\0\xc0\x3f\0\0\0\xc0", 8).data(), 8), 0);
}

TEST(Npy, VoidOfTwoBytesIsBfloat16AndBoolsAreZeroOrOne) {
  const Tensor half = read("{'descr': '|V2', 'fortran_order': False, 'shape': (1,), }", "\x80\x3f");
  EXPECT_EQ(half.dtype(), DType::bfloat16);
  EXPECT_EQ(half.item_as_double(), 1.0);
  const Tensor flags = read("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", std::string("\x05\x00", 2));
  EXPECT_TRUE(bit_equal(flags, Tensor::of<bool>({true, false}, {2})));
}

TEST(Npy, RefusesWhatIsNoArrayOfNumbers) {
  struct Case {
    const char* dict;
    const char* data;
    const char* message;
  };
  const Case cases[] = {
      {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "12345678", "is not numeric"},
      {"{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }", "", "is not numeric"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "1234", "it holds records"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "1234", "needs 2 elements of 4 bytes, 4 bytes"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "12345", "needs 1 elements of 4 bytes, 5 bytes"},
      {"{'descr': '<f4', 'fortran_order': False, }", "", "is missing"},
      {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "1234", "descr is there twice"},
      {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "1234", "True or False expected"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "", "a size expected"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "", ""},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "", "a size expected"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", "1234", "unknown key 'x'"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } import os", "1234", "text after the dict"},
      {"{'descr': '<f4", "", "a string does not end"},
      {"{'descr': __import__('os')}", "", "a string expected"},
  };
  for (const auto& item : cases) expect_message(message_of([&] { read(item.dict, item.data); }), item.message);
  expect_message(message_of([] { data::read_npy(bytes_of("PK\x03\x04")); }), "not a NumPy file");
  expect_message(message_of([] { data::read_npy(bytes_of(std::string("\x93NUMPY\x09\x00  ", 10))); }), "9.0 is not known");
}

TEST(Npy, EveryTruncationAndByteChangeIsAnErrorOrAnArray) {
  const std::string good = npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }  \n", "12345678");
  for (size_t size = 0; size < good.size(); ++size) EXPECT_THROW(data::read_npy(bytes_of(good.substr(0, size))), Error) << size;
  for (size_t at = 0; at < good.size(); ++at)
    for (int value = 0; value < 256; ++value) {
      std::string bad = good;
      bad[at] = static_cast<char>(value);
      try {
        EXPECT_LE(data::read_npy(bytes_of(bad)).nbytes(), 16u);
      } catch (const Error& error) { EXPECT_EQ(error.kind(), ErrorKind::bad_input); }
    }
}

TEST(Npy, WritesNumpysOwnBytes) {
  const std::string header = data::make_npy_header(DType::float32, Sizes{3});
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_EQ(header.substr(10, 58), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), } ");
  EXPECT_EQ(data::make_npy_header(DType::boolean, Sizes{}).substr(10, 56), "{'descr': '|b1', 'fortran_order': False, 'shape': (), } ");
  EXPECT_EQ(data::make_npy_header(DType::bfloat16, Sizes{2, 3}).substr(10, 60),
            "{'descr': '|V2', 'fortran_order': False, 'shape': (2, 3), } ");
}

TEST(Npy, RoundTripThroughAFile) {
  Folder folder;
  const Tensor tensor = Tensor::of<double>({1, -2.5, std::numeric_limits<double>::infinity()}, {3, 1});
  write_npy(folder.path / "a.npy", tensor);
  const auto arrays = read_arrays(folder.path / "a.npy");
  ASSERT_EQ(arrays.size(), 1u);
  EXPECT_EQ(arrays[0].name, "arr_0");
  EXPECT_TRUE(bit_equal(arrays[0].tensor, tensor));
  expect_message(message_of([&] { read_arrays(folder.path / "b.npy"); }), "b.npy");
}

TEST(Npz, RoundTripInOrderWithTheSameBytes) {
  Folder folder;
  const std::vector<NamedArray> arrays{
      {"z", Tensor::of<float>({1, 2}, {2})}, {"a", Tensor::scalar<int64_t>(-7)}, {"empty", Tensor::zeros(DType::int8, {0, 4})}};
  write_npz(folder.path / "a.npz", arrays);
  write_npz(folder.path / "b.npz", arrays);
  const auto got = read_arrays(folder.path / "a.npz");
  ASSERT_EQ(got.size(), arrays.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].name, arrays[i].name);
    EXPECT_TRUE(bit_equal(got[i].tensor, arrays[i].tensor));
  }
  const auto contents = [&](const char* name) {
    std::ifstream in(folder.path / name, std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(in)), {});
  };
  EXPECT_EQ(contents("a.npz"), contents("b.npz"));
  std::string damaged = contents("a.npz");
  damaged[damaged.find("\x93NUMPY") + 130] ^= 1;  // an element of the first array
  expect_message(message_of([&] { read_arrays(bytes_of(damaged), "d.npz"); }), "d.npz: entry 'z.npy': entry 'z.npy' is damaged");
  expect_message(message_of([&] { write_npz(folder.path / "c.npz", std::vector<NamedArray>{arrays[0], arrays[0]}); }),
                 "two arrays are named 'z'");
}

TEST(Npz, OutputsAreNumberedWithoutGaps) {
  Folder folder;
  write_outputs(folder.path / "o.npz", std::vector<Tensor>{Tensor::scalar(1.0f), Tensor(), Tensor::scalar(2.0f)});
  const auto got = read_arrays(folder.path / "o.npz");
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[1].name, "arr_1");
  EXPECT_EQ(got[1].tensor.item_as_double(), 2);
}

TEST(Npz, EveryTruncationIsAnError) {
  Folder folder;
  write_npz(folder.path / "a.npz", std::vector<NamedArray>{{"x", Tensor::of<float>({1, 2}, {2})}});
  std::ifstream in(folder.path / "a.npz", std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  for (size_t size = 0; size < good.size(); ++size) EXPECT_THROW(read_arrays(bytes_of(good.substr(0, size)), "t.npz"), Error) << size;
}

TEST(Labels, AreIntegersInARow) {
  Folder folder;
  write_npy(folder.path / "l.npy", Tensor::of<int32_t>({3, 1, 2}, {3}));
  EXPECT_EQ(read_labels(folder.path / "l.npy"), (std::vector<int64_t>{3, 1, 2}));
  write_npy(folder.path / "f.npy", Tensor::of<float>({3, 1, 2}, {3}));
  expect_message(message_of([&] { read_labels(folder.path / "f.npy"); }), "one-dimensional array of integers expected");
}

InputSlot slot(const std::string& name, DType dtype, std::vector<std::pair<int64_t, int64_t>> sizes) {
  return {name, false, dtype, std::move(sizes)};
}

TEST(Binding, ByNameThenByNumber) {
  const std::vector<InputSlot> slots{
      slot("x", DType::float32, {{2, 2}}), {"k", true, DType::int64, {}}, slot("mask", DType::boolean, {{1, INT64_MAX}})};
  const Tensor x = Tensor::of<float>({1, 2}, {2}), mask = Tensor::of<bool>({true}, {1});
  Sample sample = bind_sample("s.npz", {{"arr_1", mask}, {"x", x}}, slots);
  EXPECT_TRUE(bit_equal(sample.inputs.at(0), x));
  EXPECT_FALSE(sample.inputs.at(1).defined());  // the exported value stays
  EXPECT_TRUE(bit_equal(sample.inputs.at(2), mask));
  sample = bind_sample("s.npz", {{"mask", mask}, {"x", x}, {"k", Tensor::scalar<int64_t>(5)}}, slots);
  EXPECT_EQ(sample.inputs.at(1).item_as_int(), 5);
  sample = bind_sample("s.npz", {{"mask", mask}, {"x", x}, {"k", Tensor::scalar<int16_t>(-3)}}, slots);
  EXPECT_TRUE(bit_equal(sample.inputs.at(1), Tensor::scalar<int64_t>(-3)));
  expect_message(message_of([&] { bind_sample("s.npz", {{"k", Tensor::scalar(2.5)}}, slots); }), "int64 number expected");
}

TEST(Binding, MessagesSayWhatWasExpectedAndFound) {
  const std::vector<InputSlot> slots{slot("x", DType::float32, {{1, 8}, {3, 3}})};
  const auto message = [&](std::vector<NamedArray> arrays) {
    return message_of([&] { bind_sample("cal/7.npz", std::move(arrays), slots); });
  };
  EXPECT_EQ(message({{"arr_0", Tensor::zeros(DType::float64, {2, 3})}}),
            "cal/7.npz: array 'arr_0': float32 [1 to 8, 3] expected, float64 [2, 3] found; convert it with "
            ".astype(\"float32\")");
  EXPECT_EQ(message({{"x", Tensor::zeros(DType::float32, {9, 3})}}),
            "cal/7.npz: array 'x': float32 [1 to 8, 3] expected, float32 [9, 3] found; reshape, resize or batch it so");
  EXPECT_EQ(message({}), "cal/7.npz: input 'x' (float32 [1 to 8, 3]) is missing; add an array of that name");
  EXPECT_EQ(message({{"y", Tensor::zeros(DType::float32, {2, 3})}}),
            "cal/7.npz: array 'y': the program has no such input; name it x or arr_i, or remove it");
  const Tensor good = Tensor::zeros(DType::float32, {1, 3});
  expect_message(message({{"x", good}, {"arr_0", good}}), "input 'x' is there twice");
  expect_message(message({{"x", Tensor::of<float>({1, NAN, 2}, {1, 3})}}), "array 'x': element 1 of 3 is NaN");
  EXPECT_EQ(message({{"x", Tensor::of<float>({1, -INFINITY, 2}, {1, 3})}}), "");
}

TEST(Binding, NanOfEveryFloatingType) {
  const auto message = [](const Tensor& tensor) {
    const std::vector<InputSlot> slots{slot("x", tensor.dtype(), {{3, 3}})};
    return message_of([&] { bind_sample("s.npy", {{"x", tensor}}, slots); });
  };
  for (DType dtype : {DType::float16, DType::bfloat16, DType::float32, DType::float64}) {
    expect_message(message(converted(Tensor::of<double>({1, -INFINITY, -NAN}, {3}), dtype)), "element 2 of 3 is NaN");
    EXPECT_EQ(message(converted(Tensor::of<double>({1, -INFINITY, INFINITY}, {3}), dtype)), "");
  }
}

TEST(SampleSource, FolderInByteOrder) {
  Folder folder;
  for (const char* name : {"b.npy", "a10.npy", "B.npy", "a2.npy", "\xc3\xa9.npy"})
    write_npy(folder.path / name, Tensor::of<float>({1}, {1}));
  std::ofstream(folder.path / "README.txt") << "not a sample";
  std::ofstream(folder.path / ".hidden.npy") << "not a sample";
  const SampleSource source(folder.path, {slot("x", DType::float32, {{1, 1}})});
  std::vector<std::string> names;
  for (size_t i = 0; i < source.size(); ++i) names.push_back(source.file(i).filename().string());
  EXPECT_EQ(names, (std::vector<std::string>{"B.npy", "a10.npy", "a2.npy", "b.npy", "\xc3\xa9.npy"}));
  EXPECT_EQ(source.load(1).inputs.at(0).item_as_double(), 1.0);
  const SampleSource single(folder.path / "b.npy", {slot("x", DType::float32, {{1, 1}})});
  EXPECT_EQ(single.size(), 1u);
}

TEST(SampleSource, NothingToRead) {
  Folder folder;
  expect_message(message_of([&] { SampleSource(folder.path, {}); }), "no sample in this folder");
  expect_message(message_of([&] { SampleSource(folder.path / "none", {}); }), "no such file or folder");
  std::ofstream(folder.path / "a.png") << "x";
  expect_message(message_of([&] { SampleSource(folder.path, {}); }), "images need --preprocess");
  const SampleSource source(folder.path, {}, Preprocess{});
  expect_message(message_of([&] { source.load(0); }), "a.png: not a JPEG or PNG image");
}

}  // namespace
}  // namespace intaglio
