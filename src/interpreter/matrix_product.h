#pragma once

#include "interpreter/call.h"

namespace intaglio::interp {

// [batch, m, k] x [batch, k, n] of one numeric type, checked; the node's state must be a GemmState or unused.
Tensor matrix_product(Call& call, const Tensor& x, const Tensor& y);

}  // namespace intaglio::interp
