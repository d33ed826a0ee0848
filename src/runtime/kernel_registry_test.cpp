#include "runtime/kernel_registry.h"
#include "pte/kernel_table.h"
#include "testing/errors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include <intaglio/error.h>

namespace intaglio::runtime {
namespace {

using test::error_of;

using Arguments = std::vector<KernelArgument>;

Tensor run(std::string_view name, const Arguments& arguments, DType dtype, Sizes sizes) {
  std::vector<Tensor> outs{Tensor::zeros(dtype, std::move(sizes))};
  call_kernel(name, arguments, outs);
  return outs[0];
}

TEST(KernelRegistry, TheCommittedTableIsWhatTheLibrariesRegister) {
  std::vector<std::string> known;
  size_t callable = 0;
  for (const pte::RuntimeKernel& kernel : pte::runtime_kernels()) {
    known.emplace_back(kernel.key);
    callable += has_kernel(kernel.key);
    EXPECT_EQ(has_kernel(kernel.key), !pte::outs_of(kernel).empty()) << kernel.key;
  }
  std::sort(known.begin(), known.end());
  EXPECT_EQ(known, registered_kernels());
  EXPECT_EQ(known.size(), 259u);
  EXPECT_EQ(callable, 229u);
  EXPECT_FALSE(has_kernel("aten::copy_"));
  EXPECT_FALSE(has_kernel("aten::sort.values"));
}

TEST(KernelRegistry, ArithmeticAndStrides) {
  const Tensor a = Tensor::of<float>({1, 2, 3, 4}, {2, 2});
  const std::vector<int64_t> swap{1, 0};
  EXPECT_TRUE(
      bit_equal(run("aten::add.out", {a, a.permuted(swap), int64_t{2}}, DType::float32, {2, 2}), Tensor::of<float>({3, 8, 7, 12}, {2, 2})));
  EXPECT_TRUE(bit_equal(run("aten::full.out", {std::vector<int64_t>{2}, 1.5}, DType::float32, {2}), Tensor::of<float>({1.5f, 1.5f}, {2})));
  EXPECT_TRUE(bit_equal(run("aten::arange.start_out", {int64_t{1}, int64_t{7}, int64_t{2}}, DType::int64, {3}),
                        Tensor::of<int64_t>({1, 3, 5}, {3})));
}

TEST(KernelRegistry, ListsTextAndNone) {
  const Tensor x = Tensor::of<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  EXPECT_TRUE(bit_equal(run("aten::permute_copy.out", {x, std::vector<int64_t>{1, 0}}, DType::float32, {3, 2}),
                        Tensor::of<float>({1, 4, 2, 5, 3, 6}, {3, 2})));
  EXPECT_TRUE(bit_equal(run("aten::cat.out", {std::vector<Tensor>{x, x}, int64_t{0}}, DType::float32, {4, 3}),
                        Tensor::of<float>({1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6}, {4, 3})));
  const std::vector<std::optional<Tensor>> indices{std::nullopt, Tensor::of<int64_t>({2, 0}, {2})};
  EXPECT_TRUE(bit_equal(run("aten::index.Tensor_out", {x, indices}, DType::float32, {2, 2}), Tensor::of<float>({3, 1, 6, 4}, {2, 2})));
  EXPECT_TRUE(bit_equal(run("aten::clamp.out", {x, int64_t{2}, std::monostate{}}, DType::float32, {2, 3}),
                        Tensor::of<float>({2, 2, 3, 4, 5, 6}, {2, 3})));
  const Tensor gelu = run("aten::gelu.out", {x, std::string("none")}, DType::float32, {2, 3});
  EXPECT_NEAR(gelu.span<float>()[0], 0.8413447f, 1e-6);
  EXPECT_TRUE(bit_equal(run("aten::mean.out", {x, std::vector<int64_t>{1}, false, std::monostate{}}, DType::float32, {2}),
                        Tensor::of<float>({2, 5}, {2})));
}

TEST(KernelRegistry, SeveralOuts) {
  const Tensor x = Tensor::of<float>({3, 1, 2, 5}, {1, 4});
  std::vector<Tensor> outs{Tensor::zeros(DType::float32, {1, 2}), Tensor::zeros(DType::int64, {1, 2})};
  call_kernel("aten::topk.values", Arguments{x, int64_t{2}, int64_t{1}, true, true}, outs);
  EXPECT_TRUE(bit_equal(outs[0], Tensor::of<float>({5, 3}, {1, 2})));
  EXPECT_TRUE(bit_equal(outs[1], Tensor::of<int64_t>({3, 0}, {1, 2})));
  std::vector<Tensor> parts{Tensor::zeros(DType::float32, {1, 1}), Tensor::zeros(DType::float32, {1, 3})};
  call_kernel("aten::split_with_sizes_copy.out", Arguments{x, std::vector<int64_t>{1, 3}, int64_t{1}}, parts);
  EXPECT_TRUE(bit_equal(parts[0], Tensor::of<float>({3}, {1, 1})));
  EXPECT_TRUE(bit_equal(parts[1], Tensor::of<float>({1, 2, 5}, {1, 3})));
}

TEST(KernelRegistry, OutputsComeBackWithTheKernelsSizes) {
  const Tensor x = Tensor::of<float>({0, 7, 0, 9}, {4});
  EXPECT_TRUE(bit_equal(run("aten::nonzero.out", {x}, DType::int64, {4, 1}), Tensor::of<int64_t>({1, 3}, {2, 1})));
}

TEST(KernelRegistry, ScalarsAndEmptyTensors) {
  EXPECT_EQ(run("aten::neg.out", {Tensor::scalar(2.0f)}, DType::float32, {}).item_as_double(), -2);
  EXPECT_EQ(run("aten::neg.out", {Tensor::zeros(DType::float32, {0, 3})}, DType::float32, {0, 3}).numel(), 0);
}

TEST(KernelRegistry, CallsThatDoNotFitAreRefusedBeforeTheSdkSeesThem) {
  const Tensor x = Tensor::of<float>({1, 2}, {2});
  struct Case {
    const char* kernel;
    Arguments arguments;
    const char* message;
  };
  const Case cases[] = {
      {"aten::gelu.out", {x, std::monostate{}}, "argument approximate must be a value"},
      {"aten::gelu.out", {x, int64_t{1}}, "argument approximate must be text"},
      {"aten::add.out", {x, x}, "3 arguments expected, 2 given"},
      {"aten::add.out", {x, 1.0, int64_t{1}}, "argument other must be a tensor"},
      {"aten::add.out", {x, Tensor(), int64_t{1}}, "argument other must be a defined tensor"},
      {"aten::cat.out", {x, int64_t{0}}, "argument tensors must be a list of tensors"},
      {"aten::permute_copy.out", {x, std::vector<double>{0}}, "must be a list of integers"},
      {"aten::mean.out", {x, std::vector<int64_t>{0}, int64_t{0}, std::monostate{}}, "argument keepdim must be a bool"},
  };
  for (const auto& item : cases) {
    const Error error = error_of([&] { run(item.kernel, item.arguments, DType::float32, {2}); });
    EXPECT_EQ(error.kind(), ErrorKind::bug) << error.what();
    EXPECT_NE(std::string(error.what()).find(item.message), std::string::npos) << error.what();
  }
}

TEST(KernelRegistry, WhatTheKernelRefusesIsUnsupported) {
  const Tensor x = Tensor::of<float>({1, 2}, {2});
  const Error shapes = error_of([&] { run("aten::mm.out", {x, x}, DType::float32, {2}); });
  EXPECT_EQ(shapes.kind(), ErrorKind::unsupported);
  EXPECT_NE(std::string(shapes.what()).find("kernel aten::mm.out refused the call: "), std::string::npos) << shapes.what();
  const Error dims = error_of([&] { run("aten::cat.out", {std::vector<Tensor>{x}, int64_t{3}}, DType::float32, {2}); });
  EXPECT_EQ(std::string(dims.what()), "kernel aten::cat.out: dimension 3 of a tensor of 1");
  const Error missing = error_of([&] { run("aten::sort.values", {x}, DType::float32, {2}); });
  EXPECT_EQ(missing.kind(), ErrorKind::unsupported);
}

TEST(KernelRegistry, AFailedCheckInsideAKernelDoesNotEndTheProcess) {
  // Its range check is fatal in the SDK.
  const Tensor x = Tensor::of<float>({1, 2}, {2});
  const Arguments arguments{x, 0.5, int64_t{0}, int64_t{-1000}, int64_t{1000}, int64_t{1}};
  const Error error = error_of([&] { run("quantized_decomposed::quantize_per_tensor.out", arguments, DType::int8, {2}); });
  EXPECT_EQ(error.kind(), ErrorKind::unsupported) << error.what();
  EXPECT_EQ(run("aten::neg.out", {x}, DType::float32, {2}).span<float>()[1], -2);
}

TEST(KernelRegistry, SeveralThreadsAtOnce) {
  std::vector<float> values(1 << 14);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 251) / 50;
  const Tensor x = Tensor::of<float>(std::span<const float>(values), {128, 128});
  const Tensor expected = run("aten::_softmax.out", {x, int64_t{1}, false}, DType::float32, {128, 128});
  std::vector<std::thread> threads;
  std::atomic<int> equal = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 8; ++repeat)
        equal += bit_equal(run("aten::_softmax.out", {x, int64_t{1}, false}, DType::float32, {128, 128}), expected);
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(equal, 32);
}

}  // namespace
}  // namespace intaglio::runtime
