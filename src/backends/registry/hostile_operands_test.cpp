// Every operator with operands that no exporter writes, all the way into a file: what is written passes the file's own check.
#include "testing/hostile_operands.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <intaglio/edge.h>
#include <intaglio/recipes.h>

#include "decompose/decompose.h"
#include "ir/infer.h"

namespace intaglio {
namespace {

std::vector<std::string_view> every_operator() {
  std::vector<std::string_view> all = inferred_operators();
  for (const auto& more : {decompose::decomposed_operators(), decompose::complex_operators()})
    all.insert(all.end(), more.begin(), more.end());
  std::ranges::sort(all);
  const auto repeated = std::ranges::unique(all);
  all.erase(repeated.begin(), repeated.end());
  return all;
}

class HostilePrograms : public ::testing::TestWithParam<std::string_view> {};

TEST_P(HostilePrograms, AreWrittenOrRefused) {
  const PartitionerList partitioners = GetParam().empty() ? PartitionerList() : make_recipe(std::string(GetParam())).partitioners;
  const std::vector<std::string_view> operators = every_operator();
  ASSERT_GT(operators.size(), 500u);
  EXPECT_EQ(test::hostile_findings(operators, test::hostile_draws(8, 500),
                                   [&](ExportedProgram& program) {
                                     LowerOptions lower;
                                     lower.threads = 1;
                                     ExecutorchOptions write;
                                     write.threads = 1;
                                     to_edge_transform_and_lower(std::move(program), partitioners, lower).to_executorch(write).bytes();
                                   }),
            "");
}

INSTANTIATE_TEST_SUITE_P(Backends, HostilePrograms, ::testing::Values("", "xnnpack_fp32", "vulkan_fp16", "coreml_fp16"));

}  // namespace
}  // namespace intaglio
