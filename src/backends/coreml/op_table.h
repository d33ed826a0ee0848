// Operators that become operations of an ML program: one row for those that become them in one way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "backends/common/constraints.h"
#include "backends/common/op_rows.h"
#include "backends/coreml/mil/program.h"

namespace intaglio::coreml {

using common::Types;

struct RuleContext {
  const common::ProgramFacts& facts;
  const Node& node;
  Version version;
};
using Constraint = common::Constraint<RuleContext>;

class Lowering;
struct OpRow {
  std::string_view ops;                                         // parted by spaces; `aten.` and `.default` may be left out
  void (*lower)(Lowering&, const Node&, std::string_view mil);  // writes the operations
  std::string_view mil = "";                                    // the operation, where `lower` writes several
  Types types = Types::floats;                                  // of every tensor that it reads and makes
  std::span<const Constraint> constraints = {};
  Version since = Version::ios15;
  bool is_kept = false;  // of the exporter's operators: a decomposition would lose the operation
  bool moves = false;    // elements, and computes nothing
};

// Null for an operator that has none.
const OpRow* find_row(std::string_view op);

}  // namespace intaglio::coreml
