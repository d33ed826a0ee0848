#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <intaglio/error.h>
#include <intaglio/quantization.h>

#include "testing/numbers.h"

namespace intaglio {
namespace {

using test::infinity;

const ObserverSettings activation{.quant_min = -128, .quant_max = 127, .eps = 0x1p-12};
const ObserverSettings weight{.qscheme = QScheme::per_channel_symmetric, .quant_min = -127, .quant_max = 127, .eps = 0x1p-12};

using Floats = std::vector<float>;
using Doubles = std::vector<double>;
Tensor row(std::initializer_list<float> values) { return Tensor::of<float>(values, {static_cast<int64_t>(values.size())}); }

TEST(MinMax, WidensAndNamesItself) {
  const auto observer = min_max_observer().make(activation);
  EXPECT_EQ(observer->kind(), "min_max");
  EXPECT_FALSE(observer->has_observed());
  EXPECT_EQ(observer->calculate_qparams().scale, Doubles{1.0f});
  observer->observe(row({-1, 0.5f}));
  observer->observe(row({0, 1.55f}));
  observer->observe(Tensor::empty(DType::float32, {0}));
  EXPECT_TRUE(observer->has_observed());
  const ObservedStatistics statistics = observer->statistics();
  EXPECT_EQ(statistics.min, Floats{-1.0f});
  EXPECT_EQ(statistics.max, Floats{1.55f});
  EXPECT_EQ(statistics.calls, 2);
  const QuantParams params = observer->calculate_qparams();
  EXPECT_EQ(params.scale, Doubles{2.55f / 255.0f});
  EXPECT_EQ(params.zero_point, std::vector<int64_t>{-28});
  EXPECT_FALSE(params.is_per_channel());
}

TEST(MinMax, EpsOfTheFactoryWins) {
  const auto observer = min_max_observer(0.5).make(activation);
  observer->observe(row({0, 1}));
  EXPECT_EQ(observer->calculate_qparams().scale, Doubles{0.5f});
}

TEST(MovingAverage, FirstSampleAsItIs) {
  const auto observer = moving_average_min_max_observer(0.25).make(activation);
  observer->observe(row({-1, 1}));
  observer->observe(row({-3, 5}));
  EXPECT_EQ(observer->statistics().min, Floats{-1.5f});
  EXPECT_EQ(observer->statistics().max, Floats{2.0f});
  EXPECT_THROW(moving_average_min_max_observer(0.0), Error);
}

TEST(PerChannel, AxisOfAnyLayout) {
  ObserverSettings settings = weight;
  settings.ch_axis = 1;
  const Tensor x = Tensor::of<float>({1, 2, 3, 4, -5, 6, -7, 8, 9, 10, 11, -12}, {2, 3, 2});
  const Floats low{-7, 3, -12}, high{8, 10, 11};
  // Row-major, and the same values with the channels innermost (channels-last).
  const Tensor last = Tensor::of<float>({1, 3, -5, 2, 4, 6, -7, 9, 11, 8, 10, -12}, {2, 2, 3});
  for (const Tensor& tensor : {x, last.permuted(std::vector<int64_t>{0, 2, 1})}) {
    const auto observer = per_channel_min_max_observer().make(settings);
    observer->observe(tensor);
    EXPECT_EQ(observer->statistics().min, low);
    EXPECT_EQ(observer->statistics().max, high);
    const QuantParams params = observer->calculate_qparams();
    EXPECT_EQ(params.axis(), 1);
    EXPECT_EQ(params.scale, (Doubles{8.0f / 127.0f, 10.0f / 127.0f, 12.0f / 127.0f}));
    EXPECT_EQ(params.zero_point, (std::vector<int64_t>{0, 0, 0}));
  }
}

TEST(PerChannel, RefusesChangingChannelsAndMissingAxis) {
  const auto observer = per_channel_min_max_observer().make(weight);
  observer->observe(row({1, 2}));
  EXPECT_THROW(observer->observe(row({1, 2, 3})), Error);
  EXPECT_THROW(observer->observe(Tensor::scalar(1.0f)), Error);
}

TEST(MovingAveragePerChannel, AveragesEachChannel) {
  const auto observer = moving_average_per_channel_min_max_observer(0.5).make(weight);
  observer->observe(Tensor::of<float>({0, 2, -2, 4}, {2, 2}));
  observer->observe(Tensor::of<float>({-1, 1, 0, 8}, {2, 2}));
  EXPECT_EQ(observer->statistics().min, (Floats{-0.5f, -1.0f}));
  EXPECT_EQ(observer->statistics().max, (Floats{1.5f, 6.0f}));
}

TEST(HistogramObserver, CountsInBinsOfTheRange) {
  const auto observer = histogram_observer().make(activation);
  // Width 2048 from 0 to 2048: bin i holds [i, i + 1), the last one its upper end too.
  observer->observe(row({0, 0.5f, 1, 2047, 2048}));
  const ObservedStatistics statistics = observer->statistics();
  ASSERT_EQ(statistics.histogram.size(), 2048u);
  EXPECT_EQ(statistics.histogram[0], 2.0f);
  EXPECT_EQ(statistics.histogram[1], 1.0f);
  EXPECT_EQ(statistics.histogram[2047], 2.0f);
  EXPECT_EQ(statistics.min, Floats{0.0f});
  EXPECT_EQ(statistics.max, Floats{2048.0f});
}

TEST(HistogramObserver, WideningSpreadsBins) {
  const auto observer = histogram_observer().make(activation);
  observer->observe(row({0, 1, 2, 2048}));
  observer->observe(row({4096}));  // bins twice as wide
  const Floats counts = observer->statistics().histogram;
  EXPECT_EQ(counts[0], 2.0f);
  EXPECT_EQ(counts[1], 1.0f);
  EXPECT_EQ(counts[1023], 1.0f);
  EXPECT_EQ(counts[2047], 1.0f);
}

TEST(HistogramObserver, ConstantThenRange) {
  const auto observer = histogram_observer().make(activation);
  observer->observe(Tensor::of<float>(Floats(10, 1.0f), {10}));
  EXPECT_EQ(observer->statistics().histogram[1024], 10.0f);
  observer->observe(row({0, 2}));
  EXPECT_EQ(observer->statistics().histogram[1024], 10.0f);
  EXPECT_EQ(observer->statistics().histogram[0], 1.0f);
  // A constant so large that one to either side is itself.
  const auto large = histogram_observer().make(activation);
  large->observe(row({1e10f}));
  EXPECT_EQ(large->statistics().histogram[1024], 1.0f);
}

TEST(HistogramObserver, GivesUpThinTails) {
  const auto observer = histogram_observer().make(activation);
  Floats values(20000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = 255.0f * std::pow(static_cast<float>(i) / 20000.0f, 9.0f);
  observer->observe(Tensor::of<float>(values, {20000}));
  const QuantParams params = observer->calculate_qparams();
  EXPECT_LT(params.scale[0], 0.998f);
  EXPECT_GT(params.scale[0], 0.9f);
  EXPECT_EQ(params.zero_point[0], -128);
}

TEST(HistogramObserver, IgnoresInfinitiesRefusesNaN) {
  const auto observer = histogram_observer().make(activation);
  observer->observe(row({infinity, -infinity}));
  EXPECT_FALSE(observer->has_observed());
  observer->observe(row({infinity, 1, 3}));
  EXPECT_EQ(observer->statistics().min, Floats{1.0f});
  EXPECT_EQ(observer->statistics().max, Floats{3.0f});
  EXPECT_THROW(observer->observe(row({1, std::nanf("")})), Error);
  EXPECT_THROW(observer->observe(row({infinity, std::nanf("")})), Error);
  EXPECT_EQ(observer->statistics().max, Floats{3.0f});
}

TEST(HistogramObserver, AnyLayoutGivesTheSameCounts) {
  Tensor x = Tensor::empty(DType::float32, {2, 5, 30, 30});
  float* values = x.mutable_data<float>();
  for (int64_t i = 0; i < x.numel(); ++i) values[i] = std::sin(static_cast<float>(i * i));
  const auto plain = histogram_observer().make(activation);
  plain->observe(x);
  const std::vector<int64_t> swap{0, 2, 3, 1}, back{0, 3, 1, 2};
  const auto channels_last = histogram_observer().make(activation);
  channels_last->observe(x.permuted(swap).contiguous().permuted(back));
  EXPECT_EQ(channels_last->statistics().histogram, plain->statistics().histogram);
  // Not dense: every second column.
  const auto gaps = histogram_observer().make(activation);
  gaps->observe(x.narrowed(3, 0, 15, 2));
  const auto copied = histogram_observer().make(activation);
  copied->observe(x.narrowed(3, 0, 15, 2).contiguous());
  EXPECT_EQ(gaps->statistics().histogram, copied->statistics().histogram);
  float total = 0;
  for (float count : gaps->statistics().histogram) total += count;
  EXPECT_EQ(total, static_cast<float>(x.numel() / 2));
}

TEST(HistogramObserver, OtherFloatTypesAndClones) {
  const auto observer = histogram_observer().make(activation);
  observer->observe(converted(row({-1, 0, 1}), DType::float16));
  const auto copy = observer->clone();
  copy->observe(converted(row({-2, 0, 2}), DType::float64));
  EXPECT_EQ(observer->statistics().min, Floats{-1.0f});
  EXPECT_EQ(copy->statistics().min, Floats{-2.0f});
  EXPECT_EQ(copy->statistics().calls, 2);
  EXPECT_THROW(observer->observe(Tensor::of<int32_t>({1}, {1})), Error);
}

TEST(MinMax, RefusesNaNKeepsInfinities) {
  const auto observer = min_max_observer().make(activation);
  EXPECT_THROW(observer->observe(row({std::nanf(""), 1})), Error);
  EXPECT_FALSE(observer->has_observed());
  observer->observe(row({-infinity, 1}));
  EXPECT_EQ(observer->statistics().min, Floats{-infinity});
}

TEST(Settings, SchemeMustFitTheObserver) {
  EXPECT_THROW(min_max_observer().make(weight), Error);
  EXPECT_THROW(histogram_observer().make(weight), Error);
  EXPECT_THROW(per_channel_min_max_observer().make(activation), Error);
  ObserverSettings beyond = activation;
  beyond.quant_max = 300;
  EXPECT_THROW(min_max_observer().make(beyond), Error);
}

TEST(Placeholder, HasNoParameters) {
  const auto observer = placeholder_observer().make({.is_dynamic = true});
  observer->observe(row({1}));
  EXPECT_FALSE(observer->has_observed());
  EXPECT_THROW(observer->calculate_qparams(), Error);
}

TEST(FixedQParams, AreWhatTheyAre) {
  const auto observer = fixed_qparams_observer(1.0 / 256, 0).make({.dtype = DType::uint8});
  observer->observe(row({1e9f}));
  const QuantParams params = observer->calculate_qparams();
  EXPECT_EQ(params.scale, Doubles{0x1p-8f});
  EXPECT_EQ(params.zero_point, std::vector<int64_t>{0});
  EXPECT_EQ(params.quant_max, 255);
  EXPECT_THROW(fixed_qparams_observer(0.0, 0).make(activation), Error);
  EXPECT_THROW(fixed_qparams_observer(1.0, 300).make(activation), Error);
}

}  // namespace
}  // namespace intaglio
