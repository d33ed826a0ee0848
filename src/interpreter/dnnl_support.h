// oneDNN as the kernels use it: one engine, every primitive on one thread, scratch memory of our own.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <memory>
#include <new>
#include <unordered_map>
#include <vector>

#include <intaglio/tensor.h>

#include "base/unchecked_code.h"

namespace intaglio::interp {

const dnnl::engine& dnnl_engine();

// While it lives, oneDNN builds and runs primitives for this thread alone. Results then do not depend on the number of
// threads; what is spread over threads is spread by the kernels. oneDNN 2.6 writes to where its memory would be when it got
// none, and the C library gives up where the destructor of a thread's object cannot be entered.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int previous_;
  UncheckedCode unchecked_;
};

// What BODY builds of oneDNN's: descriptors and primitives. Where it gets no memory for one, oneDNN 2.6 keeps the lock of its cache, and
// would wait for itself the next time: from then on nothing is built any more in this process, which std::bad_alloc says again.
void require_dnnl();
void give_up_dnnl();
template <typename Body>
auto dnnl_built(const Body& body) {
  require_dnnl();
  const OneThread guard;
  try {
    return body();
  } catch (const std::bad_alloc&) {
    give_up_dnnl();
    throw;
  }
}

// A float32 memory of plain strides.
dnnl::memory::desc dnnl_desc(const Sizes& sizes, const Sizes& strides);
// oneDNN picks the layout.
dnnl::memory::desc dnnl_any(const Sizes& sizes);
dnnl::memory dnnl_memory(const dnnl::memory::desc& desc, const void* data);
// Attributes with our scratch memory and, with bounds, a clamp after the main operation.
dnnl::primitive_attr dnnl_attributes(bool bounded, float low, float high);

using DnnlArguments = std::unordered_map<int, dnnl::memory>;
// Runs on the calling thread; `scratchpad` is the primitive descriptor's.
void dnnl_run(const dnnl::primitive& primitive, DnnlArguments arguments, const dnnl::memory::desc& scratchpad);

// Weights of this many bytes and more are read where they lie, in the mapped file, run after run; others are packed once and
// the packed copy is kept. A copy of each large one would hold a whole model in memory. Measured on one core: packing takes as
// long as ten runs on one row, and from this size on the weight comes from memory in every run, so that a run in place takes
// about the same time at 1 and at 128 rows (around 16 rows up to twice); at half of it a packed run is a third faster.
constexpr int64_t large_weight = int64_t{16} << 20;
bool is_large_weight(const Tensor& weight);  // as float32

// Weights in a layout that a primitive asks for.
struct PackedWeights {
  dnnl::memory memory;
  std::shared_ptr<void> bytes;  // what `memory` refers to
};
// Packs a tensor that lies as `plain` says, and reads it this once (Tensor::for_one_use).
PackedWeights dnnl_packed(const dnnl::memory::desc& packed, const dnnl::memory::desc& plain, const Tensor& tensor);

}  // namespace intaglio::interp
