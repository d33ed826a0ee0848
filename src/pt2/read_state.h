// The tensors of an archive: `data/weights` and `data/constants`.
#pragma once

#include <optional>

#include <intaglio/program.h>

#include "pt2/archive.h"
#include "pt2/model_json.h"

namespace intaglio::pt2 {

// Where the two kinds of state live: "weights" or "constants".
struct StatePlace {
  std::string folder;  // "data/weights/"
  std::string config;  // "data/weights/model_weights_config.json"
};
const StatePlace& weights_place();
const StatePlace& constants_place();

class StateReader {
 public:
  StateReader(Archive& archive, const StatePlace& place);

  // In the order of the file.
  const std::vector<std::string_view>& names() const { return names_; }
  bool contains(std::string_view name) const { return entries_.contains(name); }
  // The tensor of a name that is there, a view into its record; bad input when it does not fit its record, unsupported
  // for pickled records, meta tensors and sparse layouts.
  StateEntry read(std::string_view name);

 private:
  StateEntry read_entry(const json::Value& entry);
  Archive& archive_;
  const StatePlace& place_;
  json::Document document_;
  std::vector<std::string_view> names_;
  std::map<std::string_view, json::Value> entries_;
  Expressions expressions_;
};

}  // namespace intaglio::pt2
