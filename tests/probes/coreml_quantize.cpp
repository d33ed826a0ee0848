// coreml_quantize MODEL.pt2 SAMPLES OUT.pt2 CONFIG.json torchao|intaglio: the program as Core ML's quantizer converts it, calibrated with
// SAMPLES/*.npz (arrays named arr_0, arr_1, ... in the order of the inputs). CONFIG is a LinearQuantizerConfig as coremltools writes one;
// ours has `operator_configs` besides.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string_view>

#include <nlohmann/json.hpp>

#include <intaglio/coreml_quantizer.h>
#include <intaglio/data.h>
#include <intaglio/pt2.h>

namespace intaglio {
namespace {

using Json = nlohmann::ordered_json;
using namespace coreml;

template <typename T>
T among(const Json& json, const char* key, T fallback, std::initializer_list<std::string_view> words) {
  if (!json.contains(key)) return fallback;
  const std::string word = json[key];
  return static_cast<T>(std::ranges::find(words, word) - words.begin());
}

std::optional<ModuleLinearQuantizerConfig> config_of(const Json& json) {
  if (json.is_null()) return std::nullopt;
  ModuleLinearQuantizerConfig config;
  const auto observers = {std::string_view("moving_average_min_max"), std::string_view("min_max")};
  config.quantization_scheme = among(json, "quantization_scheme", config.quantization_scheme, {"symmetric", "affine"});
  config.weight_dtype = among(json, "weight_dtype", config.weight_dtype, {"qint8", "quint8", "qint4", "quint4", "float32"});
  config.activation_dtype = among(json, "activation_dtype", config.activation_dtype, {"quint8", "float32"});
  config.weight_observer = among(json, "weight_observer", config.weight_observer, observers);
  config.activation_observer = among(json, "activation_observer", config.activation_observer, observers);
  config.weight_per_channel = json.value("weight_per_channel", config.weight_per_channel);
  return config;
}

LinearQuantizerConfig read(std::string_view path) {
  std::ifstream file{std::string(path)};
  const Json json = Json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
  LinearQuantizerConfig config;
  if (json.contains("global_config")) config.global_config = config_of(json["global_config"]);
  const auto named = [&](const char* key, LinearQuantizerConfig::Named& list) {
    if (json.contains(key))
      for (const auto& [name, one] : json[key].items()) list.emplace_back(name, config_of(one));
  };
  named("module_type_configs", config.module_type_configs);
  named("module_name_configs", config.module_name_configs);
  named("operator_configs", config.operator_configs);
  return config;
}

std::vector<Tensor> sample_of(const std::filesystem::path& file) {
  std::vector<NamedArray> arrays = read_arrays(file);
  std::ranges::sort(arrays, {}, &NamedArray::name);
  std::vector<Tensor> sample;
  for (NamedArray& array : arrays) sample.push_back(std::move(array.tensor));
  return sample;
}

void quantize(const std::vector<std::string_view>& words) {
  const Compat compat = words[4] == "torchao" ? Compat::torchao : Compat::intaglio;
  const CoreMLQuantizer quantizer(read(words[3]), compat);
  PreparedProgram prepared = prepare_pt2e(load_exported_program(words[0]), quantizer, {.compat = compat, .threads = 1});
  std::vector<std::filesystem::path> files(std::filesystem::directory_iterator(words[1]), {});
  std::ranges::sort(files);
  for (const std::filesystem::path& file : files) prepared(sample_of(file));
  save_exported_program(convert_pt2e(std::move(prepared)), words[2]);
}

}  // namespace
}  // namespace intaglio

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  try {
    intaglio::quantize({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
