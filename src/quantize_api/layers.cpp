#include "quantize_api/layers.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/regions.h"
#include "ir/mutations.h"
#include "qdq/op_table.h"

namespace intaglio {
namespace {

using quantize_api::LayerKind;

struct LayerOp {
  std::string_view op;
  std::string_view weight;  // its argument
  std::string_view type;    // what the types of such modules end in
};
constexpr std::array layer_ops = {LayerOp{"aten.linear.default", "weight", "Linear"},
                                  LayerOp{"aten.embedding.default", "weight", "Embedding"}};

const LayerOp& op_of(LayerKind kind) { return layer_ops[static_cast<size_t>(kind)]; }

bool is_module_of(LayerKind kind, const QuantizableLayer& layer) {
  return layer.node->is(op_of(kind).op) && layer.module_type.ends_with(op_of(kind).type) &&
         !layer.module_type.ends_with("NonDynamicallyQuantizableLinear");
}

// Of a program whose operators carry no modules: by the name of the weight.
std::string module_of_weight(const ExportedProgram& program, const Value* weight) {
  const std::string* target = program.target_of(weight);
  if (target == nullptr) return "";
  const size_t dot = target->rfind('.');
  return dot == std::string::npos ? "" : target->substr(0, dot);
}

size_t layers_inside(const Node& node) {
  size_t count = 0;
  for (const Graph* body : decompose::subgraphs_of(node))
    for (const Node* inside : body->node_list())
      count +=
          layers_inside(*inside) + static_cast<size_t>(std::ranges::any_of(layer_ops, [&](const LayerOp& l) { return inside->is(l.op); }));
  return count;
}

}  // namespace

bool is_linear(const QuantizableLayer& layer) { return is_module_of(LayerKind::linear, layer); }
bool is_embedding(const QuantizableLayer& layer) { return is_module_of(LayerKind::embedding, layer); }

namespace quantize_api {

const char* name(LayerKind kind) { return kind == LayerKind::linear ? "linear" : "embedding"; }

std::string describe(const Layer& layer) {
  const std::string source = source_line(*layer.calls.front());
  return fmt::format("{} layer '{}'{}", name(layer.kind), escaped(layer.fqn), source.empty() ? "" : fmt::format(" ({})", escaped(source)));
}

std::vector<Layer> layers_of(const ExportedProgram& program) {
  std::vector<Layer> layers;
  const LastingConstants constants(program);
  std::map<std::tuple<const Value*, std::string, size_t>, size_t> known;
  for (Node* node : program.graph().node_list())
    for (size_t kind = 0; kind < layer_ops.size(); ++kind) {
      if (!node->is(layer_ops[kind].op)) continue;
      Value* weight = node->tensor(layer_ops[kind].weight);
      if (!constants.find(weight) || !is_floating(weight->dtype()) || weight->meta().rank() != 2) continue;
      const std::vector<ModuleScope> stack = module_stack(*node);
      const std::string fqn = stack.empty() ? module_of_weight(program, weight) : stack.back().path;
      const auto [place, is_new] = known.try_emplace({weight, fqn, kind}, layers.size());
      if (!is_new) layers[place->second].calls.push_back(node);
      // Without modules the operator is all that there is to go by.
      else
        layers.push_back(
            {static_cast<LayerKind>(kind), fqn, stack.empty() ? std::string(layer_ops[kind].type) : stack.back().type, weight, {node}});
    }
  return layers;
}

std::vector<HiddenLayers> hidden_layers_of(const ExportedProgram& program) {
  std::vector<HiddenLayers> found;
  for (const Node* node : program.graph().node_list())
    if (const size_t count = layers_inside(*node); count != 0) found.push_back({node, count});
  return found;
}

std::string why_unreached(const HiddenLayers& hidden) {
  return fmt::format("quantize_ does not reach the {} inside, {} in float; {}",
                     hidden.count == 1 ? "linear or embedding layer" : fmt::format("{} linear and embedding layers", hidden.count),
                     hidden.count == 1 ? "which stays" : "which stay", decompose::advice_for_subgraph(*hidden.node));
}

bool is_in_linear_module(const Node& node) {
  const std::vector<ModuleScope> stack = module_stack(node);
  return !stack.empty() && stack.back().type.ends_with(op_of(LayerKind::linear).type);
}

std::string why_no_layers(const ExportedProgram& program) {
  const bool is_quantized = std::ranges::any_of(program.graph().node_list(), [](const Node* node) { return qdq::is_dequantize(*node); });
  return is_quantized ? "the linear and embedding layers are quantized already"
                      : "there is no linear or embedding layer whose weight is a parameter";
}

std::string why_decomposed(const ExportedProgram& program) {
  for (const Node* node : program.graph().node_list()) {
    if ((node->is("aten.addmm.default") || node->is("aten.mm.default")) && is_in_linear_module(*node))
      return fmt::format("linear layers are decomposed ({}); save what torch.export.export gives, without run_decompositions",
                         intaglio::describe(*node));
  }
  return "";
}

}  // namespace quantize_api
}  // namespace intaglio
