// Constants as the payload's named data holds them.
#pragma once

#include <intaglio/blob.h>
#include <intaglio/tensor.h>

namespace intaglio::vulkan {

// The tensor's elements row by row in another type, made when they are written. Floats beyond float16 become its largest.
Blob constant_bytes(const Tensor& tensor, DType type);

}  // namespace intaglio::vulkan
