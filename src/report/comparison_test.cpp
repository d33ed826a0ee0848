#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include <intaglio/error.h>

#include "report/comparison.h"
#include "testing/errors.h"

namespace intaglio::report {
namespace {

using test::message_of;

TEST(Comparer, SumsOverSamples) {
  Comparer comparer(std::vector<int64_t>{1, 0, 1});
  comparer.add({Tensor::of<float>({1, 3, 4, 2}, {2, 2})}, {Tensor::of<float>({1, 2, 2, 4}, {2, 2})});
  comparer.add({Tensor::of<float>({0, 5}, {1, 2})}, {Tensor::of<float>({0, 5}, {1, 2})});
  const Comparison result = comparer.result();
  EXPECT_EQ(result.samples, 2u);
  EXPECT_EQ(result.rows, 3u);
  EXPECT_DOUBLE_EQ(*result.top1_agreement, 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(*result.reference_accuracy, 1.0);
  EXPECT_DOUBLE_EQ(*result.candidate_accuracy, 2.0 / 3.0);
  // signal 1 + 9 + 16 + 4 + 25, noise 1 + 4 + 4
  EXPECT_NEAR(result.outputs.at(0).metrics.sqnr_db, 10 * std::log10(55.0 / 9.0), 1e-9);
  EXPECT_EQ(result.outputs.at(0).metrics.max_abs_error, 2.0);
}

TEST(Comparer, LabelsMayBeAmongTheFiveBest) {
  Comparer comparer(std::vector<int64_t>{0, 5});
  const Tensor row = Tensor::of<float>({1, 2, 3, 4, 5, 6}, {1, 6});
  comparer.add({row}, {Tensor::of<float>({2, 1, 3, 4, 5, 6}, {1, 6})});  // the fifth of six
  comparer.add({row}, {Tensor::of<float>({6, 1, 3, 4, 5, 1}, {1, 6})});  // as good as another that stands before it
  const Comparison result = comparer.result();
  EXPECT_DOUBLE_EQ(*result.reference_top5, 0.5);
  EXPECT_DOUBLE_EQ(*result.candidate_top5, 0.5);
  EXPECT_DOUBLE_EQ(*result.candidate_accuracy, 0.0);
}

TEST(Comparer, SaysWhatDoesNotFit) {
  const Tensor two = Tensor::of<float>({1, 2}, {1, 2}), three = Tensor::of<float>({1, 2, 3}, {1, 3});
  EXPECT_EQ(message_of([&] { Comparer().add({two}, {three}); }), "output 0: the reference has sizes [1, 2], the candidate [1, 3]");
  EXPECT_NE(message_of([&] { Comparer().add({two, two}, {two}); }).find("2 outputs, the candidate 1"), std::string::npos);
  Comparer comparer(std::vector<int64_t>{0, 1});
  comparer.add({two}, {two});
  EXPECT_NE(message_of([&] { comparer.result(); }).find("the labels are 2, the samples have 1 rows"), std::string::npos);
}

TEST(Comparer, ComplexOutputsAreTheirParts) {
  const auto complex = [](std::initializer_list<float> parts) {
    const Tensor pairs = Tensor::of<float>(parts, {2, 2});
    return Tensor(DType::complex64, {2}, {1}, 0, pairs.storage());
  };
  Comparer comparer;
  comparer.add({complex({1, 3, 4, 2})}, {complex({1, 2, 2, 4})});
  const Comparison result = comparer.result();
  EXPECT_NEAR(result.outputs.at(0).metrics.sqnr_db, 10 * std::log10(30.0 / 9.0), 1e-9);
  EXPECT_FALSE(result.top1_agreement);
  EXPECT_EQ(message_of([&] { Comparer().add({complex({1, 3, 4, 2})}, {Tensor::of<float>({1, 2}, {2})}); }),
            "output 0: the reference is of complex64, the candidate of float32");
}

TEST(Comparer, LabelsAreClasses) {
  const Tensor two = Tensor::of<float>({1, 2}, {1, 2});
  for (const int64_t label : {-1, 2}) {
    Comparer comparer(std::vector<int64_t>{label});
    EXPECT_NE(message_of([&] { comparer.add({two}, {two}); }).find("is none of the 2 classes"), std::string::npos);
  }
}

TEST(Comparer, AbsentOutputsLeaveNoGap) {
  Comparer comparer;
  const Tensor x = Tensor::of<float>({1, 2}, {2});
  comparer.add({Tensor(), x}, {Tensor(), x});
  EXPECT_EQ(comparer.result().outputs.at(0).index, 1u);
}

}  // namespace
}  // namespace intaglio::report
