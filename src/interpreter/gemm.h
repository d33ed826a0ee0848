// Matrix products on oneDNN: C = A B [+ bias], float32, row-major C.
#pragma once

#include "interpreter/call.h"
#include "interpreter/dnnl_support.h"

namespace intaglio::interp {

// A two-dimensional float32 matrix in memory.
struct Matrix {
  const float* data = nullptr;
  int64_t rows = 0, columns = 0;
  int64_t row_stride = 0, column_stride = 0;
};

// Primitives by shape; one per node.
struct GemmState : NodeState {
  struct Entry {
    Sizes key;
    dnnl::primitive run;
    dnnl::memory::desc a, b, bias, c, scratchpad;
  };
  std::vector<std::shared_ptr<const Entry>> entries;
  // B in the layout of a descriptor, when B never changes.
  std::vector<std::pair<dnnl::memory::desc, PackedWeights>> packed;
};

// The primitive for these shapes and strides; `packed_b` lets oneDNN choose B's layout. One of each operand's strides
// must be 1. Not thread safe: look up first, run on any thread.
std::shared_ptr<const GemmState::Entry> gemm_entry(GemmState& state, const Matrix& a, const Matrix& b, bool packed_b, bool has_bias,
                                                   const Epilogue* epilogue);
// A constant B in the entry's layout, kept in the state.
dnnl::memory gemm_packed(Call& call, GemmState& state, const GemmState::Entry& entry, const Tensor& b);
void gemm_run(const GemmState::Entry& entry, const float* a, const dnnl::memory& b, const float* bias, float* c);

// The last two dimensions of a tensor, at element offset `offset` from its first.
Matrix matrix_of(const Tensor& tensor, int64_t offset = 0);
Matrix matrix_shape_of(const Tensor& tensor);  // without the data: the tensor is not read
// A tensor whose last two dimensions oneDNN can read: itself, or a contiguous copy.
Tensor readable_matrix(const Call& call, const Tensor& tensor);

// out[b] = x[b] y[b] for tensors [batch, m, k] and [batch, k, n]; batch strides may be 0.
void batched_gemm(const Call& call, GemmState& state, const Tensor& x, const Tensor& y, const Tensor& out);

}  // namespace intaglio::interp
