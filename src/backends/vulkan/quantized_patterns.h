// Linear and embedding layers with quantized weights, as operators of the runtime: what belongs to one, and the rewrite.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <intaglio/partitioner.h>

#include "backends/common/program_facts.h"

namespace intaglio::vulkan {

// Found once for a program that must not change meanwhile; used when it is partitioned.
class QuantizedPatterns {
 public:
  explicit QuantizedPatterns(const common::ProgramFacts& facts);

  // True for nodes that `fuse_quantized_layers` takes in: the layer, the dequantize nodes of its weight, and what quantizes its
  // input at run time. They are delegated whatever the table of operators says.
  bool contains(const Node& node) const { return layers_.contains(&node); }
  // The layer that such a node belongs to; null for any other node.
  const Node* layer_of(const Node& node) const {
    const auto found = layers_.find(&node);
    return found == layers_.end() ? nullptr : found->second;
  }
  // Why a layer with quantized weights is none of them; null for one that is, and for any other node.
  const std::string* refusal(const Node& node) const;
  // The nodes of each layer: each list goes into one delegate.
  const std::vector<std::vector<const Node*>>& ties() const { return ties_; }
  // One line for the layers that are taken, but read their inputs in float where the program quantizes them at run time.
  std::optional<Refusal> warning() const;

 private:
  std::unordered_map<const Node*, const Node*> layers_;
  std::unordered_map<const Node*, std::string> refusals_;
  std::vector<std::vector<const Node*>> ties_;
  std::vector<Node*> float_inputs_;
};

// Each pattern in a partition becomes a node of the runtime's operator (`et_vk.linear_q4gsw.default`,
// `et_vk.linear_dq8ca_q4gsw.default`, `aten._weight_int8pack_mm.default`, `et_vk.linear_qcs4w.default`,
// `et_vk.embedding_q4gsw.default`) with constants packed as its shaders read them, computed when they are written. Rows and columns
// that are no multiple of four are padded with zeros, inputs of other than two dimensions are reshaped: both are exact.
// Shown by quantized_layers.test.
void fuse_quantized_layers(ExportedProgram& partition);

}  // namespace intaglio::vulkan
