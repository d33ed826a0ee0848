// The row of the registry, and recipes in it.
#pragma once

#include <vector>

#include <intaglio/backend.h>

namespace intaglio::xnnpack {

Backend backend();

// The recipes that quantize with `quantize_`: int8 activations found at run time, int4 linears, integer embeddings.
std::vector<BackendRecipe> torchao_recipes();

}  // namespace intaglio::xnnpack
