// Kernels on single nodes, with values in place.
#include "interpreter/run_op_for_tests.h"

namespace intaglio {
namespace {

using namespace test;

TEST(Unary, Activations) {
  const Tensor x = Tensor::of<float>({-4, -1, -0.5f, 0, 0.5f, 1, 4, 8}, {8});
  expect_values(run_unary("aten.relu.default", x), {0, 0, 0, 0, 0.5, 1, 4, 8});
  expect_values(run_unary("aten.hardtanh.default", x, {{"min_val", 0.0}, {"max_val", 6.0}}), {0, 0, 0, 0, 0.5, 1, 4, 6});
  expect_values(run_unary("aten.hardswish.default", x), {0, -1.0 / 3, -1.25 / 6, 0, 1.75 / 6, 2.0 / 3, 4, 8}, 1e-6);
  expect_values(run_unary("aten.sigmoid.default", x),
                {0.01798621, 0.26894142, 0.37754067, 0.5, 0.62245933, 0.73105858, 0.98201379, 0.99966465}, 1e-7);
  expect_values(run_unary("aten.tanh.default", x),
                {-0.99932930, -0.76159416, -0.46211716, 0, 0.46211716, 0.76159416, 0.99932930, 0.99999977}, 1e-7);
  expect_values(run_unary("aten.gelu.default", x), {-0.00012669, -0.15865525, -0.15426877, 0, 0.34573123, 0.84134475, 3.99987331, 8}, 1e-6);
  expect_values(run_unary("aten.erf.default", x), {-0.99999998, -0.84270079, -0.52049988, 0, 0.52049988, 0.84270079, 0.99999998, 1}, 2e-7);
  const Tensor within = Tensor::of<float>({-0.999f, -0.5f, 0, 0.1f, 0.95f}, {5});
  expect_values(run_unary("aten.erfinv.default", within), {-2.3267562, -0.47693628, 0, 0.088855989, 1.3859037}, 1e-6);
  expect_values(run_unary("aten.silu.default", x),
                {-0.07194484, -0.26894142, -0.18877033, 0, 0.31122967, 0.73105858, 3.92805516, 7.99731720}, 1e-6);
}

TEST(Unary, ExtremesOfExp) {
  const float inf = INFINITY;
  const Tensor y = run_unary("aten.exp.default", Tensor::of<float>({-inf, -200, -100, -88, 0, 88, 89, inf}, {8}));
  expect_values(y, {0, 0, 3.783506e-44, 6.0546e-39, 1, 1.6516363e38, inf, inf}, 1e33);
  EXPECT_EQ(y.data<float>()[1], 0.0f);
  EXPECT_GT(y.data<float>()[2], 0.0f);
  EXPECT_TRUE(std::isnan(run_unary("aten.exp.default", Tensor::of<float>({NAN}, {1})).data<float>()[0]));
  EXPECT_TRUE(std::isnan(run_unary("aten.relu.default", Tensor::of<float>({NAN}, {1})).data<float>()[0]));
}

TEST(Unary, RoundsHalfToEven) {
  expect_values(run_unary("aten.round.default", Tensor::of<float>({-2.5f, -1.5f, -0.5f, 0.5f, 1.5f, 2.5f, 8388609.0f}, {7})),
                {-2, -2, 0, 0, 2, 2, 8388609});
}

TEST(Binary, PromotesLikePyTorch) {
  const Tensor i32 = Tensor::of<int32_t>({1, 2}, {2}), f32 = Tensor::of<float>({0.5f, 1.5f}, {2}), i64_0d = Tensor::scalar(int64_t{3});
  const auto add = [](const std::vector<Value*>& v) { return std::vector<NamedArgument>{{"self", v[0]}, {"other", v[1]}}; };
  EXPECT_EQ(run_op("aten.add.Tensor", {i32, f32}, add)[0].dtype(), DType::float32);
  EXPECT_EQ(run_op("aten.add.Tensor", {i32, i64_0d}, add)[0].dtype(), DType::int32);  // a 0-d tensor does not widen
  EXPECT_EQ(run_unary("aten.add.Tensor", i32, {{"other", 1.5}}).dtype(), DType::float32);
  expect_values(run_unary("aten.add.Tensor", i32, {{"other", 1.5}}), {2.5, 3.5});
  EXPECT_EQ(run_unary("aten.div.Tensor", i32, {{"other", 2}}).dtype(), DType::float32);
  expect_values(run_unary("aten.rsub.Scalar", f32, {{"other", 1}, {"alpha", 2}}), {0, -2});
  expect_values(run_unary("aten.div.Tensor_mode", Tensor::of<int64_t>({-7, 7}, {2}), {{"other", 2}, {"rounding_mode", "floor"}}), {-4, 3});
  expect_values(run_unary("aten.remainder.Scalar", Tensor::of<float>({-7, 7}, {2}), {{"other", 3}}), {2, 1});
  EXPECT_EQ(run_unary("aten.gt.Scalar", f32, {{"other", 1}}).dtype(), DType::boolean);
}

TEST(Binary, BroadcastsAndRefuses) {
  const Tensor a = Tensor::of<float>({1, 2, 3, 4, 5, 6}, {2, 3}), b = Tensor::of<float>({10, 20}, {2, 1}),
               c = Tensor::of<float>({1, 2}, {2});
  const auto args = [](const std::vector<Value*>& v) { return std::vector<NamedArgument>{{"self", v[0]}, {"other", v[1]}}; };
  expect_values(run_op("aten.mul.Tensor", {a, b}, args)[0], {10, 20, 30, 80, 100, 120});
  EXPECT_NE(message_of([&] { run_op("aten.mul.Tensor", {a, c}, args); }).find("sizes [2, 3] and [2] do not broadcast"), std::string::npos);
}

TEST(Convolution, SmallByHand) {
  const Tensor x = Tensor::of<float>({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3}), w = Tensor::of<float>({1, 0, 0, -1}, {1, 1, 2, 2}),
               b = Tensor::of<float>({10}, {1});
  const auto args = [](const std::vector<Value*>& v) {
    return std::vector<NamedArgument>{{"input", v[0]}, {"weight", v[1]}, {"bias", v[2]}};
  };
  expect_values(run_op("aten.conv2d.default", {x, w, b}, args)[0], {6, 6, 6, 6});
  const auto same = [](const std::vector<Value*>& v) {
    return std::vector<NamedArgument>{{"input", v[0]}, {"weight", v[1]}, {"padding", "same"}};
  };
  expect_values(run_op("aten.conv2d.padding", {x, w}, same)[0], {-4, -4, 3, -4, -4, 6, 7, 8, 9});
  const auto transposed = [](const std::vector<Value*>& v) {
    return std::vector<NamedArgument>{
        {"input", v[0]}, {"weight", v[1]}, {"stride", std::vector<int64_t>{2, 2}}, {"output_padding", std::vector<int64_t>{1, 1}}};
  };
  const Tensor up = run_op("aten.conv_transpose2d.input", {Tensor::of<float>({1, 2, 3, 4}, {1, 1, 2, 2}), w}, transposed)[0];
  expect_values(up, {1, 0, 2, 0, 0, 0, -1, 0, -2, 0, 3, 0, 4, 0, 0, 0, -3, 0, -4, 0, 0, 0, 0, 0, 0});
}

TEST(Convolution, GroupsOneAndThreeDimensions) {
  const Tensor x = Tensor::of<float>({1, 2, 3, 10, 20, 30}, {1, 2, 3}), w = Tensor::of<float>({1, 1, 2, -1}, {2, 1, 2});
  const auto args = [](const std::vector<Value*>& v) {
    return std::vector<NamedArgument>{{"input", v[0]}, {"weight", v[1]}, {"groups", 2}};
  };
  expect_values(run_op("aten.conv1d.default", {x, w}, args)[0], {3, 5, 0, 10});
  const Tensor cube = Tensor::of<float>({1, 2, 3, 4, 5, 6, 7, 8}, {1, 1, 2, 2, 2});
  const auto plain = [](const std::vector<Value*>& v) { return std::vector<NamedArgument>{{"input", v[0]}, {"weight", v[1]}}; };
  expect_values(run_op("aten.conv3d.default", {cube, Tensor::of<float>({1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 2, 2, 2})}, plain)[0], {36});
}

TEST(Convolution, RefusesWhatDoesNotFit) {
  const auto args = [](const std::vector<Value*>& v) { return std::vector<NamedArgument>{{"input", v[0]}, {"weight", v[1]}}; };
  const Tensor x = noise({1, 3, 4, 4});
  EXPECT_NE(message_of([&] { run_op("aten.conv2d.default", {x, noise({2, 4, 3, 3})}, args); }).find("does not fit weight [2, 4, 3, 3]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { run_op("aten.conv2d.default", {x, noise({2, 3, 5, 5})}, args); }).find("too small"), std::string::npos);
}

TEST(Matmul, LinearAndProducts) {
  const Tensor x = Tensor::of<float>({1, 2, 3, 4}, {2, 2}), w = Tensor::of<float>({1, 0, 0, 1, 1, 1}, {3, 2}),
               b = Tensor::of<float>({0, 10, 20}, {3});
  const auto linear = [](const std::vector<Value*>& v) {
    return std::vector<NamedArgument>{{"input", v[0]}, {"weight", v[1]}, {"bias", v[2]}};
  };
  expect_values(run_op("aten.linear.default", {x, w, b}, linear)[0], {1, 12, 23, 3, 14, 27});
  const auto matmul = [](const std::vector<Value*>& v) { return std::vector<NamedArgument>{{"self", v[0]}, {"other", v[1]}}; };
  expect_values(run_op("aten.matmul.default", {x, Tensor::of<float>({1, -1}, {2})}, matmul)[0], {-1, -1});
  expect_values(run_op("aten.matmul.default", {Tensor::of<float>({1, 2, 3, 4}, {2, 1, 2}), x}, matmul)[0], {7, 10, 15, 22});
  expect_values(
      run_op("aten.matmul.default", {Tensor::of<int64_t>({1, 2, 3, 4}, {2, 2}), Tensor::of<int64_t>({1, 2, 3, 4}, {2, 2})}, matmul)[0],
      {7, 10, 15, 22});
}

TEST(Pooling, Windows) {
  const Tensor x = Tensor::of<float>({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3});
  const std::vector<int64_t> two = {2, 2}, one = {1, 1};
  expect_values(run_unary("aten.max_pool2d.default", x, {{"kernel_size", two}, {"stride", one}}), {5, 6, 8, 9});
  expect_values(run_unary("aten.max_pool2d.default", x, {{"kernel_size", two}, {"ceil_mode", true}}), {5, 6, 8, 9});
  expect_values(run_unary("aten.avg_pool2d.default", x, {{"kernel_size", two}, {"padding", one}}), {0.25, 1.25, 2.75, 7});
  expect_values(run_unary("aten.avg_pool2d.default", x, {{"kernel_size", two}, {"padding", one}, {"count_include_pad", false}}),
                {1, 2.5, 5.5, 7});
  expect_values(run_unary("aten.adaptive_avg_pool2d.default", x, {{"output_size", two}}), {3, 4, 6, 7});
  const auto both = run_op(
      "aten.max_pool2d_with_indices.default", {x},
      [&](const std::vector<Value*>& v) { return std::vector<NamedArgument>{{"self", v[0]}, {"kernel_size", two}}; }, 2);
  expect_values(both[1], {4});
}

TEST(Views, ReadTheSameMemory) {
  const Tensor x = Tensor::of<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  expect_values(run_unary("aten.permute.default", x, {{"dims", std::vector<int64_t>{1, 0}}}), {0, 3, 1, 4, 2, 5});
  expect_values(run_unary("aten.slice.Tensor", x, {{"dim", 1}, {"start", 1}, {"end", INT64_MAX}}), {1, 2, 4, 5});
  expect_values(run_unary("aten.select.int", x, {{"dim", 1}, {"index", -1}}), {2, 5});
  expect_values(run_unary("aten.expand.default", run_unary("aten.unsqueeze.default", Tensor::of<float>({1, 2}, {2}), {{"dim", 1}}),
                          {{"size", std::vector<int64_t>{-1, 2}}}),
                {1, 1, 2, 2});
  EXPECT_EQ(run_unary("aten.view.default", x, {{"size", std::vector<int64_t>{3, -1}}}).sizes(), (Sizes{3, 2}));
  EXPECT_EQ(run_unary("aten.flatten.using_ints", noise({2, 3, 4}), {{"start_dim", 1}}).sizes(), (Sizes{2, 12}));
  EXPECT_NE(message_of([&] { run_unary("aten.view.default", x, {{"size", std::vector<int64_t>{4, -1}}}); }).find("cannot be viewed"),
            std::string::npos);
  EXPECT_NE(message_of([&] { run_unary("aten.select.int", x, {{"dim", 1}, {"index", 3}}); }).find("index 3"), std::string::npos);
}

TEST(Reduction, OverDimensions) {
  const Tensor x = Tensor::of<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  expect_values(run_unary("aten.mean.dim", x, {{"dim", std::vector<int64_t>{0}}}), {2.5, 3.5, 4.5});
  expect_values(run_unary("aten.sum.default", x), {21});
  expect_values(run_unary("aten.amax.default", x, {{"dim", std::vector<int64_t>{1}}, {"keepdim", true}}), {3, 6});
  expect_values(run_unary("aten.var.correction", x, {{"dim", std::vector<int64_t>{1}}}), {1, 1});
  expect_values(run_unary("aten.argmax.default", x, {{"dim", 1}}), {2, 2});
  EXPECT_EQ(run_unary("aten.sum.default", Tensor::of<int32_t>({1, 2}, {2})).dtype(), DType::int64);
  expect_values(run_unary("aten.softmax.int", Tensor::of<float>({0, 0, 1, 3}, {2, 2}), {{"dim", 0}}),
                {0.26894142, 0.04742587, 0.73105858, 0.95257413}, 1e-7);
  const Tensor wide = Tensor::of<double>({0, 0, 1, 3}, {2, 2});
  expect_values(run_unary("aten.softmax.int", wide, {{"dim", 0}}),
                {0.26894142136999512, 0.047425873177566781, 0.73105857863000488, 0.95257412682243322}, 1e-15);
  expect_values(run_unary("aten.log_softmax.int", wide, {{"dim", 0}}),
                {-1.3132616875182228, -3.0485873515737421, -0.31326168751822286, -0.048587351573742062}, 1e-14);
}

TEST(Normalization, LayerAndGroup) {
  const Tensor x = Tensor::of<float>({1, 2, 3, 4}, {1, 4});
  expect_values(run_unary("aten.layer_norm.default", x, {{"normalized_shape", std::vector<int64_t>{4}}}, "input"),
                {-1.34163542, -0.44721181, 0.44721181, 1.34163542}, 1e-6);
  expect_values(run_unary("aten.group_norm.default", x, {{"num_groups", 2}}, "input"), {-0.99998, 0.99998, -0.99998, 0.99998}, 1e-5);
}

TEST(Joining, CatStackPad) {
  const Tensor a = Tensor::of<float>({1, 2}, {1, 2}), b = Tensor::of<float>({3, 4}, {1, 2});
  const auto list = [](int64_t dim) {
    return [dim](const std::vector<Value*>& v) { return std::vector<NamedArgument>{{"tensors", v}, {"dim", dim}}; };
  };
  expect_values(run_op("aten.cat.default", {a, b}, list(1))[0], {1, 2, 3, 4});
  EXPECT_EQ(run_op("aten.stack.default", {a, b}, list(-1))[0].sizes(), (Sizes{1, 2, 2}));
  const Tensor x = Tensor::of<float>({1, 2, 3}, {1, 1, 3});
  expect_values(run_unary("aten.pad.default", x, {{"pad", std::vector<int64_t>{1, 2}}, {"mode", "reflect"}}), {2, 1, 2, 3, 2, 1});
  expect_values(run_unary("aten.pad.default", x, {{"pad", std::vector<int64_t>{1, -1}}, {"value", 7.0}}), {7, 1, 2});
}

}  // namespace
}  // namespace intaglio
