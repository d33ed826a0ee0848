#include "interpreter/dnnl_support.h"

#include <sys/mman.h>

#include <atomic>
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

// Bytes that stay while others of about their size come and go, one after the other as layers are packed: in the heap they
// would leave a hole for each of these.
std::shared_ptr<void> lasting_bytes(size_t bytes) {
  constexpr size_t worth_pages = 32 * 1024;
  if (bytes < worth_pages) {
    void* small = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (small == nullptr && bytes != 0) throw std::bad_alloc();
    return std::shared_ptr<void>(small, std::free);
  }
  void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  ::madvise(pages, bytes, MADV_HUGEPAGE);  // fewer faults where the system has large pages to give
  return std::shared_ptr<void>(pages, [bytes](void* address) { ::munmap(address, bytes); });
}

}  // namespace

const dnnl::engine& dnnl_engine() {
  const UncheckedCode unchecked;
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

namespace {
std::atomic<bool> dnnl_is_given_up = false;
}
void require_dnnl() {
  if (dnnl_is_given_up) throw std::bad_alloc();
}
void give_up_dnnl() { dnnl_is_given_up = true; }

OneThread::OneThread() : previous_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneThread::~OneThread() { omp_set_num_threads(previous_); }

dnnl::memory::desc dnnl_desc(const Sizes& sizes, const Sizes& strides) {
  return dnnl::memory::desc(sizes, dnnl::memory::data_type::f32, strides);
}
dnnl::memory::desc dnnl_any(const Sizes& sizes) {
  return dnnl::memory::desc(sizes, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any);
}
dnnl::memory dnnl_memory(const dnnl::memory::desc& desc, const void* data) {
  const UncheckedCode unchecked;
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
  if (const size_t bytes = scratchpad.get_size(); bytes != 0)
    arguments.emplace(DNNL_ARG_SCRATCHPAD, dnnl_memory(scratchpad, scratch(bytes)));
  primitive.execute(stream(), arguments);
  stream().wait();
}

bool is_large_weight(const Tensor& weight) { return weight.numel() >= large_weight / static_cast<int64_t>(sizeof(float)); }

PackedWeights dnnl_packed(const dnnl::memory::desc& packed, const dnnl::memory::desc& plain, const Tensor& tensor) {
  const auto reorder =
      dnnl_built([&] { return dnnl::reorder(dnnl::reorder::primitive_desc(dnnl_engine(), plain, dnnl_engine(), packed)); });
  const OneThread guard;
  PackedWeights result;
  result.bytes = lasting_bytes(packed.get_size());
  result.memory = dnnl_memory(packed, result.bytes.get());
  const Tensor once = tensor.for_one_use();
  dnnl::memory source = dnnl_memory(plain, once.raw());
  reorder.execute(stream(), source, result.memory);
  stream().wait();
  return result;
}

}  // namespace intaglio::interp
