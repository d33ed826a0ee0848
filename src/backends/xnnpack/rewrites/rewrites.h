// Rewrites of a program before it is partitioned; partitioner.cpp lists them in order. Each has a `.test` file of its name.
#pragma once

#include <intaglio/program.h>

#include "backends/xnnpack/features.h"

namespace intaglio::xnnpack {

// Operators on more than six dimensions work on fewer, between reshapes that undo each other where such operators follow one
// another. Those that have no such form (flat_form.h) are left as they are.
void flatten_many_dims(ExportedProgram& program);

// What stands between an operator and its quantize and dequantize nodes and only moves values (reshapes, zero pads, and behind the
// operator an activation) is quantized by the same parameters, so that the operator is computed in integers. Parameters that are
// found at run time are found behind such moves. Numbers stay as they are.
// Needs: every dequantize node has one reader.
void quantize_around_moves(ExportedProgram& program, const Features& features);

// What is quantized at run time for an operator that no integer kernel computes is read in float: the operator computes in float
// either way.
void read_float_outside_kernels(ExportedProgram& program, const Features& features);

// A choice between floats that delegates compute, by a condition that they do not (masks made of integers and booleans):
// max(min(self, high), min(other, low)), whose bounds are infinite where nothing is to change. They are computed ahead of the
// delegate, once for all choices by one condition. What is no number on the side that is not chosen may come through.
void choose_by_bounds(ExportedProgram& program, const Features& features);

// Softplus and logarithms of sigmoids by operators that delegates compute. Shown by LOGARITHMS of tests/cases/whole.py.
void compute_logs_of_one_plus(ExportedProgram& program);

}  // namespace intaglio::xnnpack
