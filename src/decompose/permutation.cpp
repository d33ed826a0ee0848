#include "decompose/permutation.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::decompose {
namespace {

int64_t normalized(const Node& node, int64_t dim, int64_t rank) {
  const int64_t result = dim < 0 ? dim + rank : dim;
  if (result < 0 || result >= std::max<int64_t>(rank, 1))
    throw_bad_input(fmt::format("{}: dimension {} is out of range", describe(node), dim));
  return result;
}

List<int64_t> moved(const Node& node, int64_t rank) {
  const List<int64_t> source = node.integers("source"), target = node.integers("destination");
  if (source.size() != target.size()) throw_bad_input(fmt::format("{}: source and destination differ in length", describe(node)));
  if (rank == 0) return {};
  List<int64_t> order(static_cast<size_t>(rank), -1);
  std::vector<bool> taken(static_cast<size_t>(rank));
  for (size_t i = 0; i < source.size(); ++i) {
    const auto from = static_cast<size_t>(normalized(node, source[i], rank));
    order[static_cast<size_t>(normalized(node, target[i], rank))] = static_cast<int64_t>(from);
    taken[from] = true;
  }
  size_t next = 0;
  for (int64_t& dim : order) {
    if (dim >= 0) continue;
    while (next < taken.size() && taken[next]) ++next;
    dim = static_cast<int64_t>(next++);
  }
  return order;
}

}  // namespace

std::optional<std::vector<int64_t>> permutation_of(const Node& node) {
  std::string_view base = node.op().base();
  if (base.ends_with("_copy")) base.remove_suffix(5);
  if (node.outputs().size() != 1 || node.op().name_space() != "aten") return std::nullopt;
  const int64_t rank = node.output()->is_tensor() ? node.output()->meta().rank() : 0;
  List<int64_t> order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  const auto swap_dims = [&](int64_t a, int64_t b) {
    if (rank > 0) std::swap(order[static_cast<size_t>(normalized(node, a, rank))], order[static_cast<size_t>(normalized(node, b, rank))]);
    return order;
  };
  if (base == "permute") {
    List<int64_t> dims = node.integers("dims");
    for (int64_t& dim : dims) dim = normalized(node, dim, rank);
    return dims;
  }
  if (base == "transpose") return swap_dims(node.integer("dim0"), node.integer("dim1"));
  if (base == "swapdims") return swap_dims(node.integer("dim0"), node.integer("dim1"));
  if (base == "swapaxes") return swap_dims(node.integer("axis0"), node.integer("axis1"));
  if (base == "t") return rank == 2 ? swap_dims(0, 1) : order;
  const bool conjugates = base == "mH" || base == "matrix_H" || base == "adjoint";
  if (base == "mT" || (conjugates && !is_complex(node.output()->dtype()))) return swap_dims(-2, -1);
  if (base == "numpy_T") return std::vector<int64_t>(order.rbegin(), order.rend());
  if (base == "movedim" || base == "moveaxis") return moved(node, rank);
  return std::nullopt;
}

std::vector<int64_t> inverse_permutation(const std::vector<int64_t>& order) {
  List<int64_t> inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i) inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  return inverse;
}

bool keeps_element_order(const SymSizes& sizes, const std::vector<int64_t>& order) {
  int64_t last = -1;
  for (int64_t dim : order) {
    const SymInt& size = sizes[static_cast<size_t>(dim)];
    if (size.is_static() && size.value() == 1) continue;
    if (dim < last) return false;
    last = dim;
  }
  return true;
}

}  // namespace intaglio::decompose
