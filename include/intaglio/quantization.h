// Affine quantization: parameters, schemes, observers. Knows nothing of graphs.
//
// q = clamp(round_half_even(x * (1/scale)) + zero_point, quant_min, quant_max);  x' = (q - zero_point) * scale.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/dtype.h>
#include <intaglio/tensor.h>

#pragma GCC visibility push(default)

namespace intaglio {

enum class QScheme : uint8_t { per_tensor_affine, per_tensor_symmetric, per_channel_affine, per_channel_symmetric };

// In a block size: all of a dimension.
inline constexpr int64_t whole_dimension = -1;
// One block for each index of `axis`, which counts from the front.
std::vector<int64_t> channel_blocks(int64_t axis);

// Decided parameters of one tensor. Its elements lie in blocks of equal size, which share a scale and a zero point.
struct QuantParams {
  std::vector<double> scale;        // float32 values, but for literals of a graph; one a block in row-major order, or one for all
  std::vector<int64_t> zero_point;  // likewise
  // Elements of a block along each dimension; dimensions behind the last entry are whole. {} is one block per tensor,
  // {-1, 1} one for each index of dimension 1, {1, 32} groups of 32 in a row. Written as short as possible.
  std::vector<int64_t> block_size;
  int64_t quant_min = -128;
  int64_t quant_max = 127;
  DType dtype = DType::int8;
  // In place of scales and zero points: the values that the integers stand for, `quant_max + 1` for each block.
  std::optional<Tensor> code_book;

  bool is_per_tensor() const { return block_size.empty(); }
  std::optional<int64_t> axis() const;  // of parameters per channel
  bool is_per_channel() const { return axis().has_value(); }
};
bool operator==(const QuantParams& a, const QuantParams& b);

// What an observer is built from (torchao's observer arguments).
struct ObserverSettings {
  DType dtype = DType::int8;
  QScheme qscheme = QScheme::per_tensor_affine;
  std::optional<int64_t> quant_min;  // absent: the dtype's own range
  std::optional<int64_t> quant_max;
  int64_t ch_axis = 0;
  double eps = 1.1920928955078125e-07;  // 2^-23; smallest scale
  bool is_dynamic = false;
};

// Statistics an observer has gathered, as the plan file shows them. Vectors have one entry, or one per channel.
struct ObservedStatistics {
  std::vector<float> min;
  std::vector<float> max;
  std::vector<float> histogram;  // empty unless the observer keeps one
  int64_t calls = 0;
  int64_t infinite = 0;  // values that have no place in a histogram and were left out
};

// Watches tensors during calibration. Observers of one group see their tensors in execution order, samples in order.
class Observer {
 public:
  explicit Observer(ObserverSettings settings) : settings_(settings) {}
  virtual ~Observer() = default;

  const ObserverSettings& settings() const { return settings_; }
  virtual std::string_view kind() const = 0;  // "histogram", "min_max", ...

  // float32, float16, bfloat16 or float64 of any strides; NaN is a bad-input error (the caller names the tensor).
  virtual void observe(const Tensor& tensor) = 0;
  virtual bool has_observed() const = 0;
  virtual QuantParams calculate_qparams() const = 0;
  virtual ObservedStatistics statistics() const = 0;
  virtual std::unique_ptr<Observer> clone() const = 0;

 private:
  ObserverSettings settings_;
};

// Builds the observer of a spec once its settings are known; named for the plan and for graph dumps.
struct ObserverFactory {
  std::string name;
  std::function<std::unique_ptr<Observer>(const ObserverSettings&)> make;
  // Default eps is taken from ObserverSettings; factories below override it when their argument is given.
  std::optional<double> eps;
  // While calibrating, what reads the tensor sees it quantized and dequantized by the parameters as of then (torchao's FakeQuantize).
  bool fake_quantizes = false;
};
ObserverFactory fake_quantize(ObserverFactory observer);

ObserverFactory min_max_observer(std::optional<double> eps = std::nullopt);
ObserverFactory per_channel_min_max_observer(std::optional<double> eps = std::nullopt);
ObserverFactory moving_average_min_max_observer(double averaging_constant = 0.01, std::optional<double> eps = std::nullopt);
ObserverFactory moving_average_per_channel_min_max_observer(double averaging_constant = 0.01, std::optional<double> eps = std::nullopt);
ObserverFactory histogram_observer(std::optional<double> eps = std::nullopt);
// Dynamic quantization: keeps no statistics.
ObserverFactory placeholder_observer(std::optional<double> eps = std::nullopt);
ObserverFactory fixed_qparams_observer(double scale, int64_t zero_point);

}  // namespace intaglio

#pragma GCC visibility pop
