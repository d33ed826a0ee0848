// The observers of quantization.h. Each is a statistic and a way from the statistic to parameters.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/quantization.h>

#include "quant/affine.h"
#include "quant/histogram.h"
#include "quant/range.h"

namespace intaglio {
namespace {

using quant::Range;

bool is_per_channel_scheme(QScheme scheme) { return scheme == QScheme::per_channel_affine || scheme == QScheme::per_channel_symmetric; }

ObserverSettings checked(const ObserverSettings& settings, std::string_view kind, bool per_channel) {
  quant::range_of(settings);
  if (is_per_channel_scheme(settings.qscheme) != per_channel) {
    throw_usage(fmt::format("a {} observer needs a {} scheme", kind, per_channel ? "per-channel" : "per-tensor"));
  }
  if (!(settings.eps >= 0.0)) throw_usage(fmt::format("a {} observer with eps {}; expected 0 or more", kind, settings.eps));
  return settings;
}

// How the range of a sample joins the ranges of earlier ones.
struct Running {
  // Absent: the widest. Else earlier + constant * (sample - earlier), rounded twice.
  std::optional<float> averaging_constant;

  void add(Range sample, float& min, float& max) const {
    if (averaging_constant) {
      min = min + *averaging_constant * (sample.min - min);
      max = max + *averaging_constant * (sample.max - max);
    } else {
      min = std::min(min, sample.min);
      max = std::max(max, sample.max);
    }
  }
};

constexpr float infinity = std::numeric_limits<float>::infinity();

class MinMaxObserver final : public Observer {
 public:
  MinMaxObserver(std::string_view kind, const ObserverSettings& settings, Running running)
      : Observer(checked(settings, kind, false)), kind_(kind), running_(running) {}

  std::string_view kind() const override { return kind_; }
  void observe(const Tensor& tensor) override {
    if (tensor.numel() == 0) return;
    const Range sample = quant::range_of_values(tensor);
    if (!has_observed()) {
      range_ = sample;
    } else {
      running_.add(sample, range_.min, range_.max);
    }
    ++calls_;
  }
  bool has_observed() const override { return !(range_.min == infinity && range_.max == -infinity); }
  QuantParams calculate_qparams() const override {
    return quant::qparams_of_range({&range_.min, 1}, {&range_.max, 1}, settings(), settings().eps, false);
  }
  ObservedStatistics statistics() const override { return {{range_.min}, {range_.max}, {}, calls_}; }
  std::unique_ptr<Observer> clone() const override { return std::make_unique<MinMaxObserver>(*this); }

 private:
  std::string_view kind_;
  Running running_;
  Range range_{infinity, -infinity};
  int64_t calls_ = 0;
};

class PerChannelMinMaxObserver final : public Observer {
 public:
  PerChannelMinMaxObserver(std::string_view kind, const ObserverSettings& settings, Running running)
      : Observer(checked(settings, kind, true)), kind_(kind), running_(running) {}

  std::string_view kind() const override { return kind_; }
  void observe(const Tensor& tensor) override {
    if (tensor.numel() == 0) return;
    quant::ChannelRanges sample = quant::channel_ranges(tensor, settings().ch_axis);
    if (settings().ch_axis < 0) axis_ = settings().ch_axis + tensor.rank();
    if (!has_observed()) {
      ranges_ = std::move(sample);
    } else if (sample.min.size() != ranges_.min.size()) {
      throw_bad_input(
          fmt::format("{} channels on axis {} where earlier samples had {}", sample.min.size(), settings().ch_axis, ranges_.min.size()));
    } else {
      for (size_t c = 0; c < sample.min.size(); ++c) { running_.add({sample.min[c], sample.max[c]}, ranges_.min[c], ranges_.max[c]); }
    }
    ++calls_;
  }
  bool has_observed() const override { return !ranges_.min.empty(); }
  QuantParams calculate_qparams() const override {
    ObserverSettings known = settings();
    known.ch_axis = axis_;
    return quant::qparams_of_range(ranges_.min, ranges_.max, known, known.eps, true);
  }
  ObservedStatistics statistics() const override { return {ranges_.min, ranges_.max, {}, calls_}; }
  std::unique_ptr<Observer> clone() const override { return std::make_unique<PerChannelMinMaxObserver>(*this); }

 private:
  std::string_view kind_;
  Running running_;
  quant::ChannelRanges ranges_;
  int64_t axis_ = std::max<int64_t>(0, settings().ch_axis);  // once a tensor was seen, from the front
  int64_t calls_ = 0;
};

class HistogramObserver final : public Observer {
 public:
  explicit HistogramObserver(const ObserverSettings& settings) : Observer(checked(settings, "histogram", false)) {}

  std::string_view kind() const override { return "histogram"; }
  void observe(const Tensor& tensor) override {
    if (tensor.numel() == 0) return;
    histogram_.observe(quant::FloatElements(tensor).values());
    ++calls_;
  }
  bool has_observed() const override { return !histogram_.empty(); }
  QuantParams calculate_qparams() const override {
    Range range{infinity, -infinity};
    if (has_observed()) range = histogram_.search(int64_t{1} << (8 * item_size(settings().dtype)));
    return quant::qparams_of_range({&range.min, 1}, {&range.max, 1}, settings(), settings().eps, false);
  }
  ObservedStatistics statistics() const override {
    if (!has_observed()) return {{infinity}, {-infinity}, {}, calls_, histogram_.left_out()};
    const std::span<const float> counts = histogram_.counts();
    return {{histogram_.range().min}, {histogram_.range().max}, {counts.begin(), counts.end()}, calls_, histogram_.left_out()};
  }
  std::unique_ptr<Observer> clone() const override { return std::make_unique<HistogramObserver>(*this); }

 private:
  quant::Histogram histogram_;
  int64_t calls_ = 0;
};

class PlaceholderObserver final : public Observer {
 public:
  explicit PlaceholderObserver(const ObserverSettings& settings) : Observer(settings) {}

  std::string_view kind() const override { return "placeholder"; }
  void observe(const Tensor&) override {}
  bool has_observed() const override { return false; }
  QuantParams calculate_qparams() const override {
    throw_bug("a placeholder observer has no parameters: they are chosen when the program runs");
  }
  ObservedStatistics statistics() const override { return {}; }
  std::unique_ptr<Observer> clone() const override { return std::make_unique<PlaceholderObserver>(*this); }
};

class FixedQParamsObserver final : public Observer {
 public:
  FixedQParamsObserver(const ObserverSettings& settings, double scale, int64_t zero_point)
      : Observer(checked(settings, "fixed_qparams", false)), scale_(static_cast<float>(scale)), zero_point_(zero_point) {
    const quant::QuantRange range = quant::range_of(settings);
    if (!(scale_ > 0.0f) || !std::isfinite(scale_)) {
      throw_usage(fmt::format("fixed quantization parameters: scale {} is not a positive number", scale));
    }
    if (zero_point < range.min || zero_point > range.max) {
      throw_usage(fmt::format("fixed quantization parameters: zero point {} is outside [{}, {}]", zero_point, range.min, range.max));
    }
  }

  std::string_view kind() const override { return "fixed_qparams"; }
  void observe(const Tensor&) override {}
  bool has_observed() const override { return true; }  // nothing is missing
  QuantParams calculate_qparams() const override {
    const quant::QuantRange range = quant::range_of(settings());
    return {.scale = {scale_}, .zero_point = {zero_point_}, .quant_min = range.min, .quant_max = range.max, .dtype = settings().dtype};
  }
  ObservedStatistics statistics() const override { return {}; }
  std::unique_ptr<Observer> clone() const override { return std::make_unique<FixedQParamsObserver>(*this); }

 private:
  float scale_;
  int64_t zero_point_;
};

// A factory whose observers take `eps`, where it is given, instead of the settings'.
template <typename Make>
ObserverFactory factory(std::string name, std::optional<double> eps, Make make) {
  return {std::move(name),
          [eps, make](ObserverSettings settings) -> std::unique_ptr<Observer> {
            if (eps) settings.eps = *eps;
            return make(settings);
          },
          eps};
}

Running averaging(double constant) {
  if (!(constant > 0.0 && constant <= 1.0)) {
    throw_usage(fmt::format("averaging constant {}; expected more than 0 and at most 1", constant));
  }
  return {static_cast<float>(constant)};
}

}  // namespace

ObserverFactory min_max_observer(std::optional<double> eps) {
  return factory("min_max", eps,
                 [](const ObserverSettings& settings) { return std::make_unique<MinMaxObserver>("min_max", settings, Running{}); });
}

ObserverFactory moving_average_min_max_observer(double averaging_constant, std::optional<double> eps) {
  return factory("moving_average_min_max", eps, [running = averaging(averaging_constant)](const ObserverSettings& settings) {
    return std::make_unique<MinMaxObserver>("moving_average_min_max", settings, running);
  });
}

ObserverFactory per_channel_min_max_observer(std::optional<double> eps) {
  return factory("per_channel_min_max", eps, [](const ObserverSettings& settings) {
    return std::make_unique<PerChannelMinMaxObserver>("per_channel_min_max", settings, Running{});
  });
}

ObserverFactory moving_average_per_channel_min_max_observer(double averaging_constant, std::optional<double> eps) {
  return factory("moving_average_per_channel_min_max", eps, [running = averaging(averaging_constant)](const ObserverSettings& settings) {
    return std::make_unique<PerChannelMinMaxObserver>("moving_average_per_channel_min_max", settings, running);
  });
}

ObserverFactory histogram_observer(std::optional<double> eps) {
  return factory("histogram", eps, [](const ObserverSettings& settings) { return std::make_unique<HistogramObserver>(settings); });
}

ObserverFactory placeholder_observer(std::optional<double> eps) {
  return factory("placeholder", eps, [](const ObserverSettings& settings) { return std::make_unique<PlaceholderObserver>(settings); });
}

ObserverFactory fake_quantize(ObserverFactory observer) {
  observer.fake_quantizes = true;
  return observer;
}

ObserverFactory fixed_qparams_observer(double scale, int64_t zero_point) {
  return factory("fixed_qparams", std::nullopt, [scale, zero_point](const ObserverSettings& settings) {
    return std::make_unique<FixedQParamsObserver>(settings, scale, zero_point);
  });
}

}  // namespace intaglio
