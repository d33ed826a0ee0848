#include "backends/xnnpack/int8_chains.h"
#include "backends/xnnpack/rewrites/rewrites.h"

namespace intaglio::xnnpack {

void read_float_outside_kernels(ExportedProgram& program, const Features& features) {
  std::vector<qdq::Dynamic> stranded;
  {
    const common::ProgramFacts facts(program);
    const Int8Chains chains = find_int8_chains(facts, features, find_rule_refusals(facts, features));
    for (const Node* node : program.graph().node_list()) {
      if (node->outputs().size() != 1 || chains.dynamic_parts.contains(node)) continue;
      const auto dynamic = qdq::dynamic_of(node->output());
      if (dynamic && dynamic->source->dtype() == node->output()->dtype()) stranded.push_back(*dynamic);
    }
  }
  for (const qdq::Dynamic& dynamic : stranded) program.graph().replace_all_uses(dynamic.dequantize->output(), dynamic.source);
  if (!stranded.empty()) program.graph().eliminate_dead_code();
}

}  // namespace intaglio::xnnpack
