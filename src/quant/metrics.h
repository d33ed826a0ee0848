// How far a candidate's values are from a reference's. Sums are taken in double over fixed blocks that are added in
// pairs: the result does not depend on threads, and long tensors do not lose small errors. Tests: metrics_test.cpp.
//
// Where a value is not finite: equal infinities, and NaN against NaN, are no error and take no part in the sums; any
// other pair with one makes the error infinite (SQNR -inf, largest and mean error +inf, cosine 0).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace intaglio::quant {

struct ErrorMetrics {
  // 10 log10(sum reference^2 / sum (reference - candidate)^2). +inf without error, also when all is zero;
  // -inf for an error against a reference of zeros.
  double sqnr_db;
  // Of the angle between the two, in [-1, 1]. 1 when both are all zero, 0 when one of them is.
  double cosine;
  double max_abs_error;
  double mean_abs_error;  // 0 when there are no values
  int64_t count;
};

// Of one tensor, or of several taken as one: add them in order.
class ErrorAccumulator {
 public:
  // Usage error when the sizes differ.
  void add(std::span<const float> reference, std::span<const float> candidate);
  ErrorMetrics metrics() const;

 private:
  struct Sums {
    double signal = 0.0, noise = 0.0, product = 0.0, candidate = 0.0, absolute = 0.0;
    void add(const Sums& other);
  };
  void add_block(const Sums& block);
  Sums sums_of(std::span<const float> reference, std::span<const float> candidate);
  void add_carefully(float reference, float candidate, Sums& sums);

  std::vector<Sums> levels_;  // entry i: a sum of 2^i blocks, when bit i of blocks_ is set
  uint64_t blocks_ = 0;
  double max_abs_error_ = 0.0;
  bool infinite_error_ = false;
  int64_t count_ = 0;
};

ErrorMetrics compare(std::span<const float> reference, std::span<const float> candidate);

// Index of the largest value; the first of equals, and a NaN before any number. Usage error on an empty row.
int64_t top1(std::span<const float> scores);
// Share of rows of `classes` scores whose largest is at the same place. Usage errors when sizes do not fit or there is no row.
double top1_agreement(std::span<const float> reference, std::span<const float> candidate, int64_t classes);

}  // namespace intaglio::quant
