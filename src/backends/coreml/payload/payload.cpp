#include "backends/coreml/payload/payload.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <intaglio/error.h>

#include "backends/coreml/payload/model_bytes.h"
#include "base/sha256.h"
#include "ir/json.h"

namespace intaglio::coreml {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* author = "com.apple.CoreML";
constexpr std::string_view reference_mark = "CMJR";
constexpr std::string_view package_folder = "model.mlpackage/";
constexpr std::string_view model_path = "Data/com.apple.CoreML/model.mlmodel";
constexpr std::string_view weights_path = "Data/com.apple.CoreML/weights/weight.bin";

// In the form of a UUID (version 8: of its maker's own making).
std::string uuid_of(const Sha256& digest) {
  std::string hex = lowercase_hex(digest).substr(0, 32);
  hex[12] = '8';
  hex[16] = '8';
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4), hex.substr(20));
}

std::string uuid_of(std::string_view text) { return uuid_of(sha256(std::as_bytes(std::span(text)))); }

// One entry for the model and one for its weights, which is there without them too.
Blob manifest(const std::string& identity) {
  const std::string weights = uuid_of(identity + " weights"), model = uuid_of(identity + " model");
  const Json document = {
      {"fileFormatVersion", "1.0.0"},
      {"itemInfoEntries",
       {{weights, {{"author", author}, {"description", "CoreML Model Weights"}, {"name", "weights"}, {"path", "com.apple.CoreML/weights"}}},
        {model,
         {{"author", author},
          {"description", "CoreML Model Specification"},
          {"name", "model.mlmodel"},
          {"path", "com.apple.CoreML/model.mlmodel"}}}}},
      {"rootModelIdentifier", model}};
  return Blob(std::string_view(document.dump(2)));
}

std::string identity_of(const ModelFiles& files) {
  Sha256Hasher hasher;
  hasher.add(files.model);
  hasher.add(files.weights.digest());
  return uuid_of(hasher.digest());
}

std::vector<File> package_of(const ModelFiles& files) {
  std::vector<File> package = {{"Manifest.json", manifest(identity_of(files))}, {std::string(model_path), files.model}};
  if (files.weights.empty()) package.push_back({std::string(weights_path.substr(0, weights_path.rfind('/') + 1)), {}});
  else package.push_back({std::string(weights_path), files.weights});
  return package;
}

std::vector<std::string> input_names(const Function& function) {
  std::vector<std::string> names;
  for (const Input& input : function.inputs)
    if (!input.type.is_state) names.push_back(input.name);
  return names;
}

Json names_of(const Function& function) { return {{"inputNames", input_names(function)}, {"outputNames", function.body.outputs}}; }

std::span<const std::byte> find(const std::vector<StoredFile>& files, std::string_view path) {
  const auto found = std::ranges::find(files, path, &StoredFile::path);
  return found == files.end() ? std::span<const std::byte>() : found->data;
}

std::vector<std::string> texts(const json::Value& list, std::string_view what) {
  std::vector<std::string> result;
  for (const json::Value item : list.array(what)) result.emplace_back(item.string(what));
  return result;
}

}  // namespace

std::vector<File> package_of(const Program& program) { return package_of(write_model(program)); }

Blob write_payload(const Program& program) {
  const ModelFiles files = write_model(program);
  Json metadata;
  if (program.functions.size() == 1) metadata = names_of(program.functions[0]);
  else
    for (const Function& function : program.functions) metadata["methods"][function.name] = names_of(function);
  metadata["identifier"] = "executorch_" + identity_of(files);
  std::vector<File> tree = {{"metadata.json", Blob(std::string_view(metadata.dump()))}};
  for (File& file : package_of(files)) tree.push_back({std::string(package_folder) + file.path, std::move(file.data)});
  return file_system_blob("lowered_module", tree);
}

Blob write_reference(const FunctionReference& reference) {
  const Json document = {{"version", 1}, {"key", reference.key}, {"functionName", reference.function}};
  return Blob(std::string_view(std::string(reference_mark) + document.dump()));
}

std::optional<FunctionReference> read_reference(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(reference_mark)) return std::nullopt;
  const json::Document document(text.substr(reference_mark.size()));
  if (document.root().at("version").integer("version") != 1) throw_bad_input("a Core ML payload: its reference is not of version 1");
  return FunctionReference{std::string(document.root().at("key").string("key")),
                           std::string(document.root().at("functionName").string("functionName"))};
}

Payload read_payload(std::span<const std::byte> bytes) {
  const std::vector<StoredFile> files = read_file_system(bytes);
  const std::span<const std::byte> metadata = find(files, "metadata.json"),
                                   model = find(files, fmt::format("{}{}", package_folder, model_path));
  if (metadata.empty() || model.empty()) throw_bad_input("a Core ML payload: no metadata.json and model.mlmodel are in it");
  const json::Document document({reinterpret_cast<const char*>(metadata.data()), metadata.size()});
  Payload payload{std::string(document.root().at("identifier").string("identifier")),
                  read_model(model, find(files, fmt::format("{}{}", package_folder, weights_path)))};
  const bool is_one = payload.program.functions.size() == 1;
  for (const Function& function : payload.program.functions) {
    const json::Value names = is_one ? document.root() : document.root().at("methods").at(function.name);
    if (texts(names.at("inputNames"), "inputNames") != input_names(function) ||
        texts(names.at("outputNames"), "outputNames") != function.body.outputs)
      throw_bad_input("a Core ML payload: metadata.json names other inputs or outputs than the model has");
  }
  return payload;
}

void check_payload(std::span<const std::byte> bytes) {
  if (!read_reference(bytes)) read_payload(bytes);
}

}  // namespace intaglio::coreml
