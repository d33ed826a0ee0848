// The values that an argument names, one after the other.
#pragma once

#include <intaglio/graph.h>

namespace intaglio {

// Absent ones are passed over.
template <typename Visit>
void visit_values(const Argument& argument, Visit visit) {
  if (Value* const* single = argument.get_if<Value*>()) {
    visit(*single);
  } else if (const auto* list = argument.get_if<std::vector<Value*>>()) {
    for (Value* value : *list)
      if (value != nullptr) visit(value);
  } else if (const auto* lists = argument.get_if<std::vector<std::vector<Value*>>>()) {
    for (const auto& inner : *lists)
      for (Value* value : inner)
        if (value != nullptr) visit(value);
  } else if (const auto* symbols = argument.get_if<std::vector<SymArg>>()) {
    for (const SymArg& item : *symbols)
      if (Value* const* value = std::get_if<Value*>(&item)) visit(*value);
  } else if (const auto* map = argument.get_if<std::shared_ptr<ArgumentMap>>()) {
    for (const auto& [key, value] : **map) visit_values(value, visit);
  }
}

// Of an argument whose values stand in itself, which those of a map do not: its copies share it.
template <typename Visit>
void visit_slots(Argument& argument, Visit visit) {
  if (Value** single = argument.get_if<Value*>()) {
    visit(*single);
  } else if (auto* list = argument.get_if<std::vector<Value*>>()) {
    for (Value*& value : *list) visit(value);
  } else if (auto* lists = argument.get_if<std::vector<std::vector<Value*>>>()) {
    for (std::vector<Value*>& inner : *lists)
      for (Value*& value : inner) visit(value);
  } else if (auto* symbols = argument.get_if<std::vector<SymArg>>()) {
    for (SymArg& item : *symbols)
      if (Value** value = std::get_if<Value*>(&item)) visit(*value);
  }
}

}  // namespace intaglio
