// Reading quantize and dequantize nodes, and the chains `dequantize -> op -> [activation] -> quantize` around an op.
//
// One place for all backends. Test: qdq_patterns_test.cpp.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::qdq {

// Static parameters as the graph states them. A scale per tensor is the literal's double; per channel the tensor's floats.
struct Params {
  std::vector<double> scale;
  std::vector<int64_t> zero_point;  // as many as scales
  std::optional<int64_t> axis;      // per channel
  int64_t quant_min = 0;
  int64_t quant_max = 0;
  DType dtype = DType::int8;

  bool is_per_channel() const { return axis.has_value(); }
  friend bool operator==(const Params&, const Params&) = default;
};

bool is_quantize(const Node& node);
bool is_dequantize(const Node& node);

// nullopt for nodes that are neither, and for parameters that are found at run time (dynamic quantization).
std::optional<Params> params_of(const ExportedProgram& program, const Node& node);

// The dequantize node that makes this value, or null.
Node* dequantize_of(const Value* value);

// What a float value is quantized as when it is read: the dequantize node and its parameters.
struct Dequantized {
  Node* node = nullptr;
  Value* source = nullptr;  // the integer tensor
  Params params;
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
// True if nothing but its own nodes and one reader of the result sees the chain.
bool has_one_reader(const Dynamic& dynamic);

// An op whose result is only ever seen quantized, by one set of parameters.
struct Chain {
  Node* op = nullptr;
  Node* activation = nullptr;    // between op and quantize, or null
  std::vector<Node*> quantizes;  // equal parameters; usually one
  Params output;
};
// `fusable` says which activations the backend computes together with `op`.
std::optional<Chain> find_chain(const ExportedProgram& program, Node& op, const std::function<bool(const Node& activation)>& fusable = {});

}  // namespace intaglio::qdq
