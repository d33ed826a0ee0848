// Tensors that are made whenever they are read, so that memory never holds all of them.
#pragma once

#include <functional>
#include <vector>

#include <intaglio/tensor.h>

namespace intaglio {

// The contiguous tensor that `compute` makes of `source`, which it reads for one use; it may be called again, from any thread. A large one
// is computed at each reading (Storage::computed) when `source` lies in a file, any when `source` is computed itself. Others are computed
// now.
Tensor computed_from(const Tensor& source, DType dtype, Sizes sizes, std::function<Tensor(const Tensor& source)> compute);

struct TensorForm {
  DType dtype;
  Sizes sizes;
};
// The same for several tensors of one computation, of which the first is the largest. When one is read, the others but for the first
// are kept until they are read, so that reading all of them in order computes once.
std::vector<Tensor> computed_from(const Tensor& source, const std::vector<TensorForm>& forms,
                                  std::function<std::vector<Tensor>(const Tensor& source)> compute);

// The same where rows of the source, from `first` on, make those rows of every result: a reader of the first result in parts makes the
// computation go over the source in parts too, so that memory holds neither of them.
using RowComputation = std::function<std::vector<Tensor>(const Tensor& rows, int64_t first)>;
Tensor computed_by_rows(const Tensor& source, DType dtype, Sizes sizes, std::function<Tensor(const Tensor& rows)> compute);
std::vector<Tensor> computed_by_rows(const Tensor& source, const std::vector<TensorForm>& forms, RowComputation compute);

}  // namespace intaglio
