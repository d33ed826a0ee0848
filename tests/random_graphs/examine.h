// One program on every engine, compared within what its quantization steps allow.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/program.h>

#include "runtime/runtime.h"

namespace intaglio::random_graphs {

enum class Outcome {
  agrees,
  differs,
  no_use,  // outputs are constant, zero or not finite: the program shows nothing
};
struct Examination {
  Outcome outcome = Outcome::agrees;
  std::string text;  // what differs, by how much
  // For each comparison that was made: how much of its bound was used.
  std::map<std::string, double> used;
};

// Float interpretation beside the float `.pte`, with and without delegates; then quantized, statically and dynamically: the
// converted program beside the float one, read back from its archive, and beside its own `.pte`, with and without delegates.
// `change`, when given, spoils the quantized program before it is lowered: a test of this examination.
Examination examine(const ExportedProgram& program, const std::vector<Tensor>& inputs, bool per_channel, runtime::PteRunner& runner,
                    uint64_t seed, const std::function<void(ExportedProgram&)>& change = {});

}  // namespace intaglio::random_graphs
