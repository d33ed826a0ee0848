#include "backends/coreml/enumerated_shapes.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <intaglio/error.h>

#include "backends/coreml/mil/builder.h"

namespace intaglio::coreml {
namespace {

bool may_have(const Input& input, const Sizes& shape) {
  if (shape.size() != input.type.dims.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t size = input.type.dims[i];
    if (size != unknown_size ? shape[i] != size : shape[i] < input.ranges[i].lower || shape[i] > input.ranges[i].upper.value_or(shape[i]))
      return false;
  }
  return true;
}

}  // namespace

EnumeratedShapes parse_enumerated_shapes(const std::string& text) {
  if (text.empty()) return {};
  try {
    return nlohmann::json::parse(text).get<EnumeratedShapes>();
  } catch (const nlohmann::json::exception&) {
    throw_usage(fmt::format("setting enumerated_shapes={}: shapes by input, as in {{\"x\": [[1, 8], [1, 16]]}}", escaped(text)));
  }
}

std::string to_json(const EnumeratedShapes& shapes) { return nlohmann::json(shapes).dump(); }

void give_shapes(Function& function, const EnumeratedShapes& shapes) {
  for (const auto& [name, list] : shapes) {
    const auto input = std::ranges::find(function.inputs, mil_name(name), &Input::name);
    if (input == function.inputs.end()) {
      std::vector<std::string> names;
      for (const Input& other : function.inputs) names.push_back(other.name);
      throw_usage(fmt::format("enumerated_shapes: no input is called '{}'; there are: {}", escaped(name), fmt::join(names, ", ")));
    }
    for (const Sizes& shape : list)
      if (!may_have(*input, shape))
        throw_usage(fmt::format("enumerated_shapes: '{}' cannot have the shape [{}]: it is {} in the program", escaped(name),
                                fmt::join(shape, ","), to_string(input->type)));
    input->shapes = list;
    input->ranges.clear();
  }
}

}  // namespace intaglio::coreml
