// What passes ask of the nodes around a value.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include <intaglio/graph.h>

namespace intaglio {

// The node that makes the value, if it is one of `op`; else null.
inline Node* made_by(const Value* value, std::string_view op) {
  Node* producer = value->producer();
  return producer != nullptr && producer->is(op) ? producer : nullptr;
}

// The operands of a sum or product of two tensors, in both orders.
inline std::array<std::pair<Value*, Value*>, 2> both_ways(const Node& node) {
  Value *a = node.tensor("self"), *b = node.tensor("other");
  return {{{a, b}, {b, a}}};
}

// The tensor whose square the value is, as a power or a product; else null.
inline Value* square_root_of(const Value* value) {
  if (const Node* power = made_by(value, "aten.pow.Tensor_Scalar")) return power->number("exponent") == 2 ? power->tensor("self") : nullptr;
  const Node* product = made_by(value, "aten.mul.Tensor");
  return product != nullptr && product->tensor("self") == product->tensor("other") ? product->tensor("self") : nullptr;
}

}  // namespace intaglio
