// The documented `quantize_` flow for Vulkan: int4 linears in groups, lowered with float16 inside.
//
//   vulkan_quantize_api 8da4w|4w MODEL.pt2 OUT.pte
#include <iostream>
#include <string_view>

#include <intaglio/intaglio.h>

namespace {

// 8da4w: inputs become int8 at run time. 4w: they stay in float.
intaglio::QuantizeConfig config_of(std::string_view scheme) {
  if (scheme == "4w")
    return intaglio::IntxWeightOnlyConfig{.weight_dtype = intaglio::IntxType::int4, .granularity = intaglio::PerGroup{32}};
  return intaglio::Int8DynamicActivationIntxWeightConfig{.weight_dtype = intaglio::IntxType::int4,
                                                         .weight_granularity = intaglio::PerGroup{32}};
}

void quantize_and_lower(std::string_view scheme, const char* model, const char* pte_path) {
  intaglio::ExportedProgram program = intaglio::load_exported_program(model);

  // 1. Linears whose rows the groups do not divide get the nearest group size that does.
  const auto linears =
      intaglio::quantize_(program, config_of(scheme), intaglio::is_linear, {.when_indivisible = intaglio::WhenIndivisible::nearest});
  std::cout << linears.text << "\n";

  // 2. Lowered. Weights are quantized and packed while the file is written.
  intaglio::to_edge_transform_and_lower(std::move(program), {intaglio::vulkan::VulkanPartitioner({.force_fp16 = true})})
      .to_executorch()
      .save(pte_path);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view scheme = argc == 4 ? argv[1] : "";
  if (scheme != "8da4w" && scheme != "4w") {
    std::cerr << "usage: vulkan_quantize_api 8da4w|4w MODEL.pt2 OUT.pte\n";
    return 2;
  }
  try {
    quantize_and_lower(scheme, argv[2], argv[3]);
  } catch (const intaglio::Error& error) {
    std::cerr << "vulkan_quantize_api: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
