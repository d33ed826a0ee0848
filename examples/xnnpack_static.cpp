// The documented XNNPACK flow: static int8 quantization of an exported program, then lowering.
//
//   xnnpack_static MODEL.pt2 CALIBRATION OUT.pt2 OUT.pte
//
// CALIBRATION is a `.npy` file or a folder of them, one call of the program each.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <vector>

#include <intaglio/intaglio.h>

namespace {

std::vector<std::filesystem::path> sample_files(const std::filesystem::path& data) {
  if (!std::filesystem::is_directory(data)) return {data};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(data)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void quantize_and_lower(const char* model, const char* calibration, const char* quantized_path, const char* pte_path) {
  // 1. The captured program, and a quantizer that says what is quantized and how.
  intaglio::ExportedProgram program = intaglio::load_exported_program(model);
  intaglio::xnnpack::XnnpackQuantizer quantizer;
  quantizer.set_global(intaglio::xnnpack::get_symmetric_quantization_config({.is_per_channel = true}));

  // 2. Observers are placed; each sample shows them the ranges.
  intaglio::PreparedProgram prepared = intaglio::prepare_pt2e(std::move(program), quantizer);
  for (const auto& file : sample_files(calibration)) prepared({intaglio::read_arrays(file).at(0).tensor});

  // 3. Observers become quantize and dequantize; the result loads in PyTorch.
  intaglio::ExportedProgram quantized = intaglio::convert_pt2e(std::move(prepared));
  intaglio::save_exported_program(quantized, quantized_path);

  // 4. Lowered to XNNPACK and written for the ExecuTorch runtime.
  intaglio::to_edge_transform_and_lower(std::move(quantized), {intaglio::xnnpack::XnnpackPartitioner()}).to_executorch().save(pte_path);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: xnnpack_static MODEL.pt2 CALIBRATION OUT.pt2 OUT.pte\n";
    return 2;
  }
  try {
    quantize_and_lower(argv[1], argv[2], argv[3], argv[4]);
  } catch (const intaglio::Error& error) {
    std::cerr << "xnnpack_static: " << error.what() << "\n";
    return 1;
  }
  std::cout << argv[3] << "\n" << argv[4] << "\n";
  return 0;
}
