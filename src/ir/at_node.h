// What a rule or a rewrite finds missing, said of the node that it looks at.
#pragma once

#include <stdexcept>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/graph.h>

namespace intaglio {

// Refuses integers so far from any size that arithmetic with sizes would overflow: a bad-input error. Ends of slices and of random
// numbers may be that far.
void check_integers(const Node& node);

// Runs `work`, which reads operands and arguments of operators unchecked; `place()` says of which. A dimension or an element that is not
// there, and a list of a length that no memory holds, are the file's fault; a symbolic size where only a number will do, and a number where
// only a tensor will, are what cannot be taken.
template <typename Place, typename Work>
auto reading_operands(const Place& place, const Work& work) {
  try {
    return work();
  } catch (const std::logic_error&) {
    throw_bad_input(fmt::format("{}: its arguments name a dimension or an element that its operands do not have", place()));
  } catch (const NotATensor&) {
    throw_unsupported(fmt::format("{}: an operand is a number where only a tensor can be taken", place()));
  } catch (const SymbolicSize& error) { throw_unsupported(fmt::format("{}: {}; export with that size fixed", place(), error.what())); }
}

template <typename Work>
auto at_node(const Node& node, const Work& work) {
  return reading_operands([&] { return describe(node); }, work);
}

}  // namespace intaglio
