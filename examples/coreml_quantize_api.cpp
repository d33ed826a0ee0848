// The documented `quantize_` flows for Core ML: int4 linears in groups, or weights as tables of values, lowered for iOS 18.
//
//   coreml_quantize_api int4|codebook MODEL.pt2 OUT.pte
#include <iostream>
#include <string_view>

#include <intaglio/intaglio.h>

namespace {

using namespace intaglio;

// codebook: 8 values for each 16 rows of a weight.
QuantizeConfig config_of(std::string_view scheme) {
  if (scheme == "int4") return IntxWeightOnlyConfig{.weight_dtype = IntxType::int4, .granularity = PerGroup{32}};
  return CodebookWeightOnlyConfig{.dtype = UintxType::uint3, .block_size = {16, -1}};
}

void quantize_and_lower(std::string_view scheme, const char* model, const char* pte_path) {
  ExportedProgram program = load_exported_program(model);

  // 1. Linears whose rows the groups do not divide get the nearest group size that does.
  const auto linears = quantize_(program, config_of(scheme), is_linear, {.when_indivisible = WhenIndivisible::nearest});
  std::cout << linears.text << "\n";

  // 2. Lowered. Weights are quantized and packed while the file is written.
  const coreml::CoreMLPartitioner partitioner({.minimum_deployment_target = coreml::DeploymentTarget::ios18});
  to_edge_transform_and_lower(std::move(program), {partitioner}).to_executorch().save(pte_path);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view scheme = argc == 4 ? argv[1] : "";
  if (scheme != "int4" && scheme != "codebook") {
    std::cerr << "usage: coreml_quantize_api int4|codebook MODEL.pt2 OUT.pte\n";
    return 2;
  }
  try {
    quantize_and_lower(scheme, argv[2], argv[3]);
  } catch (const Error& error) {
    std::cerr << "coreml_quantize_api: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
