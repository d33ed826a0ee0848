#include "ir/memory.h"

namespace intaglio {

const Value* memory_operand(const Node& node) {
  const OpSchema* schema = node.op().schema();
  if (schema == nullptr || !(schema->is_inplace() || schema->is_view())) return nullptr;
  for (const ArgSchema& formal : schema->arguments)
    if (const Argument* argument = formal.aliased ? node.find(formal.name) : nullptr; argument != nullptr && argument->is<Value*>())
      return *argument->get_if<Value*>();
  return nullptr;
}

}  // namespace intaglio
