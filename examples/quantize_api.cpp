// The documented `quantize_` flow for XNNPACK: int4 linear layers with int8 activations, int8 embeddings; no samples.
//
//   quantize_api MODEL.pt2 OUT.pt2
#include <iostream>

#include <intaglio/intaglio.h>

namespace {

void quantize(const char* model, const char* quantized_path) {
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
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: quantize_api MODEL.pt2 OUT.pt2\n";
    return 2;
  }
  try {
    quantize(argv[1], argv[2]);
  } catch (const intaglio::Error& error) {
    std::cerr << "quantize_api: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
