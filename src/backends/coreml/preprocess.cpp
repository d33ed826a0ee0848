#include "backends/coreml/preprocess.h"

#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "backends/coreml/compile_specs.h"
#include "backends/coreml/lower/lowering.h"
#include "backends/coreml/payload/payload.h"
#include "pt2e/passes.h"

namespace intaglio::coreml {

Program lower_partition(ExportedProgram& partition, const CoreMLPartitionerOptions& options,
                        const std::function<void(std::string_view step, const ExportedProgram&)>& observe) {
  pt2e::fold_batch_norm(partition, Compat::intaglio);
  partition.graph().eliminate_dead_code();
  partition.remove_unused_constants();
#ifndef NDEBUG
  verify(partition);
#endif
  if (observe) observe("fold_batch_norm", partition);
  const Version version = version_of(options);
  return {version, {lower_to_function(partition, "main", {version, options.compute_precision == ComputePrecision::float16})}};
}

void CoreMLPartitioner::check(std::span<const std::byte> payload) const { read_payload(payload); }

static Delegate delegate_of(ExportedProgram partition, const CoreMLPartitionerOptions& options) {
  Delegate delegate;
  delegate.backend_id = delegate_id;
  delegate.payload = write_payload(lower_partition(partition, options));
  delegate.compile_specs = compile_specs(options);
  delegate.program = std::make_unique<ExportedProgram>(std::move(partition));
  return delegate;
}

std::vector<Delegate> CoreMLPartitioner::preprocess(std::vector<MethodPartition> partitions) const {
  std::vector<Delegate> delegates;
  for (MethodPartition& partition : partitions) delegates.push_back(delegate_of(std::move(partition.program), options_));
  return delegates;
}

}  // namespace intaglio::coreml
