// What a program is made of, in terms of simpler things: passes over programs, each in a file of its name.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::decompose {

// The op that computes, as a new tensor, what the in-place op leaves in its operand: `relu_` and `relu`, `__ior__` and `__or__`.
// The arguments are the same in the same order, though not always by the same names. nullopt for ops that write nothing in
// place, and for those without such a form (`zero_`, `copy_`, generators of quasi-random numbers).
std::optional<Op> functional_form(Op op);

// The written arguments under the names that `functional` has for them.
std::vector<NamedArgument> functional_arguments(const Node& node, Op functional);

// True for ops that give their operand other sizes and leave its elements alone: `unsqueeze_`, `t_`.
bool is_in_place_view(Op op);

// Puts views in the place of such ops: whoever reads the operand later reads the view.
//
// Needs: nothing. Guarantees: no in-place view is left, sub-graphs excepted. Refuses to change the sizes of buffers and of
// inputs, which the caller would see. Shown by in_place.test.
void replace_in_place_views(ExportedProgram& program);

// In-place ops become functional ones; writes to buffers and inputs become outputs of the program.
//
// Needs: training or inference IR without sub-graphs. Guarantees: no in-place op is left; whoever read a tensor, or a
// view of it, after a write reads the written value; a written buffer, parameter or input has a mutation output, placed
// before the user outputs in the order of the inputs. Shown by functionalize.test.
// Refuses writes through views that share elements in ways a scatter cannot express (expand, as_strided, ...).
void functionalize(ExportedProgram& program);

// The same for those writes to computed tensors that are read under another name (a view taken before, the tensor that was
// written through a view): quantizers part the names, each with a rounded copy of its own, and the write would be lost.
void functionalize_shared_writes(ExportedProgram& program);

// Complex numbers as pairs of real ones.
//
// Needs: nothing; in-place ops and views may still be there. Guarantees: complex tensors are left only between a Fourier
// transform of the runtime and the op that turns it into real numbers or back (`_fft_r2c` and `view_as_real`,
// `view_as_complex` and `_fft_c2r`), and where the program takes or returns them. Every other Fourier transform is made of
// these two. A value that is not complex keeps its name. An unsupported error names the op that has no form in real numbers.
// Shown by lower_complex.test.
void lower_complex(ExportedProgram& program);
// Is there a complex value, or an op that makes and uses up one inside? Sub-graphs count.
bool has_complex(const ExportedProgram& program);

// Core ATen: every op that has no kernel of its own is expressed in ops that have one.
//
// Needs: a functional graph. Guarantees: no op of the tables is left, except those `keep` holds on to and those whose
// decomposition left them as they are (they have a kernel for these operands). Where several lowerings are right, the one
// with fewer or faster kernels is taken, and the one that delegates accept: selects and splits become slices, attention
// has no guard against masked-out rows that cannot occur, a linear layer stays one op.
// Shown by decompose.test.
// `Claims::checked`: what the program says of results that no rule infers is compared with what they are made of: a bad-input error.
enum class Claims : uint8_t { taken, checked };
void decompose(ExportedProgram& program, const std::function<bool(const Node&)>& keep = {}, Claims claims = Claims::taken);
// The operators that the tables have a row for, by name.
std::vector<std::string_view> decomposed_operators();
bool has_decomposition(const Op& op);
// Those that `lower_complex` has a form in real numbers for.
std::vector<std::string_view> complex_operators();

// Layers that the exporter left as one op become linear layers, attention and norms, which quantizers know. Shown by
// expand_fused_layers.test.
void expand_fused_layers(ExportedProgram& program);

// Gelus that are written out, by erf or by tanh, become one op, which backends have.
//
// Needs: nothing. Guarantees: the results agree to some six digits; what is written in place, and float64, stays as it is. Shown by
// recognize_gelu.test.
void recognize_gelu(ExportedProgram& program);

}  // namespace intaglio::decompose
