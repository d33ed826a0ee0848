// Checkpoints that are told by the names in them.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <intaglio/tensor.h>

namespace intaglio {

// What the tensors are where they are no model's plain weights, and what to do: adapters, weights that another tool quantized. Empty where
// nothing says so.
std::string why_not_plain_weights(const std::map<std::string, Tensor>& tensors);

// Whether old checkpoints of Hugging Face's have such a buffer beside the weights, which a model computes itself: frequencies of rotary
// embeddings, causal masks, positions.
bool is_computed_by_models(std::string_view name, const Tensor& tensor);

}  // namespace intaglio
