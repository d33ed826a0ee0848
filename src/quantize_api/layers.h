// The layers of a program that `quantize_` may take. Test: quantize_api_test.cpp.
#pragma once

#include <string>
#include <vector>

#include <intaglio/quantize_api.h>

namespace intaglio::quantize_api {

enum class LayerKind : uint8_t { linear, embedding };
// "linear", "embedding".
const char* name(LayerKind kind);

// A module with its calls: those of the same name that read the same weight.
struct Layer {
  LayerKind kind;
  std::string fqn;
  std::string module_type;
  Value* weight = nullptr;
  std::vector<Node*> calls;

  QuantizableLayer asked() const { return {fqn, module_type, calls.front(), weight}; }
};
// "linear layer 'head' (model.py:12)".
std::string describe(const Layer& layer);

// Those in float whose weight is a constant of the program, in the order of their first calls.
std::vector<Layer> layers_of(const ExportedProgram& program);

// Linear and embedding operators in branches and loops, where no configuration reaches them.
struct HiddenLayers {
  const Node* node;  // of the program's own graph
  size_t count;
};
std::vector<HiddenLayers> hidden_layers_of(const ExportedProgram& program);
// "quantize_ does not reach the 2 linear and embedding layers inside, which stay in float; ...".
std::string why_unreached(const HiddenLayers& hidden);

// Whether the module that a node is in is a linear layer by its type's name: nn.Linear, and classes made of it.
bool is_in_linear_module(const Node& node);

// Why a program has none: quantized already, or no such operators.
std::string why_no_layers(const ExportedProgram& program);
// What to do with a program whose linear layers are matrix products already; "" for others.
std::string why_decomposed(const ExportedProgram& program);

}  // namespace intaglio::quantize_api
