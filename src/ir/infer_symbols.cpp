// What symbolic results are: sizes of tensors and Python's arithmetic on them.
#include <algorithm>

#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

// A size, or its value in the exported call.
std::optional<SymInt> number_of(const Argument& argument) {
  if (const auto* integer = argument.get_if<int64_t>()) return SymInt(*integer);
  Value* const* value = argument.get_if<Value*>();
  if (!value || !*value || (*value)->kind() != ValueKind::sym_int || !(*value)->sym) return std::nullopt;
  if (const auto hint = (*value)->sym->hint()) return SymInt(*hint);
  return std::nullopt;
}

using Binary = SymInt (*)(const SymInt&, const SymInt&);
struct BinaryRow {
  std::string_view op;
  Binary combine;
};
constexpr BinaryRow binary_rows[] = {
    {"_operator.add", [](const SymInt& a, const SymInt& b) { return a + b; }},
    {"_operator.sub", [](const SymInt& a, const SymInt& b) { return a - b; }},
    {"_operator.mul", [](const SymInt& a, const SymInt& b) { return a * b; }},
    {"_operator.floordiv", [](const SymInt& a, const SymInt& b) { return floor_div(a, b); }},
    {"_operator.mod", [](const SymInt& a, const SymInt& b) { return a - b * floor_div(a, b); }},
};

std::optional<SymInt> one_size(const Inference& in) {
  const SymSizes& sizes = in.sizes("self");
  in.require(!sizes.empty(), "a size of a tensor without dimensions");
  return sizes[in.dim(in.node.integer("dim"), sizes.size())];
}

}  // namespace

std::optional<SymInt> infer_symbol(const Node& node) {
  const Inference in(node);
  if (node.is("aten.sym_size.int")) return one_size(in);
  if (node.is("aten.sym_numel.default")) return size_product(in.sizes("self"));
  if (node.is("aten.sym_stride.int")) {
    one_size(in);
    return std::nullopt;
  }
  const auto row = std::ranges::find(binary_rows, node.op().name(), &BinaryRow::op);
  if (row == std::end(binary_rows) || node.arguments().size() != 2) return std::nullopt;
  const auto a = number_of(node.arguments()[0].value), b = number_of(node.arguments()[1].value);
  if (!a || !b) return std::nullopt;
  return row->combine(*a, *b);
}

}  // namespace intaglio::infer
