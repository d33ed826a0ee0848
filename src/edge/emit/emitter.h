// A lowered method to an execution plan.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <intaglio/edge.h>

#include "edge/emit/constant_pool.h"
#include "edge/emit/plan_builder.h"

namespace intaglio::edge {

// What all methods of a file share.
struct EmissionPools {
  ConstantPool constants;
  ConstantPool mutable_state;  // initial contents of mutated buffers, where not zero
  std::vector<Blob> payloads;  // in the order of the plans' delegates
};

// Needs: edge dialect, kernels checked (check_kernels), write-backs inserted. data_buffer_idx of the plan's tensors are
// the pools' provisional numbers.
pte::ExecutionPlan emit_method(const EdgeMethod& method, const ExecutorchOptions& options, EmissionPools& pools);

}  // namespace intaglio::edge
