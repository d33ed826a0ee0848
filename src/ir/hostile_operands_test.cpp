// Every rule of inference, with operands that no exporter writes.
#include "testing/hostile_operands.h"

#include <gtest/gtest.h>

#include "ir/infer.h"

namespace intaglio::infer {
namespace {

TEST(HostileOperands, AreInferredOrRefused) {
  const std::vector<std::string_view> operators = inferred_operators();
  ASSERT_GT(operators.size(), 300u);
  EXPECT_EQ(test::hostile_findings(operators, test::hostile_draws(80, 10000), [](ExportedProgram& program) { verify(program); }), "");
}

}  // namespace
}  // namespace intaglio::infer
