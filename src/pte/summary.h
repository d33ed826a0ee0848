// What `inspect` shows of a `.pte`.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pte/reader.h"

namespace intaglio::pte {

struct PteTensor {
  std::string kind;            // "tensor", "int", "float", "bool", "string", "none", "list"
  std::string dtype;           // "float32"; ExecuTorch's name for those we have none for
  std::vector<int64_t> sizes;  // upper bounds when dynamic
  std::vector<uint8_t> dim_order;
  bool dynamic = false;
  bool planned = false;  // its memory is inside the program's plan
};

struct PteDelegate {
  std::string id;
  uint64_t payload_size = 0;
  std::vector<std::pair<std::string, uint64_t>> compile_specs;  // key, bytes of the value
  size_t calls = 0;
};

struct PteMethod {
  std::string name;
  std::vector<PteTensor> inputs;
  std::vector<PteTensor> outputs;
  std::vector<std::pair<std::string, size_t>> operators;  // "aten::add.out", calls; in order of first use
  std::vector<PteDelegate> delegates;
  std::vector<uint64_t> planned_memory;  // bytes of each planned block
  size_t values = 0;
  size_t instructions = 0;
};

struct PteSummary {
  uint64_t file_size = 0;
  uint64_t program_size = 0;
  uint64_t segment_bytes = 0;
  uint64_t constant_bytes = 0;
  size_t constants = 0;
  uint64_t mutable_state_bytes = 0;
  std::vector<PteMethod> methods;
  std::vector<std::pair<std::string, uint64_t>> named_data;  // key, bytes
};

// Of a verified program: every index in it is right.
PteSummary summarize(const ParsedProgram& parsed);

}  // namespace intaglio::pte
