#include "backends/xnnpack/preprocess.h"

#include <algorithm>

#include <intaglio/error.h>
#include <intaglio/xnnpack.h>

#include "backends/xnnpack/lower/lowering.h"
#include "backends/xnnpack/passes/passes.h"
#include "backends/xnnpack/payload/payload_bytes.h"

namespace intaglio::xnnpack {

PayloadGraph lower_partition(const ExportedProgram& partition, const Features& features,
                             const std::function<void(std::string_view step, const PayloadGraph&)>& observe) {
  const auto done = [&](std::string_view step, const PayloadGraph& graph) {
    if (observe) observe(step, graph);
  };
  // Ops to nodes; q/dq nodes become types of values or Converts. Everything lies as the program has it (NCHW).
  PayloadGraph graph = Lowering(partition, features).run();
  done("lower", graph);
  // First, because the runtime has no batch norm, and behind folded ones wait activations to fuse.
  fold_batch_norms(graph);
  done("fold_batch_norms", graph);
  // Before pads and reshapes: both look at direct neighbours.
  fuse_activations(graph, features);
  done("fuse_activations", graph);
  if (features.fold_pads) fold_pads(graph);
  done("fold_pads", graph);
  // Before layouts: a reshape between two 1-d convolutions would force both back to NCHW.
  if (features.more_ops) cancel_reshapes(graph);
  done("cancel_reshapes", graph);
  // Before layouts, which say nothing of the operands of products.
  if (features.folded_transposes) fold_transposes(graph);
  done("fold_transposes", graph);
  // Last rewrite: it fixes axes and sizes to memory.
  assign_layouts(graph, features);
  done("assign_layouts", graph);
  remove_unused(graph);
  done("remove_unused", graph);
  // What it counts are the nodes that the runtime sees.
  if (features.short_chains) break_long_chains(graph);
  done("break_long_chains", graph);
  // Behind the passes that may add one.
  if (info(NodeKind::Copy).since > features.runtime) replace_copies(graph);
  done("replace_copies", graph);
  check_payload(graph);
  return graph;
}

void XnnpackPartitioner::check(std::span<const std::byte> payload) const { check_payload_header(payload); }

namespace {

// Of all delegates of a file: more would take much of the 2 GB that a program's tables may have.
constexpr uint64_t most_kept_bytes = uint64_t{32} << 20;

uint64_t lasting_bytes(const PayloadGraph& graph) {
  const std::vector<bool> lasting = lasting_constants(graph);
  uint64_t bytes = 0;
  for (ValueId id = 0; id < graph.values.size(); ++id)
    if (lasting[id]) bytes += graph.values[id].data.nbytes();
  return bytes;
}

// For each graph whether its payload stays as long as the program, with the constants that it reads at every call in it. Runtimes free what
// lies elsewhere once a delegate is compiled: those before 1.4 always, newer ones where they share packed weights (`weight_cache_enabled`).
std::vector<bool> kept_constants(const std::vector<PayloadGraph>& graphs, const Features& features) {
  std::vector<bool> kept;
  uint64_t all = 0;
  for (const PayloadGraph& graph : graphs) {
    const uint64_t bytes = lasting_bytes(graph);
    kept.push_back(bytes > 0);
    all += bytes;
  }
  if (all > most_kept_bytes && features.runtime >= keeps_constants_since) kept.assign(graphs.size(), false);
  return kept;
}

Delegate delegate_of(ExportedProgram partition, const PayloadGraph& graph, WrittenPayload payload, bool keep_constants) {
  // Read back as the runtime would: the container's own check does not look inside payloads.
  if (read_payload(payload.bytes).nodes.size() != graph.nodes.size()) throw_bug("an XNNPACK payload does not read back as it was written");
  Delegate delegate;
  delegate.backend_id = delegate_id;
  delegate.payload = std::move(payload.bytes);
  delegate.named_data = std::move(payload.named_data);
  delegate.input_slack = 64;  // its microkernels read whole vectors
  delegate.inside_program = keep_constants;
  delegate.needs = runtime_needs(graph);
  if (keep_constants) delegate.needs.forget_from_file();
  delegate.program = std::make_unique<ExportedProgram>(std::move(partition));
  return delegate;
}

}  // namespace

// Delegates share weights by the keys that what is packed alike has in all of them.
std::vector<Delegate> XnnpackPartitioner::preprocess(std::vector<MethodPartition> partitions) const {
  const Features features = Features::of(options_);
  std::vector<PayloadGraph> graphs;
  for (const MethodPartition& partition : partitions) graphs.push_back(lower_partition(partition.program, features));
  const std::vector<bool> keep_constants = kept_constants(graphs, features);
  std::vector<WrittenPayload> payloads = write_payloads(graphs, keep_constants);
  std::vector<Delegate> delegates;
  for (size_t i = 0; i < partitions.size(); ++i)
    delegates.push_back(delegate_of(std::move(partitions[i].program), graphs[i], std::move(payloads[i]), keep_constants[i]));
  return delegates;
}

}  // namespace intaglio::xnnpack
