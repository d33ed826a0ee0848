// Caches that a delegate keeps as its own state, and attention over them: `llama.updated_cache` writes rows where the cache lies.
#pragma once

#include <string_view>

#include <intaglio/partitioner.h>

#include "ir/result_places.h"

namespace intaglio::vulkan {

inline constexpr std::string_view updated_cache_op = "llama.updated_cache.default";
inline constexpr std::string_view attention_op = "llama.custom_sdpa.default";

// Operators of the runtime that the program calls, before lowering takes them apart: they are kept whole.
bool is_cache_op(const Node& node);

// A node that writes rows of [1, rows, heads, size] into a cache of the same heads and size, from a position that is a symbol on.
bool writes_rows(const Node& node);
// Causal attention without a mask, of one batch, over caches of equal sizes.
bool attends_causally(const Node& node);

// The buffer that the write changes, whose every reader comes after the write; null for any other.
Value* cache_of(const ExportedProgram& program, const ResultPlaces& results, const Node& write);

// The caches that the partition's nodes write become its own.
void own_caches(Partition& partition);

}  // namespace intaglio::vulkan
