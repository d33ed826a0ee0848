// What can be said of a prepared program before any sample ran: for explanations.
#pragma once

#include <intaglio/pt2e.h>

namespace intaglio::pt2e {

// What the quantizer annotated and what it refused, by nodes of `prepared.program()`.
const Annotations& annotations_of(const PreparedProgram& prepared);

// Why what a node holds in sub-graphs stays in float.
inline constexpr std::string_view subgraph_refusal = "what is inside a sub-graph gets no observers";

// As convert_pt2e, with a scale of 1 for what no sample reached: which operators work on integers does not depend on
// ranges. The numbers mean nothing.
ExportedProgram convert_uncalibrated(PreparedProgram prepared);

}  // namespace intaglio::pt2e
