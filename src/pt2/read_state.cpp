#include "pt2/read_state.h"

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::pt2 {

const StatePlace& weights_place() {
  static const StatePlace place{"data/weights/", "data/weights/model_weights_config.json"};
  return place;
}
const StatePlace& constants_place() {
  static const StatePlace place{"data/constants/", "data/constants/model_constants_config.json"};
  return place;
}

StateReader::StateReader(Archive& archive, const StatePlace& place)
    : archive_(archive), place_(place), document_(archive.text(place.config)) {
  for (const auto field : document_.root().at("config").object("config")) {
    names_.push_back(field.key);
    entries_.emplace(field.key, field.value);
  }
}

StateEntry StateReader::read(std::string_view name) {
  try {
    return read_entry(entries_.at(name));
  } catch (const Error& error) { throw error.with_context(fmt::format("{}: '{}'", place_.config, escaped(name, 100))); }
}

StateEntry StateReader::read_entry(const json::Value& entry) {
  const std::string_view path = entry.at("path_name").string("path_name");
  if (path.empty() || path == "." || path == ".." || path.find_first_of(std::string_view("/\\\0", 3)) != std::string_view::npos)
    throw_bad_input(fmt::format("path_name '{}' must be one plain file name", escaped(path, 80)));
  StateEntry result;
  result.is_parameter = entry.at("is_param").boolean("is_param");
  if (entry.at("use_pickle").boolean("use_pickle"))
    throw_unsupported(
        "the weight is a pickled tensor subclass, and pickles are never run; call torchao.utils.unwrap_tensor_subclass(model) "
        "before torch.export.export, or exported_program.run_decompositions() before torch.export.save");
  const std::optional<json::Value> source = entry.find("tensor_meta");
  if (!source) throw_unsupported("the entry is no tensor, and custom objects are not supported as weights");
  const TensorMeta meta = read_tensor_meta(*source, expressions_);
  result.requires_grad = meta.requires_grad;
  if (meta.device.type == "meta")
    throw_unsupported("the tensor is on the meta device and has no values; export the model with real weights");
  if (meta.layout != Layout::strided) throw_unsupported("the tensor is not dense (strided); convert it with to_dense() before the export");
  Sizes strides;
  for (const SymInt& stride : meta.strides) {
    if (!stride.is_static()) throw_bad_input("strides of a stored tensor must be numbers");
    strides.push_back(stride.value());
  }
  if (!meta.is_static() || !meta.storage_offset.is_static()) throw_bad_input("sizes and offset of a stored tensor must be numbers");

  const std::shared_ptr<Storage> storage = archive_.record(place_.folder + std::string(path));
  if (storage->size() % item_size(meta.dtype) != 0)
    throw_bad_input(fmt::format("record '{}' has {} bytes, which is no whole number of {} elements", escaped(path, 80), storage->size(),
                                name(meta.dtype)));
  try {
    result.tensor = Tensor(meta.dtype, meta.static_sizes(), std::move(strides), meta.storage_offset.value(), storage);
  } catch (const Error& error) { throw error.with_context(fmt::format("record '{}'", escaped(path, 80))); }
  return result;
}

}  // namespace intaglio::pt2
