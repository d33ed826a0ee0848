// A graph as bytes:
//   0  "IEG1"      4  u32 version (1)      8  u64 bytes of the text
//  16  the text: JSON with everything but the constants' data
//   n  zeros up to a multiple of 64, then the data of the constants, each at a multiple of 64, little-endian
//
// docs/exynos.md describes the text.
#pragma once

#include <memory>
#include <span>

#include <intaglio/blob.h>

#include "backends/exynos/enn_graph.h"

namespace intaglio::exynos {

Blob write_graph(const EnnGraph& graph);
// The text alone.
std::string graph_json(const EnnGraph& graph);

// Bad-input error for anything that `write_graph` does not write: ids, sizes, types and the order of ops are checked. Data stays where it
// is, in bytes that `keep_alive` owns.
EnnGraph read_graph(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive);

}  // namespace intaglio::exynos
