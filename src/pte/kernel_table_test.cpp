#include "pte/kernel_table.h"

#include <gtest/gtest.h>

#include <fstream>

#include <intaglio/error.h>
#include <nlohmann/json.hpp>

#include "pte/scalar_type.h"
#include "testing/source_dir.h"

namespace intaglio::pte {
namespace {

TEST(KernelTable, EveryRowParsesAndIsFound) {
  EXPECT_EQ(runtime_kernels().size(), 259u);
  for (const RuntimeKernel& kernel : runtime_kernels()) {
    EXPECT_EQ(find_runtime_kernel(kernel.key), &kernel);
    if (!kernel.functional.empty()) { EXPECT_EQ(runtime_kernel_for(kernel.functional), &kernel) << kernel.key; }
    if (kernel.schema_text.empty()) continue;
    const OpSchema& schema = schema_of(kernel);
    EXPECT_FALSE(schema.arguments.empty()) << kernel.key;
    // Every argument of the kernel is the functional op's, has a default, or is a result.
    const OpSchema* functional = kernel.functional.empty() ? nullptr : find_schema(kernel.functional);
    if (functional == nullptr) continue;
    for (const ArgSchema& argument : schema.arguments) {
      EXPECT_TRUE(is_out(argument) || functional->find(argument.name) != nullptr || argument.default_text)
          << kernel.key << " " << argument.name;
    }
  }
  EXPECT_EQ(runtime_kernel_for("aten.add.Tensor")->key, "aten::add.out");
  EXPECT_EQ(runtime_kernel_for("aten.pow.Tensor_Scalar")->key, "aten::pow.Tensor_Scalar_out");
  EXPECT_EQ(runtime_kernel_for("aten.sort.default"), nullptr);
  EXPECT_EQ(find_runtime_kernel("aten::copy_")->overload(), "");
}

TEST(KernelTable, ReleasesAreTheRecords) {
  std::ifstream file(test::source_dir() / "tests/records/runtime_versions.json");
  const nlohmann::json recorded = nlohmann::json::parse(file)["kernels"];
  EXPECT_EQ(recorded.size(), 13u);
  for (const RuntimeKernel& kernel : runtime_kernels())
    EXPECT_EQ(name(kernel.since), recorded.value(std::string(kernel.key), "1.0")) << kernel.key;
  EXPECT_EQ(find_runtime_kernel("aten::grid_sampler_2d.out")->since, RuntimeVersion::v1_1);
  EXPECT_EQ(find_runtime_kernel("aten::_adaptive_avg_pool2d.out")->since, RuntimeVersion::v1_3);
}

TEST(RuntimeNeeds, NewestFirstAndEachOnce) {
  RuntimeNeeds needs;
  EXPECT_EQ(to_string(needs), "needs ExecuTorch >= 1.0");
  needs.add({RuntimeVersion::v1_0, "aten::add.out"});
  needs.add({RuntimeVersion::v1_1, "Delegate Sin"});
  needs.add({RuntimeVersion::v1_1, "Delegate Copy"});
  needs.add({RuntimeVersion::v1_1, "Delegate Sin"});
  EXPECT_EQ(to_string(needs), "needs ExecuTorch >= 1.1 (Delegate Copy, Delegate Sin)");
  needs.add({RuntimeVersion::v1_3, "aten::var_mean.correction_out"});
  needs.add_from_file({RuntimeVersion::v1_4, "constants of Delegate Add"});
  EXPECT_EQ(needs.since(), RuntimeVersion::v1_3);
  EXPECT_EQ(needs.since_from_file(), RuntimeVersion::v1_4);
  EXPECT_EQ(needs.needs().size(), 3u);
  EXPECT_EQ(to_string(needs),
            "needs ExecuTorch >= 1.3 (aten::var_mean.correction_out); to load it from a file >= 1.4 (constants of Delegate Add)");
}

TEST(KernelTable, InputsAndOuts) {
  const RuntimeKernel* add = find_runtime_kernel("aten::add.out");
  ASSERT_EQ(inputs_of(*add).size(), 3u);
  EXPECT_EQ(inputs_of(*add)[2].name, "alpha");
  EXPECT_EQ(inputs_of(*add)[2].type, ArgType::scalar);
  const RuntimeKernel* pool = find_runtime_kernel("aten::max_pool2d_with_indices.out");
  EXPECT_EQ(outs_of(*pool).size(), 2u);
  EXPECT_EQ(inputs_of(*pool)[1].fixed_length, 2);
  EXPECT_EQ(inputs_of(*pool)[1].type, ArgType::integer_list);
  const RuntimeKernel* index = find_runtime_kernel("aten::index.Tensor_out");
  EXPECT_EQ(inputs_of(*index)[1].type, ArgType::optional_tensor_list);
  EXPECT_FALSE(inputs_of(*index)[1].optional);
  const RuntimeKernel* any = find_runtime_kernel("aten::any.dims_out");
  EXPECT_EQ(inputs_of(*any)[1].type, ArgType::integer_list);
  EXPECT_TRUE(inputs_of(*any)[1].optional);
  EXPECT_TRUE(outs_of(*find_runtime_kernel("aten::copy_")).empty());
  for (const RuntimeKernel& kernel : runtime_kernels())
    for (const ArgSchema& out : outs_of(kernel)) EXPECT_TRUE(is_out(out)) << kernel.key;  // nothing else stands behind them
}

TEST(ScalarType, ProgramsHoldComplexNumbersToo) {
  EXPECT_EQ(scalar_type_of(DType::bfloat16), 15);
  EXPECT_EQ(kernel_scalar_type(DType::complex64), 9);
  EXPECT_EQ(scalar_type_of(DType::complex64), 9);
  EXPECT_EQ(dtype_of_scalar_type(9), DType::complex64);
  EXPECT_TRUE(is_program_scalar_type(9));
  EXPECT_FALSE(is_program_scalar_type(99));
  EXPECT_EQ(dtype_of_scalar_type(12), std::nullopt);
  EXPECT_EQ(scalar_type_text(12), "QINT8");
  EXPECT_EQ(scalar_type_text(6), "float32");
  EXPECT_EQ(scalar_type_text(99), "type 99");
}

}  // namespace
}  // namespace intaglio::pte
