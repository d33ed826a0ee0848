// In-place ops in terms of functional ones.
#pragma once

#include <optional>

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

}  // namespace intaglio::decompose
