#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>
#include <intaglio/weights.h>

#include "base/is_there.h"
#include "base/mapped_file.h"
#include "ir/json.h"
#include "pt2/safetensors.h"

namespace intaglio {
namespace {

using Tensors = std::map<std::string, Tensor>;

Tensors read_shards(const std::filesystem::path& folder) {
  const std::filesystem::path index = folder / "model.safetensors.index.json";
  std::set<std::string> shards;
  const auto file = MappedFile::open(index);
  const auto bytes = file->bytes();
  try {
    const json::Document document(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    for (const auto& [name, shard] : document.root().at("weight_map").object("weight_map")) {
      const std::filesystem::path path = json::Value(shard).string("weight_map");
      if (path.has_parent_path()) throw_bad_input(fmt::format("the shard '{}' is not beside the index", escaped(path.string())));
      shards.insert(path.string());
    }
  } catch (const Error& error) { throw error.with_context(escaped(index.string())); }
  Tensors tensors;
  for (const std::string& shard : shards) tensors.merge(read_safetensors(folder / shard));
  return tensors;
}

Tensors read_weights(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return read_safetensors(path);
  const std::filesystem::path whole = path / "model.safetensors";
  return is_there(whole) ? read_safetensors(whole) : read_shards(path);
}

// The tensor of this name, or of what is left of it without outer modules.
const Tensors::value_type* find(const Tensors& tensors, const std::string& target) {
  for (size_t start = 0; start != std::string::npos;) {
    if (const auto found = tensors.find(target.substr(start)); found != tensors.end()) return &*found;
    const size_t dot = target.find('.', start);
    start = dot == std::string::npos ? dot : dot + 1;
  }
  return nullptr;
}

std::string form(const Tensor& tensor) { return fmt::format("{} [{}]", name(tensor.dtype()), fmt::join(tensor.sizes(), ", ")); }

void check_form(const std::string& target, const Tensor& wanted, const Tensor& found) {
  if (wanted.dtype() == found.dtype() && wanted.sizes() == found.sizes()) return;
  throw_bad_input(fmt::format("'{}' is {}, and the program's is {}: it is another model's, or was exported in another type",
                              escaped(target), form(found), form(wanted)));
}

}  // namespace

void replace_weights(ExportedProgram& program, const std::filesystem::path& file_or_folder) {
  const Tensors tensors = read_weights(file_or_folder);
  try {
    std::set<std::string> used;
    std::map<const Storage*, Tensor> by_storage;  // tied parameters go by one name
    const std::vector<std::pair<std::string, StateEntry>> entries = program.state.entries();
    for (const auto& [target, entry] : entries) {
      const auto* found = find(tensors, target);
      if (!found) continue;
      check_form(found->first, entry.tensor, found->second);
      const bool is_first = used.insert(found->first).second;
      const bool is_other = by_storage.emplace(entry.tensor.storage().get(), found->second).second;
      if (!is_first && is_other)
        throw_bad_input(fmt::format("'{}' could be '{}' and another tensor of the program; name it as the program does",
                                    escaped(found->first), escaped(target)));
    }
    for (const auto& [target, entry] : entries) {
      const auto* found = find(tensors, target);
      const auto tied = by_storage.find(entry.tensor.storage().get());
      const bool is_tied = !found && tied != by_storage.end() && tied->second.sizes() == entry.tensor.sizes();
      if (!found && !is_tied && entry.is_parameter)
        throw_bad_input(fmt::format("it has no tensor for the program's parameter '{}'", escaped(target)));
      if (found || is_tied) program.state.find(target)->tensor = found ? found->second : tied->second;
    }
    for (const auto& [name, tensor] : tensors)
      if (!used.contains(name)) throw_bad_input(fmt::format("'{}' is no tensor of the program: it is another model's", escaped(name)));
  } catch (const Error& error) { throw error.with_context(escaped(file_or_folder.string())); }
}

}  // namespace intaglio
