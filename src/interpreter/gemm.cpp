#include "interpreter/gemm.h"

#include "base/threads.h"
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

constexpr size_t max_entries = 32;

Sizes strides_of(const Matrix& m) { return {m.row_stride, m.column_stride}; }

std::shared_ptr<const GemmState::Entry> build_entry(Sizes key, const Matrix& a, const Matrix& b, bool packed_b, bool has_bias,
                                                    const Epilogue* epilogue) {
  auto entry = std::make_shared<GemmState::Entry>();
  entry->key = std::move(key);
  entry->a = dnnl_desc({a.rows, a.columns}, strides_of(a));
  entry->c = dnnl_desc({a.rows, b.columns}, {b.columns, 1});
  const Sizes b_sizes = {b.rows, b.columns};
  const dnnl::memory::desc b_desc = packed_b ? dnnl_any(b_sizes) : dnnl_desc(b_sizes, strides_of(b));
  if (has_bias) entry->bias = dnnl_desc({1, b.columns}, {b.columns, 1});
  const bool bounded = epilogue != nullptr && epilogue->bounded;
  const dnnl::primitive_attr attributes = dnnl_attributes(bounded, bounded ? epilogue->low : 0, bounded ? epilogue->high : 0);
  const dnnl::matmul::desc desc =
      has_bias ? dnnl::matmul::desc(entry->a, b_desc, entry->bias, entry->c) : dnnl::matmul::desc(entry->a, b_desc, entry->c);
  const dnnl::matmul::primitive_desc descriptor(desc, attributes, dnnl_engine());
  entry->b = descriptor.weights_desc();
  entry->scratchpad = descriptor.scratchpad_desc();
  entry->run = dnnl::matmul(descriptor);
  return entry;
}

}  // namespace

std::shared_ptr<const GemmState::Entry> gemm_entry(GemmState& state, const Matrix& a, const Matrix& b, bool packed_b, bool has_bias,
                                                   const Epilogue* epilogue) {
  Sizes key = {a.rows, a.columns, b.columns, a.row_stride, a.column_stride, has_bias, packed_b};
  if (!packed_b) key.insert(key.end(), {b.row_stride, b.column_stride});
  for (const auto& entry : state.entries)
    if (entry->key == key) return entry;
  if (state.entries.size() == max_entries) state.entries.erase(state.entries.begin());
  state.entries.push_back(dnnl_built([&] { return build_entry(key, a, b, packed_b, has_bias, epilogue); }));
  return state.entries.back();
}

dnnl::memory gemm_packed(Call& call, GemmState& state, const GemmState::Entry& entry, const Tensor& b) {
  for (const auto& [desc, weights] : state.packed)
    if (desc == entry.b) return weights.memory;
  call.context().pool.trim();
  state.packed.emplace_back(entry.b, dnnl_packed(entry.b, dnnl_desc(b.sizes(), b.strides()), b));
  return state.packed.back().second.memory;
}

void gemm_run(const GemmState::Entry& entry, const float* a, const dnnl::memory& b, const float* bias, float* c) {
  DnnlArguments arguments = {{DNNL_ARG_SRC, dnnl_memory(entry.a, a)}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, dnnl_memory(entry.c, c)}};
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, dnnl_memory(entry.bias, bias));
  dnnl_run(entry.run, std::move(arguments), entry.scratchpad);
}

Matrix matrix_shape_of(const Tensor& tensor) {
  const size_t rank = tensor.sizes().size();
  return {nullptr, tensor.sizes()[rank - 2], tensor.sizes()[rank - 1], tensor.strides()[rank - 2], tensor.strides()[rank - 1]};
}

Matrix matrix_of(const Tensor& tensor, int64_t offset) {
  Matrix matrix = matrix_shape_of(tensor);
  matrix.data = tensor.data<float>() + offset;
  return matrix;
}

Tensor readable_matrix(const Call& call, const Tensor& tensor) {
  const Matrix m = matrix_of(tensor);
  const bool by_rows = m.column_stride == 1 && m.row_stride >= m.columns;
  const bool by_columns = m.row_stride == 1 && m.column_stride >= m.rows;
  return by_rows || by_columns ? tensor : own_copy(call, tensor);
}

void batched_gemm(const Call& call, GemmState& state, const Tensor& x, const Tensor& y, const Tensor& out) {
  if (out.numel() == 0) return;
  float* c = writable<float>(out);
  if (x.size(-1) == 0) {
    std::fill_n(c, out.numel(), 0.0f);
    return;
  }
  const Tensor a = readable_matrix(call, x), b = readable_matrix(call, y);
  const auto entry = gemm_entry(state, matrix_of(a), matrix_of(b), false, false, nullptr);
  const int64_t step = out.size(1) * out.size(2);
  parallel_for(static_cast<size_t>(out.size(0)), call.threads(), [&](size_t i) {
    const int64_t batch = static_cast<int64_t>(i);
    const Matrix b_matrix = matrix_of(b, batch * b.strides()[0]);
    gemm_run(*entry, matrix_of(a, batch * a.strides()[0]).data, dnnl_memory(entry->b, b_matrix.data), nullptr, c + batch * step);
  });
}

}  // namespace intaglio::interp
