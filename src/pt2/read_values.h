// Parts of the archive's JSON that stand in graphs and in weight tables alike.
#pragma once

#include <intaglio/graph.h>

#include "ir/json.h"

namespace intaglio::pt2 {

// Size expressions already parsed; one text stands at many values.
class Expressions {
 public:
  SymExprPtr parsed(std::string_view text);

 private:
  std::map<std::string, SymExprPtr, std::less<>> known_;
};

SymInt read_sym_int(const json::Value& value, Expressions& expressions);
// Truth values and floats are kept as SymInts too: the expression with a hint of 0 or 1, or none.
SymInt read_sym_value(const json::Value& value, Expressions& expressions);
Device read_device(const json::Value& value);
// Sizes are not negative, their product in bytes fits 64 bits; ranks up to 64.
TensorMeta read_tensor_meta(const json::Value& value, Expressions& expressions);

}  // namespace intaglio::pt2
