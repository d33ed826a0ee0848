// Tensors that are made whenever they are read, so that memory never holds all of them.
#pragma once

#include <functional>

#include <intaglio/tensor.h>

namespace intaglio {

// The contiguous tensor that `compute` makes of `source`, which it reads for one use; it may be called again, from any thread. A large one
// is computed at each reading (Storage::computed) when `source` takes no memory of its own: it lies in a file or is computed itself. Others
// are computed now.
Tensor computed_from(const Tensor& source, DType dtype, Sizes sizes, std::function<Tensor(const Tensor& source)> compute);

}  // namespace intaglio
