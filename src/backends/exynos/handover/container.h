// The hand-over `.enn`: a ZIP archive of stored entries.
//
//   hand_over/format         "intaglio-enn 1"
//   hand_over/manifest.json  methods and the names of what they consist of
//   methods/NAME.pt2         the method; a node `intaglio.enn_graph.default(number, inputs...)` stands where a graph does
//   graphs/NAME_N.ieg        its graphs (graph_bytes.h)
//
// Every entry's CRC is checked before anything of it is trusted. Test: tests/test_exynos.py.
#pragma once

#include <intaglio/backend.h>
#include <intaglio/edge.h>

namespace intaglio::exynos {

HandOver hand_over();

}  // namespace intaglio::exynos
