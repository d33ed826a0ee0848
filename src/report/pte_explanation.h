// What a `.pte` consists of: its delegates decoded, its memory plan, its weights by size, its instructions.
//
// The format has no names of layers: ExecuTorch keeps those in a file of its own. What stands for a layer here is the
// key under which a weight is stored and the node that reads it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <intaglio/backend.h>

#include "ir/work.h"
#include "pte/summary.h"

namespace intaglio::report {

using Counts = std::vector<std::pair<std::string, size_t>>;  // largest first

struct DelegateContents {
  std::string backend;
  std::optional<DecodedPayload> payload;  // where the backend can decode it
  std::vector<Work> node_work;            // of payload->nodes
  Counts kinds;                           // nodes by kind
  Counts types;                           // nodes by the element type of their result
  uint64_t work = 0;
  double share = 0;  // of the method's work
};

struct PlannedTensor {
  size_t value = 0;
  std::string role;  // "input", "output", "state", "temporary"
  std::string dtype;
  std::vector<int64_t> sizes;
  size_t arena = 1;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  size_t first = 0;  // instructions that need it, both included
  size_t last = 0;
};
struct Arena {
  size_t id = 1;
  uint64_t bytes = 0;
  size_t tensors = 0;
  uint64_t peak_bytes = 0;  // the most that one instruction needs
  size_t peak_instruction = 0;
};

struct InstructionText {
  std::string kind;  // "kernel", "delegate", "move", "jump_if_false", "free"
  std::string name;  // operator or backend
  std::string text;  // operands and results
  Work work;
  double share = 0;
};

struct StoredWeight {
  std::string key;  // of named data; "" for a constant of the program
  uint64_t bytes = 0;
  std::string dtype;
  std::vector<int64_t> sizes;
  std::string used_by;  // "delegate 0, Conv2d 12", "aten::embedding.out, instruction 3"; "" when nothing that is decoded reads it
};

struct MethodContents {
  std::string name;
  uint64_t work = 0;
  std::vector<DelegateContents> delegates;
  std::vector<Arena> arenas;
  std::vector<PlannedTensor> tensors;  // largest first
  std::vector<InstructionText> instructions;
};

struct PteContents {
  pte::PteSummary summary;
  std::vector<MethodContents> methods;
  std::vector<StoredWeight> weights;  // largest first
  RuntimeNeeds needs;                 // of kernels, and of delegates that are decoded
};

// Bad-input error on damage anywhere, inside payloads of known backends too.
PteContents read_pte_contents(std::span<const std::byte> file, std::span<const Backend> known = backends());

}  // namespace intaglio::report
