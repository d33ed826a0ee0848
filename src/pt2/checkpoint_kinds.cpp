#include "pt2/checkpoint_kinds.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

constexpr std::string_view merge_it = "it is a LoRA adapter: merge it into its base model (merge_and_unload of peft) and save that";
constexpr std::string_view take_the_floats =
    "its weights are quantized already: take the float checkpoint that they were made from, or load the model, dequantize it and save that";

// A part of a name between dots, and what has it.
struct Mark {
  std::string_view part;
  std::string_view what;
};
constexpr Mark marks[] = {
    {"lora_A", merge_it},
    {"lora_B", merge_it},
    {"lora_embedding_A", merge_it},
    {"qweight", take_the_floats},           // GPTQ, AWQ
    {"weight_packed", take_the_floats},     // compressed-tensors
    {"absmax", take_the_floats},            // bitsandbytes
    {"SCB", take_the_floats},               // bitsandbytes, 8 bits
    {"weight_scale_inv", take_the_floats},  // float8 in blocks
    {"weight_scale", take_the_floats},      // float8, compressed-tensors
    {"scales", take_the_floats},            // MLX
};

bool has_part(std::string_view name, std::string_view part) {
  for (size_t at = name.find(part); at != std::string_view::npos; at = name.find(part, at + 1)) {
    const size_t end = at + part.size();
    if ((at == 0 || name[at - 1] == '.') && (end == name.size() || name[end] == '.')) return true;
  }
  return false;
}

}  // namespace

std::string why_not_plain_weights(const std::map<std::string, Tensor>& tensors) {
  for (const Mark& mark : marks)
    for (const auto& [name, tensor] : tensors)
      if (has_part(name, mark.part)) return fmt::format("'{}' says that {}", escaped(name), mark.what);
  return "";
}

bool is_computed_by_models(std::string_view name, const Tensor& tensor) {
  constexpr std::string_view always[] = {"rotary_emb.inv_freq", "position_ids", "masked_bias"};
  const auto ends_so = [&](std::string_view end) { return name == end || name.ends_with("." + std::string(end)); };
  if (std::ranges::any_of(always, ends_so)) return true;
  const Sizes& sizes = tensor.sizes();
  const bool is_mask = sizes.size() == 4 && sizes[0] == 1 && sizes[1] == 1 && sizes[2] == sizes[3];
  return is_mask && (ends_so("attn.bias") || ends_so("attention.bias"));
}

}  // namespace intaglio
