// What is computed together with a convolution or a linear layer while its result is in registers or near.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <intaglio/graph.h>

namespace intaglio::interp {

// Sums of integers to 8-bit integers of another scale: clamp(round((sum + bias) * factor) + zero_point).
struct Requantization {
  std::vector<int32_t> bias;  // one for each channel; empty without one
  std::vector<float> factor;  // likewise, or one for all
  float zero_point = 0, low = 0, high = 0;
  DType dtype = DType::int8;
};

struct Epilogue {
  // Batch norm in evaluation as y * scale + shift for each output channel; empty without one.
  std::vector<float> scale;
  std::vector<float> shift;
  // relu, relu6, hardtanh and clamp as bounds.
  bool bounded = false;
  float low = 0;
  float high = 0;
  bool restored = false;                         // of a quantize node, and then alone: floats that its integers stand for
  std::optional<Requantization> requantization;  // of integer layers, and then alone
};

struct Fusion {
  Epilogue epilogue;
  const Value* result = nullptr;      // what the fused step gives
  std::vector<const Node*> absorbed;  // nodes that need not run
};

struct FusionQuery {
  // True for values that somebody outside the chain sees.
  std::function<bool(const Value*)> is_observed;
  // The tensor of a value that never changes, or null.
  std::function<const Tensor*(const Value*)> constant;
};

// By the convolution or linear node that heads the chain.
std::unordered_map<const Node*, Fusion> find_fusions(const Graph& graph, const FusionQuery& query);

}  // namespace intaglio::interp
