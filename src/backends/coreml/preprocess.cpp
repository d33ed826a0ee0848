#include "backends/coreml/preprocess.h"

#include <map>

#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "backends/coreml/compile_specs.h"
#include "backends/coreml/enumerated_shapes.h"
#include "backends/coreml/lower/lowering.h"
#include "backends/coreml/payload/payload.h"
#include "base/sha256.h"
#include "pt2e/passes.h"

namespace intaglio::coreml {

Function lower_partition(ExportedProgram& partition, std::string_view name, const CoreMLPartitionerOptions& options,
                         const std::function<void(std::string_view step, const ExportedProgram&)>& observe) {
  pt2e::fold_batch_norm(partition, Compat::intaglio);
  partition.graph().eliminate_dead_code();
  partition.remove_unused_constants();
#ifndef NDEBUG
  verify(partition);
#endif
  if (observe) observe("fold_batch_norm", partition);
  Function function = lower_to_function(partition, name, {version_of(options), options.compute_precision == ComputePrecision::float16});
  give_shapes(function, options.enumerated_shapes);
  return function;
}

void CoreMLPartitioner::check(std::span<const std::byte> payload) const { check_payload(payload); }

namespace {

Delegate delegate_of(ExportedProgram partition, const CoreMLPartitionerOptions& options) {
  Delegate delegate;
  delegate.backend_id = delegate_id;
  delegate.compile_specs = compile_specs(options);
  delegate.program = std::make_unique<ExportedProgram>(std::move(partition));
  return delegate;
}

// Functions of one model, in named data that every delegate names.
void share_model(std::vector<Delegate*> delegates, std::vector<Function> functions, Version version) {
  std::vector<FunctionReference> references;
  for (const Function& function : functions) references.push_back({"", function.name});
  const Blob model = write_payload({version, std::move(functions)});
  const std::string key = "coreml_executorch_" + lowercase_hex(model.digest()).substr(0, 32);
  for (size_t i = 0; i < delegates.size(); ++i) {
    references[i].key = key;
    delegates[i]->payload = write_reference(references[i]);
    delegates[i]->named_data = {{key, model}};
  }
}

}  // namespace

std::vector<Delegate> CoreMLPartitioner::preprocess(std::vector<MethodPartition> partitions) const {
  const Version version = version_of(options_);
  const bool shares = options_.multimethod_weight_sharing_strategy == WeightSharing::positional && version >= Version::ios18;
  std::map<size_t, std::vector<size_t>> by_place;  // in the methods, to places here
  for (size_t i = 0; i < partitions.size(); ++i) by_place[shares ? partitions[i].index : i].push_back(i);
  std::vector<Delegate> delegates(partitions.size());
  for (const auto& [place, members] : by_place) {
    std::vector<Function> functions;
    std::vector<Delegate*> theirs;
    for (const size_t i : members) {
      functions.push_back(lower_partition(partitions[i].program, members.size() == 1 ? "main" : partitions[i].method, options_));
      delegates[i] = delegate_of(std::move(partitions[i].program), options_);
      theirs.push_back(&delegates[i]);
    }
    if (members.size() > 1) share_model(std::move(theirs), std::move(functions), version);
    else theirs[0]->payload = write_payload({version, std::move(functions)});
  }
  return delegates;
}

}  // namespace intaglio::coreml
