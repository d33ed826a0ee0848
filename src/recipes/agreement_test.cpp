#include "recipes/agreement.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <intaglio/error.h>
#include <intaglio/interpreter.h>
#include <intaglio/recipes.h>

#include "recipes/random_inputs.h"
#include "recipes/reference.h"
#include "testing/program_builder.h"

namespace intaglio::recipes {
namespace {

using test::ProgramBuilder;
using test::ramp;

// Two linear layers over [3, features] in int8; `step` is that of the weights' values.
ExportedProgram quantized_layers(float step, int64_t features = 16) {
  ProgramBuilder b;
  Value* x = b.qdq(b.input("x", {3, features}), 0.03, 1);
  for (const char* name : {"first", "second"}) {
    Tensor integers = Tensor::empty(DType::int8, {features, features});
    int8_t* values = integers.mutable_data<int8_t>();
    for (int64_t i = 0; i < integers.numel(); ++i) values[i] = static_cast<int8_t>((i * 37 + 11) % 255 - 127);
    Value* weight = b.dequantize(b.parameter(name, integers), step, 0);
    x = b.qdq(b("aten.linear.default", x, weight), 0.05, 0);
  }
  return b.finish({x});
}

class Agreements : public ::testing::Test {
 protected:
  ~Agreements() override { std::filesystem::remove(path_); }

  Agreement of(const ExportedProgram& claimed, ExportedProgram written, const std::vector<Tensor>& sample = {}) {
    lower_and_save(std::move(written), partitioners_, path_, {.threads = 1, .compare = false});
    return agreement_of(path_, {"forward", claimed.clone()}, sample, 1);
  }

  const std::filesystem::path path_ = std::filesystem::path(::testing::TempDir()) / ("agreement_" + std::to_string(::getpid()) + ".pte");
  PartitionerList partitioners_ = [] {
    PartitionerList list;
    add_backend(list, std::string(backends().front().name));
    return list;
  }();
};

TEST_F(Agreements, OfAFileAndItsProgram) {
  const ExportedProgram program = quantized_layers(0.004f);
  const Agreement found = of(program, program.clone());
  EXPECT_EQ(found.skipped, "");
  EXPECT_EQ(found.breach, "");
  EXPECT_EQ(found.inputs, "random inputs");
  ASSERT_EQ(found.outputs.size(), 1u);
  EXPECT_GT(found.outputs[0].sqnr_db, found.outputs[0].bound_db);
  EXPECT_GT(found.outputs[0].bound_db, 10);
  EXPECT_LT(found.outputs[0].bound_db, 60);
}

TEST_F(Agreements, OtherWeightsAreABreach) {
  const Agreement found = of(quantized_layers(0.004f), quantized_layers(0.002f), {ramp({3, 16}, -1, 0.05f)});
  EXPECT_TRUE(found.breach.starts_with("output arr_0 (aten.linear.default")) << found.breach;
  EXPECT_NE(found.breach.find("on the first calibration sample"), std::string::npos) << found.breach;
  ASSERT_EQ(found.outputs.size(), 1u);
  EXPECT_LT(found.outputs[0].sqnr_db, found.outputs[0].bound_db);
}

TEST_F(Agreements, OneStepIsNone) {
  // The written file differs in one integer of a weight, as little as a file can.
  ExportedProgram other = quantized_layers(0.004f);
  for (const InputSpec& spec : other.input_specs) {
    const Tensor* integers = other.constant(spec.value);
    if (integers == nullptr || integers->dtype() != DType::int8) continue;
    Tensor moved = integers->clone();
    ++moved.mutable_data<int8_t>()[5];
    other.set_constant(spec.value, moved);
    break;
  }
  EXPECT_EQ(of(quantized_layers(0.004f), std::move(other)).breach, "");
}

TEST_F(Agreements, IntegersThatDependOnNoFloatAreExact) {
  const auto program = [](int64_t by) {
    ProgramBuilder b;
    return b.finish({b("aten.add.Tensor", b.input("x", {{4}, DType::int64}), by)});
  };
  EXPECT_EQ(of(program(3), program(3)).breach, "");
  EXPECT_NE(of(program(3), program(4)).breach.find("other integers"), std::string::npos);
}

TEST_F(Agreements, WithoutARunnerNothingIsCompared) {
  const ExportedProgram program = quantized_layers(0.004f);
  const char* before = std::getenv("INTAGLIO_RUNTIME_DIR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("INTAGLIO_RUNTIME_DIR", ::testing::TempDir().c_str(), 1);
  const Agreement found = of(program, program.clone());
  if (before == nullptr) ::unsetenv("INTAGLIO_RUNTIME_DIR");
  else ::setenv("INTAGLIO_RUNTIME_DIR", kept.c_str(), 1);
  EXPECT_NE(found.skipped, "");
  EXPECT_EQ(found.breach, "");
}

TEST(Reference, LargeLayersInPartsGiveTheSameNumbers) {
  const ExportedProgram program = quantized_layers(0.0005f, 1100);
  const ExportedProgram reference = reference_of(program);
  size_t layers = 0;
  for (const Node* node : reference.graph().node_list()) layers += node->is("aten.linear.default");
  EXPECT_GT(layers, 4u);
  const std::vector<Tensor> inputs = random_inputs(program);
  const Tensor whole = Interpreter(program, {.threads = 1}).run(inputs)[0], parts = run_reference(reference, inputs, 2)[0];
  ASSERT_EQ(whole.sizes(), parts.sizes());
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < whole.numel(); ++i) {
    worst = std::max<double>(worst, std::abs(whole.data<float>()[i] - parts.data<float>()[i]));
    largest = std::max<double>(largest, std::abs(whole.data<float>()[i]));
  }
  EXPECT_GT(largest, 0.5);
  EXPECT_LE(worst, 0.051);  // a sum on the edge between two steps
}

TEST(Reference, OneStepOffDependsOnTheSeedAlone) {
  const ExportedProgram reference = reference_of(quantized_layers(0.004f));
  const std::vector<Tensor> inputs = random_inputs(reference);
  const Tensor once = run_one_step_off(reference, inputs, 0, 1)[0];
  EXPECT_TRUE(bit_equal(once, run_one_step_off(reference, inputs, 0, 3)[0]));
  EXPECT_FALSE(bit_equal(once, run_one_step_off(reference, inputs, 1, 1)[0]));
  EXPECT_FALSE(bit_equal(once, run_reference(reference, inputs, 1)[0]));
}

TEST(RandomInputs, FitTheProgram) {
  ProgramBuilder b;
  Value* words = b.input("words", {{2, 50}, DType::int64});
  Value* flags = b.input("flags", {{100}, DType::int32});
  Value* table = b.parameter("table", ramp({7, 3}, 0, 1));
  Value* shifted = b("aten.view.default", words, std::vector<int64_t>{100});
  const ExportedProgram program = b.finish({b("aten.embedding.default", table, shifted), b("aten.add.Tensor", flags, int64_t{1})});
  const std::vector<Tensor> inputs = random_inputs(program);
  ASSERT_EQ(inputs.size(), 2u);
  const std::span<const int64_t> drawn = inputs[0].span<int64_t>();
  EXPECT_EQ(*std::ranges::min_element(drawn), 0);
  EXPECT_EQ(*std::ranges::max_element(drawn), 6);
  const std::span<const int32_t> bits = inputs[1].span<int32_t>();
  EXPECT_EQ(*std::ranges::max_element(bits), 1);
  EXPECT_TRUE(bit_equal(inputs[0], random_inputs(program)[0]));
}

}  // namespace
}  // namespace intaglio::recipes
