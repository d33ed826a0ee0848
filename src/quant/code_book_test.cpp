#include "quant/code_book.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <intaglio/error.h>

namespace intaglio::quant {
namespace {

double squared_error(const Tensor& weight, const CodeBookWeight& made, int64_t rows) {
  const int64_t columns = weight.size(1), values = made.book.size(2);
  double sum = 0;
  for (int64_t i = 0; i < weight.numel(); ++i) {
    const int64_t book = i / columns / rows;
    const double value = made.book.data<double>()[book * values + made.codes.data<uint8_t>()[i]];
    sum += std::pow(static_cast<double>(weight.data<float>()[i]) - value, 2);
  }
  return sum;
}

// The best two clusters of few numbers, by trying every cut.
double best_of_two(std::vector<float> x) {
  std::sort(x.begin(), x.end());
  const auto error = [&](size_t begin, size_t end) {
    double mean = 0, sum = 0;
    for (size_t i = begin; i < end; ++i) mean += static_cast<double>(x[i]) / static_cast<double>(end - begin);
    for (size_t i = begin; i < end; ++i) sum += std::pow(static_cast<double>(x[i]) - mean, 2);
    return sum;
  };
  double best = error(0, x.size());
  for (size_t cut = 1; cut < x.size(); ++cut) best = std::min(best, error(0, cut) + error(cut, x.size()));
  return best;
}

Tensor drawn(int64_t rows, int64_t columns, double power) {
  std::mt19937 generator(5);
  std::normal_distribution<double> normal;
  Tensor weight = Tensor::empty(DType::float32, {rows, columns});
  for (int64_t i = 0; i < weight.numel(); ++i) {
    const double x = normal(generator);
    weight.mutable_data<float>()[i] = static_cast<float>(std::copysign(std::pow(std::abs(x), power), x));
  }
  return weight;
}

TEST(CodeBook, IsTheBestThereIs) {
  for (const double power : {0.3, 1.0, 4.0}) {
    const Tensor weight = drawn(2, 60, power);
    const CodeBookWeight made = quantize_to_code_book(weight, 1, 2, 60, 1);
    const double best = best_of_two({weight.span<float>().begin(), weight.span<float>().end()});
    EXPECT_NEAR(squared_error(weight, made, 2), best, 1e-9 * best);
  }
}

// More values than the exact search takes: what it finds on a grid is within a thousandth of the best.
TEST(CodeBook, ManyValues) {
  const Tensor weight = drawn(8, 1000, 3);
  const CodeBookWeight made = quantize_to_code_book(weight, 1, 8, 1000, 1);
  EXPECT_LE(squared_error(weight, made, 8), 1.001 * best_of_two({weight.span<float>().begin(), weight.span<float>().end()}));
  double before = INFINITY;
  for (int bits = 1; bits <= 8; ++bits) {
    const double error = squared_error(weight, quantize_to_code_book(weight, bits, 8, 1000, 1), 8);
    EXPECT_LT(error, 0.5 * before);
    before = error;
  }
}

TEST(CodeBook, FewValuesAreKeptAsTheyAre) {
  const Tensor weight = Tensor::of<float>({0.1f, -3, 0.1f, 7, -3, -3}, {2, 3});
  const CodeBookWeight made = quantize_to_code_book(weight, 2, 2, 3, 1);
  EXPECT_EQ(made.book.sizes(), (Sizes{1, 1, 4, 1}));
  const double* book = made.book.data<double>();
  EXPECT_EQ((std::vector<double>{book[0], book[1], book[2], book[3]}), (std::vector<double>{-3, static_cast<double>(0.1f), 7, 0}));
  EXPECT_EQ((std::vector<int>{made.codes.data<uint8_t>(), made.codes.data<uint8_t>() + 6}), (std::vector<int>{1, 0, 1, 2, 0, 0}));
}

TEST(CodeBook, BlocksOfColumnsAndThreads) {
  const Tensor weight = drawn(30, 40, 1);
  const CodeBookWeight one = quantize_to_code_book(weight, 3, 30, 8, 1), three = quantize_to_code_book(weight, 3, 30, 8, 3);
  EXPECT_EQ(one.book.sizes(), (Sizes{1, 5, 8, 1}));
  EXPECT_TRUE(bit_equal(one.codes, three.codes));
  EXPECT_TRUE(bit_equal(one.book, three.book));
  EXPECT_EQ(*std::max_element(one.codes.span<uint8_t>().begin(), one.codes.span<uint8_t>().end()), 7);
  // A block by itself has the same book.
  const CodeBookWeight alone = quantize_to_code_book(weight.narrowed(1, 8, 8).contiguous(), 3, 30, 8, 1);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(one.book.data<double>()[8 + i], alone.book.data<double>()[i]);
}

TEST(CodeBook, RefusesWhatIsNotFinite) {
  Tensor weight = drawn(4, 4, 1);
  weight.mutable_data<float>()[9] = NAN;
  EXPECT_THROW(quantize_to_code_book(weight, 2, 2, 4, 1), Error);
}

}  // namespace
}  // namespace intaglio::quant
