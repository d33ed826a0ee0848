// Reuse of tensor memory within and between runs.
//
// A block is free again when nobody but the pool holds its storage, so views, outputs and tensors that a hook kept
// are safe without any bookkeeping.
#pragma once

#include <memory>
#include <vector>

#include <intaglio/tensor.h>

namespace intaglio::interp {

class Pool {
 public:
  // Uninitialised; `strides` empty: contiguous.
  Tensor empty(DType dtype, Sizes sizes, Sizes strides = {});
  // Drops the blocks that nobody uses. Before weights are packed, which happens once and needs more memory for a moment.
  void trim();

 private:
  std::shared_ptr<Storage> take(size_t bytes);
  std::vector<std::shared_ptr<Storage>> blocks_;  // by size, ascending
  size_t turn_ = 0;                               // where the next look at many begins
};

}  // namespace intaglio::interp
