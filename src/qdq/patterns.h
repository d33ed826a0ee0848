// Chains of quantize and dequantize nodes: choose -> quantize -> dequantize, and `dequantize -> op -> [activation] -> quantize`
// around an op. Test: qdq_test.cpp.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "qdq/reader.h"

namespace intaglio::qdq {

// The dequantize node that makes this value, if one of PT2E's static forms does; or null.
Node* dequantize_of(const Value* value);

// What a float value is quantized as when it is read: the dequantize node and its parameters.
struct Dequantized {
  Node* node = nullptr;
  Value* source = nullptr;  // the integer tensor
  QuantParams params;
};
std::optional<Dequantized> dequantized(const ExportedProgram& program, const Value* value);

// A float value read through parameters that are found at run time: choose_qparams -> quantize -> dequantize.
struct Dynamic {
  Value* source = nullptr;  // the float tensor
  Node* choose = nullptr;
  Node* quantize = nullptr;
  Node* dequantize = nullptr;
  bool per_token = false;  // a range for every row of the last dimension; else one for the tensor
  DType dtype = DType::int8;
};
std::optional<Dynamic> dynamic_of(const Value* value);
// Likewise, of ranges that reach as far down as up too: for who computes with the nodes as they are, or with none.
std::optional<Dynamic> any_dynamic_of(const Value* value);
// True if nothing but its own nodes and one reader of the result sees the chain.
bool has_one_reader(const Dynamic& dynamic);

// An op whose result is only ever seen quantized, by one set of parameters.
struct Chain {
  Node* op = nullptr;
  Node* activation = nullptr;    // between op and quantize, or null
  std::vector<Node*> quantizes;  // equal parameters; usually one
  QuantParams output;
};
// `fusable` says which activations the backend computes together with `op`.
std::optional<Chain> find_chain(const ExportedProgram& program, Node& op, const std::function<bool(const Node& activation)>& fusable = {});

// The bounds that a relu, hardtanh or clamp puts on its input; nullopt for any other node.
struct Bounds {
  float min = 0, max = 0;
};
std::optional<Bounds> clamp_bounds(const Node& node);

}  // namespace intaglio::qdq
