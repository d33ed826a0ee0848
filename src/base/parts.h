// A large tensor read in parts, so that no copy of all of it is made: its bytes may stand at any address in their file.
#pragma once

#include <functional>

#include <intaglio/tensor.h>

namespace intaglio {

// True when the tensor is computed in parts whenever they are read (Storage::streamed).
bool is_streamed(const Tensor& tensor);

// True when the parts are more than one: some megabytes of a contiguous tensor, which is read for one use.
bool is_read_in_parts(const Tensor& tensor);

// Calls `visit(first, rows)` for the rows of the first dimension, in order; `rows` stands at an aligned address and is gone
// after the call.
void for_each_part(const Tensor& tensor, const std::function<void(int64_t first, const Tensor& rows)>& visit);

}  // namespace intaglio
