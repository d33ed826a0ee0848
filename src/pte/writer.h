// A program's values to the bytes of a `.pte` file. The layout is described in program.h.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <intaglio/blob.h>

#include "pte/program.h"

namespace intaglio::pte {

// What goes into the segments.
struct SegmentData {
  std::vector<Blob> constants;                           // data_buffer_idx i + 1
  std::vector<Blob> mutable_state;                       // data_buffer_idx i + 1 of tensors with an allocation
  std::vector<Blob> payloads;                            // of the delegates: methods in order, delegates in order
  std::vector<std::pair<std::string, Blob>> named_data;  // any order; the same key twice must hold the same bytes
};

// The file. Lays out the segments, fills the program's references to them (segments, constant_segment, mutable_data_segments,
// named_data, delegates' indices) and builds the flatbuffer, which holds the payloads of delegates that are not `in_segment`.
// Payloads in segments, and named data, of equal bytes share one.
// Unsupported error when the flatbuffer would be larger than the runtime reads.
Blob assemble(Program& program, const SegmentData& data);

}  // namespace intaglio::pte
