// Core ATen: every op that has no kernel of its own is expressed in ops that have one.
//
// Needs: a functional graph. Guarantees: no op of the tables is left, except those `keep` holds on to and those whose
// decomposition left them as they are (they have a kernel for these operands). Where several lowerings are right, the one
// with fewer or faster kernels is taken, and the one that delegates accept: selects and splits become slices, attention
// has no guard against masked-out rows that cannot occur, a linear layer stays one op.
// Shown by decompose.test.
#pragma once

#include <functional>

#include <intaglio/program.h>

namespace intaglio::decompose {

// True when the tables have a row for the op.
bool has_decomposition(const Op& op);

void decompose(ExportedProgram& program, const std::function<bool(const Node&)>& keep = {});

// Layers that the exporter left as one op become linear layers, attention and norms, which quantizers know.
void expand_fused_layers(ExportedProgram& program);

}  // namespace intaglio::decompose
