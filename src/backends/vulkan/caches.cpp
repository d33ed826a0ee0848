#include "backends/vulkan/caches.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "backends/vulkan/symbols.h"

namespace intaglio::vulkan {
namespace {

// A symbol of which the runtime finds the number: from elements of tensors that it is given.
bool is_symbol_argument(const Node& node, std::string_view argument) {
  const Argument* given = node.find(argument);
  Value* const* value = given ? given->get_if<Value*>() : nullptr;
  if (!value || (*value)->kind() != ValueKind::sym_int) return false;
  const Node* producer = (*value)->producer();
  return producer && (!looks_at_element(*producer) || element_source(*producer));
}

bool is_float_of_runtime(DType dtype) { return dtype == DType::float32 || dtype == DType::float16; }

// [1, rows, heads, size], with texels that a head fills.
bool is_one_batch(const TensorMeta& meta) {
  return meta.rank() == 4 && is_float_of_runtime(meta.dtype) && meta.sizes[0] == SymInt(1) && meta.sizes[2].is_static() &&
         meta.sizes[3].is_static() && meta.sizes[3].value() % 4 == 0;
}

bool is_default_scale(const Node& node) {
  const auto scale = node.find("scale") ? node.optional_number("scale") : std::nullopt;
  const double size = static_cast<double>(node.tensor("query")->sizes()[3].value());
  return !scale || std::abs(*scale * std::sqrt(size) - 1) < 1e-6;
}

}  // namespace

bool is_cache_op(const Node& node) {
  if (node.is("llama.update_cache.default") || node.is(updated_cache_op)) return writes_rows(node);
  return node.is(attention_op) && attends_causally(node);
}

bool writes_rows(const Node& node) {
  const TensorMeta &value = node.tensor("value")->meta(), &cache = node.tensor("cache")->meta();
  return is_one_batch(value) && is_one_batch(cache) && value.sizes[2] == cache.sizes[2] && value.sizes[3] == cache.sizes[3] &&
         cache.is_static() && is_symbol_argument(node, "start_pos");
}

bool attends_causally(const Node& node) {
  const TensorMeta &query = node.tensor("query")->meta(), &key = node.tensor("key")->meta(), &value = node.tensor("value")->meta();
  const bool has_mask = node.find("attn_mask") && node.optional_tensor("attn_mask");
  const bool drops = node.find("drpout_p") && node.number("drpout_p") != 0;
  return is_one_batch(query) && is_one_batch(key) && key.sizes == value.sizes && query.sizes[3] == key.sizes[3] && !has_mask && !drops &&
         node.find("is_causal") && node.boolean("is_causal") && is_default_scale(node) && is_symbol_argument(node, "start_pos");
}

Value* cache_of(const ExportedProgram& program, const ResultPlaces& results, const Node& write) {
  Value* cache = write.tensor("cache");
  const InputSpec* spec = program.spec_of(cache);
  const bool is_kept = spec && spec->kind == InputSpec::Kind::buffer && results.only_keeps(write.output(), spec->target);
  return is_kept && cache->has_one_user() ? cache : nullptr;
}

void own_caches(Partition& partition) {
  for (const Node* node : partition.nodes)
    if (node->is(updated_cache_op)) partition.owned_buffers.push_back(node->tensor("cache"));
}

}  // namespace intaglio::vulkan
