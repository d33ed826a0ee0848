// Edge programs around what a builder made, for tests.
#pragma once

#include <optional>

#include <intaglio/edge.h>

#include "testing/program_builder.h"

namespace intaglio::test {

inline EdgeMethod method_of(ProgramBuilder& b, std::string name = "forward") {
  EdgeMethod method;
  method.name = std::move(name);
  method.program = std::move(b.program);
  return method;
}

// One method, `delegate` being that of its call number 0.
inline EdgeProgram edge_of(ProgramBuilder& b, std::optional<Delegate> delegate = {}) {
  EdgeProgram edge;
  EdgeMethod& method = edge.methods.emplace_back(method_of(b));
  if (delegate) method.delegates.push_back(std::move(*delegate));
  return edge;
}

}  // namespace intaglio::test
