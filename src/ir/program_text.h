// The words that the printed form of a program is made of: what printer.cpp writes and parser.cpp reads.
//
//   range s77: 2..128 hint 3
//   parameter %p_w: f32[2, 2] 'fc.weight' = [0.5, 1.0, 1.5, 2.0]
//   user %x: f32[s77, 2]
//   %linear: f32[s77, 2] = aten.linear.default(input=%x, weight=%p_w) in 'fc' (torch.nn.modules.linear.Linear)
//   output user %linear
//
// Constants show their values, in row-major order, up to `most_values_shown`.
#pragma once

#include <array>
#include <string_view>

#include <intaglio/dtype.h>

namespace intaglio {

inline constexpr int64_t most_values_shown = 12;

// f32, i8, b8; types without a short form have their name.
std::string_view short_name(DType dtype);

// By InputSpec::Kind, OutputSpec::Kind, MemoryFormat, Layout.
inline constexpr std::array input_words = {"parameter", "buffer", "constant", "object", "user", "literal", "token"};
inline constexpr std::array output_words = {"user",  "mutates buffer", "mutates parameter", "mutates input",
                                            "token", "loss",           "gradient of",       "gradient of input"};
inline constexpr std::array memory_format_words = {"unknown_format", "contiguous_format", "channels_last", "channels_last_3d",
                                                   "preserve_format"};
inline constexpr std::array layout_words = {"unknown",    "sparse_coo", "sparse_csr", "sparse_csc",
                                            "sparse_bsr", "sparse_bsc", "mkldnn",     "strided"};

// What stands without quotes: letters, digits, `_` and `.`.
inline bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

}  // namespace intaglio
