// The program's operators by module, as a tree of the browser's own <details>.
#pragma once

#include <string>
#include <vector>

#include "ir/work.h"

namespace intaglio::report {

struct OpRow {
  std::string name, op, layer, source;
  bool quantized = false;
  std::string delegate;  // the backend; "" outside
  std::string rule;      // why it is outside, or in float
  Work work;
};

// In the order in which modules and operators come; what is over a limit that keeps the page quick is counted, not shown.
std::string module_tree(const std::vector<OpRow>& ops);

}  // namespace intaglio::report
