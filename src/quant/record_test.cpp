// Bit-for-bit comparison with what torch and torchao computed: tests/records/observers/*.txt, made by
// tests/make_records/observers.py, which describes the format.
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <intaglio/quantization.h>

#include "quant/affine.h"
#include "quant/histogram.h"
#include "quant/kernels/kernels.h"
#include "testing/source_dir.h"

namespace intaglio::quant {
namespace {

struct Line {
  int number = 0;
  std::string word;
  std::map<std::string, std::string> keys;

  bool has(const std::string& key) const { return keys.contains(key); }
  const std::string& text(const std::string& key) const { return keys.at(key); }
  int64_t integer(const std::string& key) const { return std::stoll(keys.at(key)); }
  float float32(const std::string& key) const {
    return std::bit_cast<float>(static_cast<uint32_t>(std::stoul(keys.at(key).substr(1), nullptr, 16)));
  }
  double float64(const std::string& key) const {
    return std::bit_cast<double>(static_cast<uint64_t>(std::stoull(keys.at(key).substr(1), nullptr, 16)));
  }
};

// tests/test_observers.py has other records read, made on the day.
const char* other_records() { return std::getenv("INTAGLIO_OBSERVER_RECORDS"); }

std::vector<Line> read_lines(const std::string& name) {
  const std::string folder = other_records() ? other_records() : (test::source_dir() / "tests/records/observers").string();
  std::ifstream file(folder + "/" + name);
  EXPECT_TRUE(file.good()) << name;
  std::vector<Line> lines;
  std::string text;
  while (std::getline(file, text)) {
    std::istringstream words(text);
    Line line{.number = static_cast<int>(lines.size()) + 1};
    words >> line.word;
    std::string pair;
    while (words >> pair) line.keys[pair.substr(0, pair.find('='))] = pair.substr(pair.find('=') + 1);
    lines.push_back(std::move(line));
  }
  return lines;
}

template <typename T>
std::string hash_of(std::span<const T> values) {
  uint64_t hash = 0xCBF29CE484222325;
  for (std::byte byte : std::as_bytes(values)) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001B3;
  std::array<char, 20> text;
  std::snprintf(text.data(), text.size(), "h%016llx", static_cast<unsigned long long>(hash));
  return text.data();
}
template <typename T>
std::string hash_of(const std::vector<T>& values) {
  return hash_of(std::span<const T>(values));
}
std::string hash_of(const Tensor& tensor) {
  const Tensor x = tensor.contiguous();
  return hash_of(std::span(static_cast<const std::byte*>(x.raw()), x.nbytes()));
}
std::string bits_of(float value) {
  std::array<char, 12> text;
  std::snprintf(text.data(), text.size(), "f%08x", std::bit_cast<uint32_t>(value));
  return text.data();
}
std::string bits_of(double value) {
  std::array<char, 20> text;
  std::snprintf(text.data(), text.size(), "d%016llx", std::bit_cast<unsigned long long>(value));
  return text.data();
}

// The script's `uniform`.
float uniform(uint32_t seed, uint32_t index, uint32_t stream) {
  uint32_t h = index * 0x9E3779B1u + (seed * 8 + stream);
  h = (h ^ (h >> 16)) * 0x85EBCA6Bu;
  h = (h ^ (h >> 13)) * 0xC2B2AE35u;
  h ^= h >> 16;
  return static_cast<float>(h >> 8) * 0x1p-24f;
}

// The script's `values`.
float value_of(const std::string& kind, uint32_t seed, uint32_t i, float a, float b) {
  const auto u = [&](uint32_t stream) { return uniform(seed, i, stream); };
  const auto bell = [&] { return ((u(0) + u(1)) + (u(2) + u(3)) - 2.0f) * a + b; };
  constexpr float infinity = std::numeric_limits<float>::infinity();
  if (kind == "uniform") return u(0) * (b - a) + a;
  if (kind == "constant") return a;
  if (kind == "two") return u(0) < 0.5f ? a : b;
  if (kind == "bell") return bell();
  if (kind == "relu") return std::max(bell(), 0.0f);
  if (kind == "relu6") return std::min(std::max(bell(), 0.0f), 6.0f);
  if (kind == "tail") {
    const float c = u(0) * u(0) * u(0);
    return (c * c * c) * a + b;
  }
  if (kind == "outliers") return i % 997 == 5 ? bell() * 40.0f : bell();
  if (kind == "infinities") return i % 11 == 3 ? infinity : i % 13 == 4 ? -infinity : bell();
  ADD_FAILURE() << "unknown input kind " << kind;
  return 0.0f;
}

Tensor input_of(const Line& line) {
  Sizes sizes;
  if (line.text("shape") != "scalar") {
    std::istringstream shape(line.text("shape"));
    std::string size;
    while (std::getline(shape, size, 'x')) sizes.push_back(std::stoll(size));
  }
  Tensor tensor = Tensor::empty(DType::float32, sizes);
  float* values = tensor.mutable_data<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = value_of(line.text("kind"), static_cast<uint32_t>(line.integer("seed")), static_cast<uint32_t>(i), line.float32("a"),
                         line.float32("b"));
  }
  EXPECT_EQ(hash_of(tensor), line.text("bytes")) << "the input of line " << line.number << " is not the recorded one";
  return tensor;
}

std::unique_ptr<Observer> observer_of(const Line& line) {
  static const std::map<std::string, ObserverFactory> factories = {
      {"histogram", histogram_observer()},
      {"min_max", min_max_observer()},
      {"per_channel_min_max", per_channel_min_max_observer()},
      {"moving_average_min_max", moving_average_min_max_observer()},
      {"moving_average_per_channel_min_max", moving_average_per_channel_min_max_observer()},
  };
  static const std::map<std::string, QScheme> schemes = {{"per_tensor_affine", QScheme::per_tensor_affine},
                                                         {"per_tensor_symmetric", QScheme::per_tensor_symmetric},
                                                         {"per_channel_affine", QScheme::per_channel_affine},
                                                         {"per_channel_symmetric", QScheme::per_channel_symmetric}};
  ObserverSettings settings{
      .dtype = dtype_from_name(line.text("dtype")).value(), .qscheme = schemes.at(line.text("qscheme")), .eps = line.float64("eps")};
  if (line.has("quant_min")) settings.quant_min = line.integer("quant_min");
  if (line.has("quant_max")) settings.quant_max = line.integer("quant_max");
  if (line.has("axis")) settings.ch_axis = line.integer("axis");
  return factories.at(line.text("observer")).make(settings);
}

void expect_statistics(const Observer& observer, const Line& line) {
  const ObservedStatistics statistics = observer.statistics();
  EXPECT_EQ(hash_of(statistics.min), line.text("min"));
  EXPECT_EQ(hash_of(statistics.max), line.text("max"));
  if (line.has("histogram") && line.text("histogram") != "none") { EXPECT_EQ(hash_of(statistics.histogram), line.text("histogram")); }
  const QuantParams params = observer.calculate_qparams();
  EXPECT_EQ(bits_of(static_cast<float>(params.scale[0])), line.text("first_scale"));
  EXPECT_EQ(params.zero_point[0], line.integer("first_zero_point"));
  EXPECT_EQ(hash_of(std::vector<float>(params.scale.begin(), params.scale.end())), line.text("scale"));
  EXPECT_EQ(hash_of(params.zero_point), line.text("zero_point"));
}

// A sequence, watched by one observer for each instruction set: all must give torchao's bits.
struct Watched {
  const Kernels* kernels;
  std::unique_ptr<Observer> observer;
  Histogram histogram;

  void observe(const Tensor& tensor) {
    const KernelOverride chosen(*kernels);
    observer->observe(tensor);
    if (observer->kind() == "histogram") histogram.observe(tensor.span<float>());
  }
  void expect_error(const Line& line) const {
    const KernelOverride chosen(*kernels);
    const int64_t levels = int64_t{1} << (8 * item_size(observer->settings().dtype));
    const int first = static_cast<int>(line.integer("first")), last = static_cast<int>(line.integer("last"));
    EXPECT_EQ(bits_of(histogram.quantization_error(first, last, levels)), line.text("error")) << kernels->name;
  }
  void expect(const Line& line) const {
    const KernelOverride chosen(*kernels);
    SCOPED_TRACE(kernels->name);
    expect_statistics(*observer, line);
  }
};

TEST(Record, Observers) {
  std::vector<Watched> all;
  std::string name;
  int sequences = 0, errors = 0;
  for (const Line& line : read_lines("observers.txt")) {
    if (line.word == "sequence") name = line.text("name");
    SCOPED_TRACE(name + ", line " + std::to_string(line.number));
    if (line.word == "sequence") {
      all.clear();
      for (const Kernels* set : available_kernels()) all.push_back({set, observer_of(line), {}});
    } else if (line.word == "input") {
      const Tensor tensor = input_of(line);
      for (Watched& one : all) one.observe(tensor);
    } else if (line.word == "error") {
      for (const Watched& one : all) one.expect_error(line);
      ++errors;
    } else {
      ASSERT_EQ(line.word, "expect");
      for (const Watched& one : all) one.expect(line);
      ++sequences;
    }
  }
  EXPECT_GE(sequences, other_records() ? 1 : 100);
  EXPECT_GE(errors, other_records() ? 1 : 600);
}

TEST(Record, Primitives) {
  Tensor input;
  for (const Line& line : read_lines("primitives.txt")) {
    SCOPED_TRACE("line " + std::to_string(line.number));
    if (line.word == "input") {
      input = input_of(line);
      continue;
    }
    std::vector<float> magnitudes;
    if (input.defined()) {
      for (float value : input.span<float>()) magnitudes.push_back(std::fabs(value));
    }
    for (const Kernels* set : available_kernels()) {
      SCOPED_TRACE(set->name);
      if (line.word == "linspace") {
        std::vector<float> values(static_cast<size_t>(line.integer("count")));
        set->linspace(line.float32("first"), line.float32("last"), values.size(), values.data());
        EXPECT_EQ(hash_of(values), line.text("expect"));
      } else if (line.word == "sum_of_absolute") {
        EXPECT_EQ(bits_of(set->sum_bins(magnitudes.data())), line.text("expect"));
      }
    }
    if (line.word == "cumsum_of_absolute") { EXPECT_EQ(hash_of(cumulative_sum(magnitudes)), line.text("expect")); }
    if (line.word == "histc") {
      const Range range{line.float32("low"), line.float32("high")};
      EXPECT_EQ(hash_of(histogram_of(input.span<float>(), range)), line.text("expect"));
    }
  }
}

TEST(Record, PerTensorAndDynamic) {
  Tensor input;
  for (const Line& line : read_lines("affine.txt")) {
    SCOPED_TRACE("line " + std::to_string(line.number));
    if (line.word == "input") {
      input = input_of(line);
      continue;
    }
    if (line.word == "per_channel") continue;
    const DType dtype = dtype_from_name(line.text("dtype")).value();
    const QuantRange range{line.integer("quant_min"), line.integer("quant_max")};
    const Tensor x = converted(input, dtype_from_name(line.text("in")).value());
    if (line.word == "per_tensor") {
      const DType out = dtype_from_name(line.text("out")).value();
      const Tensor q = quantize_per_tensor(x, line.float64("scale"), line.integer("zero_point"), range, dtype);
      EXPECT_EQ(hash_of(q), line.text("quantized"));
      const Tensor back = dequantize_per_tensor(q, line.float64("scale"), line.integer("zero_point"), out);
      EXPECT_EQ(hash_of(converted(back, DType::float32)), line.text("dequantized"));
    } else {
      const ScaleZeroPoint chosen =
          line.word == "choose" ? choose_qparams(x, range, 0x1p-12, dtype) : choose_qparams_symmetric(x, range, 0x1p-12, dtype);
      EXPECT_EQ(bits_of(static_cast<double>(chosen.scale)), line.text("scale"));
      EXPECT_EQ(chosen.zero_point, line.integer("zero_point"));
    }
  }
}

TEST(Record, PerChannel) {
  Tensor input;
  for (const Line& line : read_lines("affine.txt")) {
    SCOPED_TRACE("line " + std::to_string(line.number));
    if (line.word == "input") input = input_of(line);
    if (line.word != "per_channel") continue;
    const DType dtype = dtype_from_name(line.text("dtype")).value();
    const QuantRange range{line.integer("quant_min"), line.integer("quant_max")};
    const int64_t axis = line.integer("axis");
    std::vector<float> scales;
    std::vector<int64_t> zero_points;
    for (int64_t c = 0; c < input.size(axis); ++c) {
      const float u = uniform(static_cast<uint32_t>(line.integer("seed")), static_cast<uint32_t>(c), 0);
      scales.push_back((u + 0.01f) * line.float32("factor"));
      zero_points.push_back(dtype == DType::int32 ? 0 : range.min + (c * 37) % (range.max - range.min + 1));
    }
    const Tensor x = converted(input, dtype_from_name(line.text("in")).value());
    const Tensor q = quantize_per_channel(x, scales, zero_points, axis, range, dtype);
    EXPECT_EQ(hash_of(q), line.text("quantized"));
    if (line.text("dequantized") == "none") continue;
    const Tensor back = dequantize_per_channel(q, scales, zero_points, axis, dtype_from_name(line.text("out")).value());
    EXPECT_EQ(hash_of(converted(back, DType::float32)), line.text("dequantized"));
  }
}

}  // namespace
}  // namespace intaglio::quant
