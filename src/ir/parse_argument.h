// Arguments of nodes from their printed form.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include <intaglio/graph.h>

#include "ir/text_reader.h"

namespace intaglio {

using ValueNames = std::unordered_map<std::string, Value*>;

struct ArgumentContext {
  TextReader& reader;
  const ValueNames& values;                                // what a `%name` may refer to
  std::function<std::unique_ptr<Graph>()> parse_subgraph;  // what stands between the braces of `graph name {...}`
};

// The schema's type, where there is one, says what an empty list holds and that a word names a device.
Argument parse_argument(const ArgumentContext& context, ArgType type, int depth = 0);
Value* parse_reference(const ArgumentContext& context);

}  // namespace intaglio
