// An argument with other values in the place of its own.
#pragma once

#include <intaglio/graph.h>

namespace intaglio {

// `replace(value)` gives what stands for a value; absent ones stay absent. Subgraphs are closed, hence kept as they are.
template <typename Replace>
Argument map_values(const Argument& argument, const Replace& replace) {
  const auto replace_all = [&](std::vector<Value*>& values) {
    for (Value*& value : values)
      if (value != nullptr) value = replace(value);
  };
  if (Value* const* single = argument.get_if<Value*>()) return *single != nullptr ? Argument(replace(*single)) : argument;
  if (const auto* list = argument.get_if<std::vector<Value*>>()) {
    std::vector<Value*> result = *list;
    replace_all(result);
    return result;
  }
  if (const auto* lists = argument.get_if<std::vector<std::vector<Value*>>>()) {
    std::vector<std::vector<Value*>> result = *lists;
    for (std::vector<Value*>& inner : result) replace_all(inner);
    return result;
  }
  if (const auto* symbols = argument.get_if<std::vector<SymArg>>()) {
    std::vector<SymArg> result = *symbols;
    for (SymArg& item : result)
      if (Value** value = std::get_if<Value*>(&item)) *value = replace(*value);
    return result;
  }
  if (const auto* map = argument.get_if<std::shared_ptr<ArgumentMap>>()) {
    auto result = std::make_shared<ArgumentMap>();
    for (const auto& [key, value] : **map) result->emplace_back(key, map_values(value, replace));
    return result;
  }
  return argument;
}

}  // namespace intaglio
