// exynos_quantize MODEL.pt2 SAMPLES OUT.pt2 torchao|intaglio [per_tensor]: the program as Exynos's quantizer converts it, calibrated with
// SAMPLES/*.npz (arrays named arr_0, arr_1, ... in the order of the inputs). Weights stay float with `quantize` nodes, as for its backend.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string_view>

#include <intaglio/data.h>
#include <intaglio/exynos.h>
#include <intaglio/pt2.h>

namespace intaglio {
namespace {

std::vector<Tensor> sample_of(const std::filesystem::path& file) {
  std::vector<NamedArray> arrays = read_arrays(file);
  std::ranges::sort(arrays, {}, &NamedArray::name);
  std::vector<Tensor> sample;
  for (NamedArray& array : arrays) sample.push_back(std::move(array.tensor));
  return sample;
}

void quantize(const std::vector<std::string_view>& words) {
  const Compat compat = words[3] == "torchao" ? Compat::torchao : Compat::intaglio;
  exynos::EnnQuantizer quantizer(compat);
  quantizer.set_quant_params("A8W8", words.size() < 5);
  PreparedProgram prepared = prepare_pt2e(load_exported_program(words[0]), quantizer, {.compat = compat, .threads = 1});
  std::vector<std::filesystem::path> files(std::filesystem::directory_iterator(words[1]), {});
  std::ranges::sort(files);
  for (const std::filesystem::path& file : files) prepared(sample_of(file));
  save_exported_program(convert_pt2e(std::move(prepared), {.fold_quantize = false}), words[2]);
}

}  // namespace
}  // namespace intaglio

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  try {
    intaglio::quantize({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
