// The documented Exynos flow: static int8 quantization of an exported program, then the hand-over to Samsung's compiler.
//
//   exynos_static MODEL.pt2 CALIBRATION OUT.pt2 OUT.enn
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

void quantize_and_hand_over(const char* model, const char* calibration, const char* quantized_path, const char* enn_path) {
  // 1. The captured program, and what it is quantized to: int8 activations, int8 weights with a scale for each output channel.
  intaglio::ExportedProgram program = intaglio::load_exported_program(model);
  intaglio::exynos::EnnQuantizer quantizer;
  quantizer.set_quant_params("A8W8", /*is_per_channel=*/true, /*is_qat=*/false);

  // 2. Calibration, conversion; the result loads in PyTorch.
  intaglio::PreparedProgram prepared = intaglio::prepare_pt2e(std::move(program), quantizer);
  for (const auto& file : sample_files(calibration)) prepared({intaglio::read_arrays(file).at(0).tensor});
  intaglio::ExportedProgram quantized = intaglio::convert_pt2e(std::move(prepared), {.fold_quantize = false});
  intaglio::save_exported_program(quantized, quantized_path);

  // 3. The graphs for the compiler of the Exynos 2500. With `.compiler` set to a library, `.to_executorch().save(...)` writes a `.pte`.
  const intaglio::exynos::EnnPartitioner partitioner({.chipset = intaglio::exynos::Chipset::e9955});
  intaglio::exynos::save_hand_over(intaglio::to_edge_transform_and_lower(std::move(quantized), {partitioner}), enn_path);

  // 4. What the device will compute, on this machine.
  intaglio::ExportedProgram deployed = intaglio::exynos::load_hand_over(enn_path);
  intaglio::to_reference_representation(deployed);
  const auto outputs = intaglio::Interpreter(deployed).run({intaglio::read_arrays(sample_files(calibration).at(0)).at(0).tensor});
  std::cout << enn_path << ": " << outputs.at(0).numel() << " numbers from the first sample\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: exynos_static MODEL.pt2 CALIBRATION OUT.pt2 OUT.enn\n";
    return 2;
  }
  try {
    quantize_and_hand_over(argv[1], argv[2], argv[3], argv[4]);
  } catch (const intaglio::Error& error) {
    std::cerr << "exynos_static: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
