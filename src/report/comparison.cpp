#include "report/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/complex_view.h"

namespace intaglio::report {

namespace {

constexpr size_t few_best = 5;

// Of equal scores the first is the best, as with one.
bool is_among_best(std::span<const float> scores, size_t label) {
  size_t better = 0;
  for (size_t i = 0; i < scores.size(); ++i) better += scores[i] > scores[label] || (scores[i] == scores[label] && i < label);
  return better < few_best;
}

}  // namespace

void Comparer::add_scores(const Tensor& reference, const Tensor& candidate) {
  if (reference.rank() < 1 || reference.size(-1) < 2) {
    has_scores_ = false;
    return;
  }
  const size_t classes = static_cast<size_t>(reference.size(-1));
  const std::span<const float> expected = reference.span<float>(), found = candidate.span<float>();
  for (size_t start = 0; start < expected.size(); start += classes, ++rows_) {
    const int64_t best = quant::top1(expected.subspan(start, classes));
    const int64_t answer = quant::top1(found.subspan(start, classes));
    agreeing_ += best == answer;
    if (!labels_) continue;
    if (rows_ >= labels_->size())
      throw_bad_input(fmt::format("the labels are {}, the samples have more rows; give one label for each row", labels_->size()));
    const int64_t label = (*labels_)[rows_];
    if (label < 0 || static_cast<size_t>(label) >= classes)
      throw_bad_input(fmt::format("label {} of row {} is none of the {} classes; number them from 0", label, rows_, classes));
    reference_right_ += best == label;
    candidate_right_ += answer == label;
    has_top5_ = classes > few_best;
    reference_near_ += is_among_best(expected.subspan(start, classes), static_cast<size_t>(label));
    candidate_near_ += is_among_best(found.subspan(start, classes), static_cast<size_t>(label));
  }
}

void Comparer::add(const std::vector<Tensor>& reference, const std::vector<Tensor>& candidate) {
  if (reference.size() != candidate.size())
    throw_bad_input(
        fmt::format("the reference gives {} outputs, the candidate {}: they are not the same model", reference.size(), candidate.size()));
  bool first = true;
  for (size_t i = 0, slot = 0; i < reference.size(); ++i) {
    if (!reference[i].defined() && !candidate[i].defined()) continue;
    const bool same = reference[i].defined() && candidate[i].defined() && reference[i].sizes() == candidate[i].sizes();
    if (!same)
      throw_bad_input(fmt::format("output {}: the reference has sizes [{}], the candidate [{}]", i, fmt::join(reference[i].sizes(), ", "),
                                  fmt::join(candidate[i].sizes(), ", ")));
    const bool complex = is_complex(reference[i].dtype());
    if (complex != is_complex(candidate[i].dtype()))
      throw_bad_input(
          fmt::format("output {}: the reference is of {}, the candidate of {}", i, name(reference[i].dtype()), name(candidate[i].dtype())));
    const Tensor expected = converted(complex ? as_pairs(reference[i]) : reference[i], DType::float32).contiguous();
    const Tensor found = converted(complex ? as_pairs(candidate[i]) : candidate[i], DType::float32).contiguous();
    if (slot == outputs_.size()) {
      outputs_.emplace_back();
      indices_.push_back(i);
    }
    outputs_[slot++].add(expected.span<float>(), found.span<float>());
    if (first && complex) has_scores_ = false;
    else if (first) add_scores(expected, found);
    first = false;
  }
  ++samples_;
}

Comparison Comparer::result() const {
  Comparison result;
  result.samples = samples_;
  result.rows = rows_;
  for (size_t i = 0; i < outputs_.size(); ++i) result.outputs.push_back({indices_[i], outputs_[i].metrics()});
  if (!has_scores_ || rows_ == 0) {
    if (labels_) throw_bad_input("labels need a first output with at least two scores in its last dimension");
    return result;
  }
  const double rows = static_cast<double>(rows_);
  result.top1_agreement = static_cast<double>(agreeing_) / rows;
  if (!labels_) return result;
  if (labels_->size() != rows_)
    throw_bad_input(fmt::format("the labels are {}, the samples have {} rows; give one label for each row", labels_->size(), rows_));
  result.reference_accuracy = static_cast<double>(reference_right_) / rows;
  result.candidate_accuracy = static_cast<double>(candidate_right_) / rows;
  if (!has_top5_) return result;
  result.reference_top5 = static_cast<double>(reference_near_) / rows;
  result.candidate_top5 = static_cast<double>(candidate_near_) / rows;
  return result;
}

}  // namespace intaglio::report
