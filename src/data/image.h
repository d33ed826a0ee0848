// JPEG and PNG into 8-bit RGB.
#pragma once

#include <span>

#include <intaglio/data.h>

namespace intaglio::data {

// Larger images are refused before memory is taken; it is also more than any file of `bytes` bytes can hold.
inline constexpr int64_t largest_pixels = 100'000'000;

bool is_jpeg(std::span<const std::byte> bytes);
bool is_png(std::span<const std::byte> bytes);
// Bad-input errors without a file name.
Image decode_jpeg(std::span<const std::byte> bytes);
Image decode_png(std::span<const std::byte> bytes);

// Bad-input error when the size is zero or too large.
void require_image_size(uint64_t height, uint64_t width);

}  // namespace intaglio::data
