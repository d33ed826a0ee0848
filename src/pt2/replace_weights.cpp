#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>
#include <intaglio/weights.h>

#include "base/computed.h"
#include "base/is_there.h"
#include "base/mapped_file.h"
#include "ir/json.h"
#include "pt2/checkpoint_kinds.h"
#include "pt2/safetensors.h"

namespace intaglio {
namespace {

using Tensors = std::map<std::string, Tensor>;
constexpr std::string_view shard_index = "model.safetensors.index.json";

Tensors read_shards(const std::filesystem::path& index) {
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
  for (const std::string& shard : shards) tensors.merge(read_safetensors(index.parent_path() / shard));
  return tensors;
}

Tensors read_weights(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return path.string().ends_with(".index.json") ? read_shards(path) : read_safetensors(path);
  const std::filesystem::path whole = path / "model.safetensors";
  if (is_there(whole)) return read_safetensors(whole);
  if (!is_there(path / shard_index))
    throw_bad_input(fmt::format("{}: the folder has neither model.safetensors nor {}; name the file", escaped(path.string()), shard_index));
  return read_shards(path / shard_index);
}

// The tensors of a file by name, and by how names end.
class Names {
 public:
  explicit Names(const Tensors& tensors) : tensors_(tensors) {
    for (const auto& entry : tensors) backwards_.emplace(std::string(entry.first.rbegin(), entry.first.rend()), &entry);
  }

  // The tensor of this name, or of what is left of it without outer modules, or the only one that has more of them.
  const Tensors::value_type* find(const std::string& target) const {
    for (size_t start = 0; start != std::string::npos;) {
      if (const auto found = tensors_.find(target.substr(start)); found != tensors_.end()) return &*found;
      const size_t dot = target.find('.', start);
      start = dot == std::string::npos ? dot : dot + 1;
    }
    const std::string end = std::string(target.rbegin(), target.rend()) + ".";
    const auto wrapped = backwards_.lower_bound(end);
    if (wrapped == backwards_.end() || !wrapped->first.starts_with(end)) return nullptr;
    const auto next = std::next(wrapped);
    return next == backwards_.end() || !next->first.starts_with(end) ? wrapped->second : nullptr;
  }

 private:
  const Tensors& tensors_;
  std::map<std::string, const Tensors::value_type*> backwards_;
};

std::string form(const Tensor& tensor) { return fmt::format("{} [{}]", name(tensor.dtype()), fmt::join(tensor.sizes(), ", ")); }

bool is_half(DType dtype) { return dtype == DType::float16 || dtype == DType::bfloat16; }

// Checkpoints are published in 16 bits and exported in float32, which holds each of their numbers.
Tensor in_form_of(const Tensor& wanted, const std::string& target, const Tensor& found) {
  const bool is_widened = is_half(found.dtype()) && wanted.dtype() == DType::float32;
  if (wanted.sizes() != found.sizes() || (wanted.dtype() != found.dtype() && !is_widened))
    throw_bad_input(fmt::format("'{}' is {}, and the program's is {}: {}", escaped(target), form(found), form(wanted),
                                wanted.sizes() != found.sizes() ? "it is another model's"
                                                                : fmt::format("export the model in {0}, or save the weights in {1}",
                                                                              name(found.dtype()), name(wanted.dtype()))));
  if (!is_widened) return found;
  return computed_by_rows(found, wanted.dtype(), found.sizes(),
                          [](const Tensor& narrow) { return converted(narrow, DType::float32).contiguous(); });
}

// Elements of the program's memory: what is tied has the same. Others may lie in one storage as well: parts of a larger tensor, or a
// tensor and its transpose.
using Place = std::tuple<const Storage*, int64_t, Sizes, Sizes>;
Place place_of(const Tensor& tensor) { return {tensor.storage().get(), tensor.storage_offset(), tensor.sizes(), tensor.strides()}; }

bool are_same_bytes(const Tensor& a, const Tensor& b) {
  return a.nbytes() == 0 || std::memcmp(a.as_it_lies().raw(), b.as_it_lies().raw(), a.nbytes()) == 0;
}

// How many of the last parts of two names, "layers.0.weight" and "blocks.0.weight", are the same.
size_t common_last_parts(std::string_view a, std::string_view b) {
  const size_t same = static_cast<size_t>(std::ranges::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend()).in1 - a.rbegin());
  const std::string_view end = a.substr(a.size() - same);
  const bool is_whole = same == a.size() || same == b.size() || end.starts_with('.');
  return static_cast<size_t>(std::ranges::count(end, '.')) + (is_whole && !end.starts_with('.') ? 1 : 0);
}

// The one whose name ends most like the target's, in two parts at least.
std::string similar_name(const Tensors& tensors, const std::string& target) {
  const auto likeness = [&](const auto& entry) { return common_last_parts(entry.first, target); };
  const auto similar = std::ranges::max_element(tensors, {}, likeness);
  if (similar == tensors.end() || likeness(*similar) < 2) return "";
  return fmt::format("; its '{}' may be meant: name it as the program does", escaped(similar->first));
}

// The tensors of the file by the places that they go to.
class Replacement {
 public:
  explicit Replacement(const Tensors& tensors) : tensors_(tensors), names_(tensors) {}

  void take(const std::string& target, const Tensor& wanted) {
    const auto* found = names_.find(target);
    if (!found) return;
    const auto& [name, tensor] = *found;
    const auto [taken, is_new_place] = by_place_.emplace(place_of(wanted), Taken{found, in_form_of(wanted, name, tensor)});
    if (!used_.insert(name).second && is_new_place)
      throw_bad_input(
          fmt::format("'{}' could be '{}' and another tensor of the program; name it as the program does", escaped(name), escaped(target)));
    const auto& [other_name, other] = *taken->second.found;
    if (other_name != name && !(tensor.dtype() == other.dtype() && are_same_bytes(tensor, other)))
      throw_bad_input(fmt::format("'{}' and '{}' differ, and the program has one tensor for both (tied weights): export the model untied",
                                  escaped(other_name), escaped(name)));
  }

  // Absent: the file has none.
  const Tensor* of(const Tensor& wanted) const {
    const auto taken = by_place_.find(place_of(wanted));
    return taken == by_place_.end() ? nullptr : &taken->second.tensor;
  }

  void check_all_used() const {
    for (const auto& [name, tensor] : tensors_)
      if (!used_.contains(name) && !is_computed_by_models(name, tensor))
        throw_bad_input(fmt::format("'{}' is no tensor of the program: it is another model's", escaped(name)));
  }

 private:
  struct Taken {
    const Tensors::value_type* found;
    Tensor tensor;
  };
  const Tensors& tensors_;
  Names names_;
  std::set<std::string> used_;
  std::map<Place, Taken> by_place_;
};

}  // namespace

void replace_weights(ExportedProgram& program, const std::filesystem::path& file_or_folder) {
  const Tensors tensors = read_weights(file_or_folder);
  try {
    const std::vector<std::pair<std::string, StateEntry>> entries = program.state.entries();
    Replacement replacement(tensors);
    for (const auto& [target, entry] : entries) replacement.take(target, entry.tensor);
    for (const auto& [target, entry] : entries) {
      const Tensor* tensor = replacement.of(entry.tensor);
      if (tensor) program.state.find(target)->tensor = *tensor;
      else if (entry.is_parameter)
        throw_bad_input(fmt::format("it has no tensor for the program's parameter '{}'{}", escaped(target), similar_name(tensors, target)));
    }
    replacement.check_all_used();
  } catch (const Error& error) {
    const std::string kind = why_not_plain_weights(tensors);
    throw(kind.empty() ? error : Error(ErrorKind::bad_input, kind)).with_context(escaped(file_or_folder.string()));
  }
  program.weights_file = file_or_folder.string();
}

}  // namespace intaglio
