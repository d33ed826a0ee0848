// A program's values to the bytes of a `.pte` file. The layout is described in program.h.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pte/program.h"

namespace intaglio::pte {

using Bytes = std::span<const std::byte>;

// What goes into the segments; the owner keeps the bytes alive until the file is written.
struct SegmentData {
  std::vector<Bytes> constants;                           // data_buffer_idx i + 1
  std::vector<Bytes> mutable_state;                       // data_buffer_idx i + 1 of tensors with an allocation
  std::vector<Bytes> payloads;                            // of the delegates: methods in order, delegates in order
  std::vector<std::pair<std::string, Bytes>> named_data;  // any order; the same key twice must hold the same bytes
};

// A file, ready to be written: its head in memory, everything else where it was.
struct FileImage {
  std::vector<std::byte> head;  // flatbuffer with the extended header: [0, program_size)
  FileLayout layout;
  struct Chunk {
    uint64_t offset = 0;  // in the file
    Bytes bytes;
  };
  std::vector<Chunk> chunks;  // ascending, apart
  uint64_t file_size = 0;
};

// Lays out the segments, fills the program's references to them (segments, constant_segment, mutable_data_segments,
// named_data, delegates' indices) and builds the flatbuffer. Payloads and named data of equal bytes share a segment.
// Unsupported error when the flatbuffer would be larger than the runtime reads.
FileImage assemble(Program& program, const SegmentData& data, int threads = 0);

// Pieces of the file in order, padding included; `write` appends.
void write_image(const FileImage& image, const std::function<void(Bytes)>& write);
std::vector<std::byte> image_bytes(const FileImage& image);

// For each entry the index of the first one with the same bytes (itself when there is none). Entries of unique size
// are not looked at; others are compared by SHA-256.
std::vector<size_t> first_equal(std::span<const Bytes> entries, int threads = 0);

}  // namespace intaglio::pte
