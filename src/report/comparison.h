// How far a candidate's outputs are from a reference's, over all samples.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/tensor.h>

#include "quant/metrics.h"

namespace intaglio::report {

struct OutputComparison {
  size_t index = 0;  // arr_<index>
  quant::ErrorMetrics metrics;
};

struct Comparison {
  size_t samples = 0;
  size_t rows = 0;  // of the first output: its last dimension holds scores
  std::vector<OutputComparison> outputs;
  std::optional<double> top1_agreement;  // absent when the first output has fewer than two scores
  std::optional<double> reference_accuracy;
  std::optional<double> candidate_accuracy;
  std::optional<double> reference_top5, candidate_top5;  // of more than five classes: the label is among the five best
};

// Takes samples one by one; nothing is kept of them but sums.
class Comparer {
 public:
  // `labels`, one for each row of the first output over all samples.
  explicit Comparer(std::optional<std::vector<int64_t>> labels = std::nullopt) : labels_(std::move(labels)) {}

  // Bad-input error when the two disagree in number or sizes of outputs, or labels run out.
  void add(const std::vector<Tensor>& reference, const std::vector<Tensor>& candidate);
  // Bad-input error when labels are left over.
  Comparison result() const;

 private:
  void add_scores(const Tensor& reference, const Tensor& candidate);

  std::optional<std::vector<int64_t>> labels_;
  std::vector<quant::ErrorAccumulator> outputs_;
  std::vector<size_t> indices_;
  size_t samples_ = 0;
  size_t rows_ = 0;
  bool has_scores_ = true;
  size_t agreeing_ = 0, reference_right_ = 0, candidate_right_ = 0, reference_near_ = 0, candidate_near_ = 0;
  bool has_top5_ = false;
};

}  // namespace intaglio::report
