// Complex numbers as pairs of real ones.
//
// Needs: nothing; in-place ops and views may still be there. Guarantees: complex tensors are left only between a Fourier
// transform of the runtime and the op that turns it into real numbers or back (`_fft_r2c` and `view_as_real`,
// `view_as_complex` and `_fft_c2r`), and where the program takes or returns them. Every other Fourier transform is made of
// these two. A value that is not complex keeps its name. An unsupported error names the op that has no form in real numbers.
// Shown by lower_complex.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::decompose {

// Is there a complex value, or an op that makes and uses up one inside? Sub-graphs count.
bool has_complex(const ExportedProgram& program);

void lower_complex(ExportedProgram& program);

}  // namespace intaglio::decompose
