// How much an operator has to do, so that reports can say what share of a model something is.
//
// Convolutions, matrix products and attention count their multiply-accumulates; everything else the elements it moves:
// those of the tensors it reads and of the results it writes. Symbolic sizes count with their upper bound.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include <intaglio/program.h>

namespace intaglio {

struct Work {
  uint64_t amount = 0;  // saturates
  bool is_macs = false;
};

// A call as far as its work goes, whatever graph or file it stands in.
struct CallShapes {
  std::string_view op;  // base name: "conv2d", "addmm"
  bool transposed = false;
  std::function<std::optional<Sizes>(std::string_view argument)> sizes_of;  // of a tensor argument, where there is one
  Sizes result;
  uint64_t elements = 0;  // read and written
};
Work work_of(const CallShapes& call);
// What a node with sub-graphs holds counts as often as it stands there; of a condition's branches the longer one counts.
Work work_of(const ExportedProgram& program, const Node& node);
// All of the program's own graph together, or of the nodes that count; saturates.
uint64_t total_work(const ExportedProgram& program, const std::function<bool(const Node&)>& counts = {});
// Float tensors in and out.
bool computes_on_floats(const Node& node);
// What part of a program's work on floats some of its nodes are, 0 to 1. The whole of it is found when it is first asked for, once.
class WorkShare {
 public:
  explicit WorkShare(const ExportedProgram& program) : program_(program) {}
  double of(const std::vector<const Node*>& nodes);

 private:
  const ExportedProgram& program_;
  std::optional<uint64_t> all_;
};

// Of sizes as they are; saturates.
uint64_t element_count(const Sizes& sizes);
uint64_t saturating_add(uint64_t a, uint64_t b);

}  // namespace intaglio
