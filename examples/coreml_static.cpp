// The documented 8-bit flow for Core ML: weights and activations as CoreMLQuantizer annotates them, or weights alone; lowered for iOS 17.
//
//   coreml_static static|weight_only MODEL.pt2 SAMPLE.npy OUT.pt2 OUT.pte
#include <iostream>
#include <string_view>

#include <intaglio/intaglio.h>

namespace {

using namespace intaglio;

void quantize_and_lower(std::string_view scheme, const char* model, const char* sample, const char* quantized_path, const char* pte_path) {
  ExportedProgram program = load_exported_program(model);

  // 1. Symmetric int8 with a scale for each output channel; activations as well, or in float.
  coreml::ModuleLinearQuantizerConfig layers;
  if (scheme == "weight_only") layers.activation_dtype = coreml::ActivationDType::float32;
  const coreml::CoreMLQuantizer quantizer(coreml::LinearQuantizerConfig{.global_config = layers});

  // 2. Observers see the sample. Real calibration takes a hundred: call `prepared` for each.
  PreparedProgram prepared = prepare_pt2e(std::move(program), quantizer);
  if (scheme == "static") prepared({read_arrays(sample).at(0).tensor});
  ExportedProgram quantized = convert_pt2e(std::move(prepared));
  save_exported_program(quantized, quantized_path);

  // 3. Quantized activations need iOS 17.
  const coreml::CoreMLPartitioner partitioner({.minimum_deployment_target = coreml::DeploymentTarget::ios17});
  to_edge_transform_and_lower(std::move(quantized), {partitioner}).to_executorch().save(pte_path);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view scheme = argc == 6 ? argv[1] : "";
  if (scheme != "static" && scheme != "weight_only") {
    std::cerr << "usage: coreml_static static|weight_only MODEL.pt2 SAMPLE.npy OUT.pt2 OUT.pte\n";
    return 2;
  }
  try {
    quantize_and_lower(scheme, argv[2], argv[3], argv[4], argv[5]);
  } catch (const Error& error) {
    std::cerr << "coreml_static: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
