// The part that is Samsung's: a library behind include/intaglio/enn_compiler.h, or what one has made.
#pragma once

#include <filesystem>

#include <intaglio/blob.h>

#include "backends/exynos/enn_graph.h"

namespace intaglio::exynos {

// The delegate's payload. Errors name the library: bad input when it cannot be loaded, unsupported with its own words when it refuses.
Blob compile(const EnnGraph& graph, const std::filesystem::path& library);

// A file as it is. Bad-input error for an empty one, and for a hand-over.
Blob compiled_file(const std::filesystem::path& file);

}  // namespace intaglio::exynos
