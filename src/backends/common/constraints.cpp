#include "backends/common/constraints.h"

namespace intaglio::common {

std::vector<const Value*> tensors_of(const Node& node) {
  std::vector<const Value*> values;
  for (const Value* input : node.inputs())
    if (input->is_tensor()) values.push_back(input);
  values.push_back(node.output());
  return values;
}

}  // namespace intaglio::common
