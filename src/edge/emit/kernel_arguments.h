// A node's arguments as values of an execution plan, of exactly the kind its kernel asks for.
#pragma once

#include <functional>

#include <intaglio/graph.h>

#include "edge/emit/plan_builder.h"

namespace intaglio::edge {

// Out-variant schemas: results are keyword-only mutated arguments; in-place ops mutate `self`.
bool is_in_place(const OpSchema& schema);

// The node's argument for the kernel's: as written, else the functional op's default, else the kernel's own.
Argument kernel_argument(const Node& node, const ArgSchema& argument);

// The runtime stops the process when a value is of another kind than a kernel asks for, so ints become floats where
// floats are asked for, and what does not fit is an unsupported error naming the argument.
struct ArgumentEmitter {
  PlanBuilder& builder;
  std::function<int32_t(const Value*)> id_of;
  const Node& node;

  int32_t emit(const ArgSchema& argument, const Argument& value);

 private:
  int32_t emit_value(const ArgSchema& argument, const Value& value);
  int32_t emit_number(const ArgSchema& argument, double value, bool is_integer, int64_t integer);
  int32_t emit_int_list(const ArgSchema& argument, const Argument& value);
  int32_t emit_float_list(const ArgSchema& argument, const Argument& value);
  int32_t emit_tensor_list(const ArgSchema& argument, const Argument& value);
  [[noreturn]] void does_not_fit(const ArgSchema& argument, const char* wanted) const;
};

}  // namespace intaglio::edge
