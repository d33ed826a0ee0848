// Integer arithmetic in plain PyTorch operators in place of quantize and dequantize nodes around float layers.
//
// A layer whose operands and result are 8-bit integers becomes int16 operands less their zero points, sums in int32
// (`higher_order.out_dtype`), a bias in int32, one multiplication by the ratio of the scales, rounding, the zero point and a clamp.
// What has no such form stays a float operator between quantize and dequantize steps written out. Test: reference_representation.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::pt2e {

// Linear layers, convolutions of every kind, sums, differences, products, max pools, means and average pools to sizes that divide
// the input's, each with the activation behind it, and linear layers whose input is quantized at run time. Results are within one
// step of those of the program as it was: scales are multiplied in another order, and a bias is rounded to its integer.
void write_reference(ExportedProgram& program);

// The same for the patterns that torchao's rewriting finds, with its arithmetic: per-tensor linear layers with a bias, sums, and
// sums before a relu. Ratios truncate toward zero there, and results are off by up to two steps. Its dynamic linear layers return
// float64. A linear layer without bias, which it rewrites to something that cannot run, keeps its float form.
void write_torchao_reference(ExportedProgram& program);

}  // namespace intaglio::pt2e
