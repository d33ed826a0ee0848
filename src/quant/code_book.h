// Weights as indices into lists of values, found by k-means. Test: code_book_test.cpp; against coremltools: tests/test_quantize_api.py.
#pragma once

#include <cstdint>

#include <intaglio/tensor.h>

namespace intaglio::quant {

struct CodeBookWeight {
  Tensor codes;  // uint8, sizes of the weight
  Tensor book;   // float64 [row blocks, column blocks, 2^bits, 1], ascending; 0 where a block has fewer different values
};

// One list of 2^bits values for each block of `rows` x `columns` elements, which divide the matrix. The values are those of the smallest
// squared error in each block: k-means of numbers has that optimum, which no random start is needed for (Wang and Song, Ckmeans.1d.dp,
// The R Journal 3(2), 2011). Blocks of more than `exact_values` different values are searched on a grid first and then refined.
// A float32, float16 or bfloat16 matrix; a bad-input error for a value that is not finite. The same bits for any number of threads.
CodeBookWeight quantize_to_code_book(const Tensor& weight, int bits, int64_t rows, int64_t columns, int threads);

}  // namespace intaglio::quant
