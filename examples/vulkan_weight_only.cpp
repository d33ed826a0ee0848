// The documented Vulkan flow with a quantizer: int8 weights of linears with a scale per channel, then lowering.
//
//   vulkan_weight_only MODEL.pt2 OUT.pt2 OUT.pte
#include <iostream>

#include <intaglio/intaglio.h>

namespace {

void quantize_and_lower(const char* model, const char* quantized_path, const char* pte_path) {
  // 1. The captured program, and a quantizer that says what is quantized and how.
  intaglio::ExportedProgram program = intaglio::load_exported_program(model);
  intaglio::vulkan::VulkanQuantizer quantizer;
  quantizer.set_global(intaglio::vulkan::get_symmetric_quantization_config({.is_dynamic = false, .weight_bits = 8}));

  // 2. Weights alone are observed: no sample is needed. The result loads in PyTorch.
  intaglio::ExportedProgram quantized = intaglio::convert_pt2e(intaglio::prepare_pt2e(std::move(program), quantizer));
  intaglio::save_exported_program(quantized, quantized_path);

  // 3. Lowered to Vulkan; what it does not take runs on XNNPACK, and the rest on the runtime's own kernels.
  intaglio::to_edge_transform_and_lower(std::move(quantized),
                                        {intaglio::vulkan::VulkanPartitioner(), intaglio::xnnpack::XnnpackPartitioner()})
      .to_executorch()
      .save(pte_path);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: vulkan_weight_only MODEL.pt2 OUT.pt2 OUT.pte\n";
    return 2;
  }
  try {
    quantize_and_lower(argv[1], argv[2], argv[3]);
  } catch (const intaglio::Error& error) {
    std::cerr << "vulkan_weight_only: " << error.what() << "\n";
    return 1;
  }
  std::cout << argv[2] << "\n" << argv[3] << "\n";
  return 0;
}
