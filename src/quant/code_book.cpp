#include "quant/code_book.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/threads.h"

namespace intaglio::quant {
namespace {

// The different values of a block, ascending, with what the squared error of any stretch of them is computed from.
class SortedValues {
 public:
  explicit SortedValues(std::vector<float> all) {
    std::sort(all.begin(), all.end());
    double sum = 0;
    for (const float x : all) sum += static_cast<double>(x);
    mean_ = sum / static_cast<double>(all.size());
    counts_ = sums_ = squares_ = {0};
    for (size_t i = 0; i < all.size(); ++i) {
      if (values_.empty() || all[i] != values_.back()) {
        values_.push_back(all[i]);
        for (auto* list : {&counts_, &sums_, &squares_}) list->push_back(list->back());
      }
      const double x = static_cast<double>(all[i]) - mean_;
      counts_.back() += 1;
      sums_.back() += x;
      squares_.back() += x * x;
    }
  }

  size_t size() const { return values_.size(); }
  float operator[](size_t i) const { return values_[i]; }
  // The squared error of the values [begin, end) around their mean.
  double error(size_t begin, size_t end) const {
    const double sum = sums_[end] - sums_[begin];
    return squares_[end] - squares_[begin] - sum * sum / (counts_[end] - counts_[begin]);
  }
  double centre(size_t begin, size_t end) const { return mean_ + (sums_[end] - sums_[begin]) / (counts_[end] - counts_[begin]); }
  // The first value above `bound`.
  size_t above(double bound) const {
    const auto first =
        std::upper_bound(values_.begin(), values_.end(), bound, [](double a, float b) { return a < static_cast<double>(b); });
    return static_cast<size_t>(first - values_.begin());
  }

 private:
  double mean_ = 0;
  std::vector<float> values_;
  std::vector<double> counts_, sums_, squares_;  // of the values before each
};

using Ends = std::vector<size_t>;  // of stretches, ascending; the first begins at 0

// Stretches of errors about equal, at most `limit` and at least half as many: all values by themselves where there are no more.
// Clusters are then made of stretches.
Ends stretches(const SortedValues& values, size_t limit) {
  Ends ends;
  if (values.size() <= limit) {
    for (size_t i = 1; i <= values.size(); ++i) ends.push_back(i);
    return ends;
  }
  // Of evenly filled stretches the error falls with the third power of their number.
  const double wanted = static_cast<double>(limit) * 0.75;
  double most = values.error(0, values.size()) / (wanted * wanted * wanted);
  for (int attempt = 0;; ++attempt) {
    ends.clear();
    for (size_t begin = 0, end = 1; end <= values.size(); ++end) {
      if (end < values.size() && values.error(begin, end + 1) <= most) continue;
      ends.push_back(end);
      begin = end;
    }
    if (ends.size() <= limit && (ends.size() * 2 >= limit || attempt >= 30)) return ends;
    const double ratio = std::clamp(static_cast<double>(ends.size()) / wanted, 0.01, 10.0);
    most *= ends.size() > limit ? std::max(ratio * ratio * ratio, 2.0) : ratio * ratio * ratio;
  }
}

// The clusters of smallest error whose ends are among `ends`: for each number of clusters and each end, the best place to begin
// the last cluster. That place never moves down when the end or the number moves up, so halving the ends bounds the search.
class BestClusters {
 public:
  BestClusters(const SortedValues& values, const Ends& ends, size_t clusters) : values_(values), ends_(ends), count_(ends.size() + 1) {
    best_.resize(count_);
    for (size_t i = 1; i < count_; ++i) best_[i] = error(0, i);
    begins_.assign(clusters, std::vector<uint16_t>(count_, 0));
    std::vector<double> next(count_);
    for (size_t c = 1; c < clusters; ++c) {
      next_ = &next;
      search(c, c + 1, count_ - 1, c, count_ - 2);
      best_.swap(next);
    }
  }

  // Ends of the clusters among the values.
  Ends clusters() const {
    Ends result;
    for (size_t c = begins_.size(), end = count_ - 1; c-- > 0; end = begins_[c][end]) result.push_back(ends_[end - 1]);
    std::reverse(result.begin(), result.end());
    return result;
  }

 private:
  double error(size_t begin, size_t end) const { return values_.error(begin == 0 ? 0 : ends_[begin - 1], ends_[end - 1]); }

  void search(size_t c, size_t first, size_t last, size_t low, size_t high) {
    if (first > last) return;
    const size_t middle = first + (last - first) / 2;
    const size_t latest = std::min(high, middle - 1);
    size_t begin = std::min(std::max(low, size_t{begins_[c - 1][middle]}), latest);
    double least = std::numeric_limits<double>::infinity();
    for (size_t candidate = begin; candidate <= latest; ++candidate)
      if (const double sum = best_[candidate] + error(candidate, middle); sum < least) {
        least = sum;
        begin = candidate;
      }
    (*next_)[middle] = least;
    begins_[c][middle] = static_cast<uint16_t>(begin);
    search(c, first, middle - 1, low, begin);
    search(c, middle + 1, last, begin, high);
  }

  const SortedValues& values_;
  const Ends& ends_;
  size_t count_;
  std::vector<double> best_;  // of one cluster less
  std::vector<double>* next_ = nullptr;
  std::vector<std::vector<uint16_t>> begins_;
};

// Every value to the nearest centre, centres to the means of their values, until nothing moves.
void refine(const SortedValues& values, Ends& ends) {
  for (int round = 0; round < 300; ++round) {
    Ends moved = ends;
    for (size_t c = 0; c + 1 < ends.size(); ++c) {
      const size_t begin = c == 0 ? 0 : ends[c - 1];
      moved[c] = values.above((values.centre(begin, ends[c]) + values.centre(ends[c], ends[c + 1])) / 2);
    }
    // No cluster may be left without values.
    if (moved == ends || std::adjacent_find(moved.begin(), moved.end()) != moved.end() || moved[0] == 0) return;
    ends = std::move(moved);
  }
}

// Below this, a search of all ends is exact; above it the ends are stretches, `per_cluster` for each cluster.
constexpr size_t exact_values = 512, per_cluster = 8;

// `book` receives the centres; the result is the first value of each cluster but the first.
std::vector<float> find_centres(const SortedValues& values, std::span<double> book) {
  Ends ends = stretches(values, std::max(exact_values, per_cluster * book.size()));
  const size_t clusters = std::min(book.size(), ends.size());
  if (clusters < values.size()) {
    ends = BestClusters(values, ends, clusters).clusters();
    refine(values, ends);
  }
  std::fill(book.begin(), book.end(), 0.0);
  std::vector<float> bounds;
  for (size_t c = 0; c < clusters; ++c) {
    const size_t begin = c == 0 ? 0 : ends[c - 1];
    book[c] = ends[c] - begin == 1 ? static_cast<double>(values[begin]) : values.centre(begin, ends[c]);
    if (c > 0) bounds.push_back(values[begin]);
  }
  return bounds;
}

// How many bounds are not above x; `bounds` is padded to 2^bits - 1 with infinity.
uint8_t code_of(float x, std::span<const float> bounds, int bits) {
  size_t code = 0;
  for (size_t half = size_t{1} << (bits - 1); half > 0; half /= 2) code += bounds[code + half - 1] <= x ? half : 0;
  return static_cast<uint8_t>(code);
}

}  // namespace

CodeBookWeight quantize_to_code_book(const Tensor& weight, int bits, int64_t rows, int64_t columns, int threads) {
  const int64_t row_blocks = weight.size(0) / rows, column_blocks = weight.size(1) / columns;
  const auto width = static_cast<size_t>(weight.size(1)), values_each = size_t{1} << bits;
  CodeBookWeight result{Tensor::empty(DType::uint8, weight.sizes()),
                        Tensor::empty(DType::float64, {row_blocks, column_blocks, static_cast<int64_t>(values_each), 1})};
  auto* codes = result.codes.mutable_data<uint8_t>();
  auto* books = result.book.mutable_data<double>();
  const Tensor source = weight.for_one_use();
  parallel_for(static_cast<size_t>(row_blocks * column_blocks), threads, [&](size_t block) {
    const auto row = static_cast<int64_t>(block) / column_blocks * rows, column = static_cast<int64_t>(block) % column_blocks * columns;
    const Tensor part = converted(source.narrowed(0, row, rows).narrowed(1, column, columns), DType::float32).contiguous();
    const std::span<const float> x = part.span<float>();
    if (!std::all_of(x.begin(), x.end(), [](float value) { return std::isfinite(value); }))
      throw_bad_input(fmt::format("the weight has NaN or infinity in rows {} to {}; keep the layer in float or repair the checkpoint", row,
                                  row + rows - 1));
    std::vector<float> bounds = find_centres(SortedValues({x.begin(), x.end()}), {books + block * values_each, values_each});
    bounds.resize(values_each - 1, std::numeric_limits<float>::infinity());
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t at = (static_cast<size_t>(row) + i / static_cast<size_t>(columns)) * width + static_cast<size_t>(column) +
                        i % static_cast<size_t>(columns);
      codes[at] = code_of(x[i], bounds, bits);
    }
  });
  return result;
}

}  // namespace intaglio::quant
