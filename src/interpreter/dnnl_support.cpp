#include "interpreter/dnnl_support.h"

#include <cmath>
#include <cstdlib>

// The library is built on GNU OpenMP; the header is not everywhere the library is.
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int);
}

namespace intaglio::interp {
namespace {

dnnl::stream& stream() {
  thread_local dnnl::stream instance(dnnl_engine());
  return instance;
}

// Grows to the largest need of this thread.
void* scratch(size_t bytes) {
  struct Buffer {
    void* data = nullptr;
    size_t size = 0;
    ~Buffer() { std::free(data); }
  };
  thread_local Buffer buffer;
  if (buffer.size < bytes) {
    std::free(buffer.data);
    buffer.size = 0;
    buffer.data = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (buffer.data == nullptr) throw std::bad_alloc();
    buffer.size = bytes;
  }
  return buffer.data;
}

}  // namespace

const dnnl::engine& dnnl_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

OneThread::OneThread() : previous_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneThread::~OneThread() { omp_set_num_threads(previous_); }

dnnl::memory::desc dnnl_desc(const Sizes& sizes, const Sizes& strides) {
  return dnnl::memory::desc(sizes, dnnl::memory::data_type::f32, strides);
}
dnnl::memory::desc dnnl_any(const Sizes& sizes) {
  return dnnl::memory::desc(sizes, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any);
}
dnnl::memory dnnl_memory(const dnnl::memory::desc& desc, const void* data) {
  return dnnl::memory(desc, dnnl_engine(), const_cast<void*>(data));
}

dnnl::primitive_attr dnnl_attributes(bool bounded, float low, float high) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (bounded) {
    dnnl::post_ops operations;
    if (low == 0 && std::isinf(high)) operations.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
    else operations.append_eltwise(1, dnnl::algorithm::eltwise_clip, low, high);
    attributes.set_post_ops(operations);
  }
  return attributes;
}

void dnnl_run(const dnnl::primitive& primitive, DnnlArguments arguments, const dnnl::memory::desc& scratchpad) {
  const OneThread guard;
  if (const size_t bytes = scratchpad.get_size(); bytes != 0) arguments.emplace(DNNL_ARG_SCRATCHPAD, dnnl_memory(scratchpad, scratch(bytes)));
  primitive.execute(stream(), arguments);
  stream().wait();
}

dnnl::memory dnnl_reordered(const dnnl::memory& source, const dnnl::memory::desc& desc) {
  dnnl::memory result(desc, dnnl_engine());
  const OneThread guard;
  dnnl::reorder(source, result).execute(stream(), const_cast<dnnl::memory&>(source), result);
  stream().wait();
  return result;
}

}  // namespace intaglio::interp
