// Einstein sums of one or two operands: permutations around one batched product.
#include <algorithm>
#include <map>
#include <string>

#include "edge/decompose/tables.h"
#include "ir/infer.h"

namespace intaglio {
namespace {

struct Equation {
  std::vector<std::string> operands;
  std::string result;
};

// `ij,jk->ik`; without an arrow the result is every letter that occurs once, in alphabetical order.
Equation parse(const Node& n) {
  std::string text = n.string("equation");
  std::erase(text, ' ');
  if (text.find("...") != std::string::npos) refuse(n, "einsum with '...' is not supported; name every dimension");
  Equation equation;
  const size_t arrow = text.find("->");
  std::string left = text.substr(0, arrow);
  for (size_t comma; (comma = left.find(',')) != std::string::npos; left.erase(0, comma + 1)) equation.operands.push_back(left.substr(0, comma));
  equation.operands.push_back(left);
  if (arrow != std::string::npos) {
    equation.result = text.substr(arrow + 2);
    return equation;
  }
  std::map<char, int> counts;
  for (const std::string& operand : equation.operands)
    for (char letter : operand) ++counts[letter];
  for (auto [letter, count] : counts)
    if (count == 1) equation.result += letter;
  return equation;
}

bool has(const std::string& letters, char letter) { return letters.find(letter) != std::string::npos; }

// A tensor whose dimensions have letters.
struct Lettered {
  Value* value;
  std::string letters;
};

Lettered in_order(GraphBuilder& b, const Lettered& x, const std::string& wanted) {
  Ints order;
  for (char letter : wanted) order.push_back(static_cast<int64_t>(x.letters.find(letter)));
  return {b.permute(x.value, order), wanted};
}

Lettered summed(GraphBuilder& b, const Lettered& x, const std::string& kept) {
  Ints dims;
  std::string rest;
  for (size_t i = 0; i < x.letters.size(); ++i) {
    if (has(kept, x.letters[i])) rest += x.letters[i];
    else dims.push_back(static_cast<int64_t>(i));
  }
  return dims.empty() ? x : Lettered{b("aten.sum.dim_IntList", x.value, dims), rest};
}

std::vector<SymInt> sizes_of(const Lettered& x, const std::string& letters) {
  std::vector<SymInt> sizes;
  for (char letter : letters) sizes.push_back(x.value->sizes()[x.letters.find(letter)]);
  return sizes;
}

// batch: in both and in the result; inner: in both only; rows and columns: in one.
Lettered product(GraphBuilder& b, Lettered left, Lettered right, const std::string& result) {
  left = summed(b, left, right.letters + result);
  right = summed(b, right, left.letters + result);
  std::string batch, inner, rows, columns;
  for (char letter : left.letters)
    if (has(right.letters, letter)) (has(result, letter) ? batch : inner) += letter;
    else rows += letter;
  for (char letter : right.letters)
    if (!has(left.letters, letter)) columns += letter;
  const auto count = [&](const Lettered& x, const std::string& letters) { return size_quotient(sizes_of(x, letters), {}); };
  const Lettered l = in_order(b, left, batch + rows + inner), r = in_order(b, right, batch + inner + columns);
  Value* a = b.view(l.value, {count(l, batch), count(l, rows), count(l, inner)});
  Value* c = b.view(r.value, {count(r, batch), count(r, inner), count(r, columns)});
  std::vector<SymInt> sizes = sizes_of(l, batch + rows);
  for (const SymInt& size : sizes_of(r, columns)) sizes.push_back(size);
  return {b.view(b("aten.matmul.default", a, c), sizes), batch + rows + columns};
}

Values einsum(GraphBuilder& b, const Node& n) {
  const Equation equation = parse(n);
  const Values tensors = n.tensors("tensors");
  if (tensors.size() != equation.operands.size() || tensors.empty() || tensors.size() > 2) refuse(n, "einsum needs one or two operands that fit the equation");
  std::vector<Lettered> operands;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string& letters = equation.operands[i];
    std::string sorted = letters;
    std::sort(sorted.begin(), sorted.end());
    const bool repeats = std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
    if (letters.size() != tensors[i]->sizes().size() || repeats) refuse(n, "einsum letters must name each dimension of an operand once");
    operands.push_back({tensors[i], letters});
  }
  for (char letter : equation.result)
    if (!has(equation.operands[0] + equation.operands.back(), letter)) refuse(n, "a letter of the result is in no operand");
  const Lettered all = operands.size() == 1 ? summed(b, operands[0], equation.result) : product(b, operands[0], operands[1], equation.result);
  return {in_order(b, all, equation.result).value};
}

constexpr DecompositionRow rows[] = {
    {"aten.einsum.default", einsum},
};

}  // namespace

std::span<const DecompositionRow> einsum_decompositions() { return rows; }

}  // namespace intaglio
