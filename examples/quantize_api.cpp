// The documented `quantize_` flows, which need no samples.
//
//   quantize_api xnnpack MODEL.pt2 OUT.pt2 OUT.pte   int4 linear layers with int8 activations, int8 embeddings
//   quantize_api coreml MODEL.pt2 OUT.pt2            code books of 3 bits for embeddings, int4 weights for linear layers
#include <iostream>
#include <string_view>

#include <intaglio/intaglio.h>

namespace {

void quantize_for_xnnpack(const char* model, const char* quantized_path, const char* pte_path) {
  intaglio::ExportedProgram program = intaglio::load_exported_program(model);

  // 1. Embeddings: int8 with a scale for each token.
  const auto embeddings = intaglio::quantize_(
      program, intaglio::IntxWeightOnlyConfig{.weight_dtype = intaglio::IntxType::int8, .granularity = intaglio::PerAxis{0}},
      intaglio::is_embedding, {.may_match_nothing = true});

  // 2. Linear layers: int4 in groups of 32, their inputs int8 at run time. The filter leaves out the last one.
  const auto linears =
      intaglio::quantize_(program,
                          intaglio::Int8DynamicActivationIntxWeightConfig{.weight_dtype = intaglio::IntxType::int4,
                                                                          .weight_granularity = intaglio::PerGroup{32}},
                          [](const intaglio::QuantizableLayer& layer) { return intaglio::is_linear(layer) && layer.fqn != "lm_head"; },
                          {.when_indivisible = intaglio::WhenIndivisible::float_});
  std::cout << embeddings.text << "\n" << linears.text << "\n";

  // 3. The file loads in PyTorch, with torchao imported. Weights are quantized while it is written.
  intaglio::save_exported_program(program, quantized_path);

  // 4. Lowered to XNNPACK and written for the ExecuTorch runtime.
  intaglio::to_edge_transform_and_lower(std::move(program), {intaglio::xnnpack::XnnpackPartitioner()}).to_executorch().save(pte_path);
}

void quantize_for_coreml(const char* model, const char* quantized_path) {
  intaglio::ExportedProgram program = intaglio::load_exported_program(model);
  // Sixteen rows share a code book; all columns of them are in its block.
  const auto embeddings =
      intaglio::quantize_(program, intaglio::CodebookWeightOnlyConfig{.dtype = intaglio::UintxType::uint3, .block_size = {16, -1}},
                          intaglio::is_embedding, {.may_match_nothing = true});
  const auto linears = intaglio::quantize_(
      program, intaglio::IntxWeightOnlyConfig{.weight_dtype = intaglio::IntxType::int4, .granularity = intaglio::PerGroup{32}});
  std::cout << embeddings.text << "\n" << linears.text << "\n";
  intaglio::save_exported_program(program, quantized_path);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view flow = argc > 1 ? argv[1] : "";
  try {
    if (flow == "xnnpack" && argc == 5) quantize_for_xnnpack(argv[2], argv[3], argv[4]);
    else if (flow == "coreml" && argc == 4) quantize_for_coreml(argv[2], argv[3]);
    else {
      std::cerr << "usage: quantize_api xnnpack MODEL.pt2 OUT.pt2 OUT.pte\n       quantize_api coreml MODEL.pt2 OUT.pt2\n";
      return 2;
    }
  } catch (const intaglio::Error& error) {
    std::cerr << "quantize_api: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
