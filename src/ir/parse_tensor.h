// Types of values and contents of constants from their printed form.
#pragma once

#include <optional>

#include <intaglio/graph.h>

#include "ir/text_reader.h"

namespace intaglio {

// `f32[s0, 3, 4]{0,2,1}`; nullopt, and nothing is taken, where no element type stands. `hints` gives symbols their values.
std::optional<TensorMeta> parse_tensor_meta(TextReader& reader, const SymBindings& hints);

// A size, of which `text` is the whole.
SymInt parse_size(std::string_view text, const SymBindings& hints);

// The contents of a constant of this type: what stands behind `=`, or zeros.
Tensor parse_contents(TextReader& reader, const TensorMeta& meta);

}  // namespace intaglio
