// Einstein sums: permutations around batched products, from the first operand to the last.
#include <algorithm>
#include <cctype>
#include <map>
#include <string>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

[[noreturn]] void malformed(const Node& node, std::string_view why) { throw_bad_input(fmt::format("{}: {}", describe(node), why)); }

struct Equation {
  std::vector<std::string> operands;
  std::string result;
};

// `...` stands for the dimensions that have no letter, aligned at the last: they get digits, the last one '0'.
std::string digits(size_t count) {
  std::string text;
  while (count > 0) text += static_cast<char>('0' + --count);
  return text;
}
void name_ellipsis(std::string& letters, size_t count) {
  if (const size_t at = letters.find("..."); at != std::string::npos) letters.replace(at, 3, digits(count));
}

// `ij,jk->ik`; without an arrow the result is what `...` stands for and every letter that occurs once, in alphabetical order.
Equation parse(const Node& n, const Values& tensors) {
  std::string text = n.string("equation");
  std::erase(text, ' ');
  Equation equation;
  const size_t arrow = text.find("->");
  std::string left = text.substr(0, arrow);
  for (size_t comma; (comma = left.find(',')) != std::string::npos; left.erase(0, comma + 1))
    equation.operands.push_back(left.substr(0, comma));
  equation.operands.push_back(left);
  if (tensors.size() != equation.operands.size()) malformed(n, "the equation has another number of operands");
  size_t unnamed = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::string& letters = equation.operands[i];
    const size_t named = letters.size() - (letters.find("...") == std::string::npos ? 0 : 3), rank = tensors[i]->sizes().size();
    if (named > rank || rank - named > 10) malformed(n, "the equation does not fit the operands' dimensions");
    if (letters.size() != named) unnamed = std::max(unnamed, rank - named);
    name_ellipsis(letters, rank - named);
  }
  if (arrow != std::string::npos) {
    equation.result = text.substr(arrow + 2);
    name_ellipsis(equation.result, unnamed);
    return equation;
  }
  std::map<char, int> counts;
  for (const std::string& operand : equation.operands)
    for (char letter : operand) ++counts[letter];
  equation.result = digits(unnamed);
  for (auto [letter, count] : counts)
    if (count == 1 && !std::isdigit(static_cast<unsigned char>(letter))) equation.result += letter;
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

// Dimensions with the same letter become their diagonal, which stands last.
Lettered diagonals(GraphBuilder& b, const Node& n, Lettered x) {
  for (size_t first = 0; first < x.letters.size();) {
    const char letter = x.letters[first];
    const size_t second = x.letters.find(letter, first + 1);
    if (second == std::string::npos) {
      ++first;
      continue;
    }
    if (!(x.value->sizes()[first] == x.value->sizes()[second])) malformed(n, "a letter stands for different sizes");
    x.value = b("aten.diagonal.default", x.value, 0, static_cast<int64_t>(first), static_cast<int64_t>(second));
    x.letters.erase(second, 1);
    x.letters.erase(first, 1);
    x.letters += letter;
  }
  return x;
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

SymSizes sizes_of(const Lettered& x, const std::string& letters) {
  SymSizes sizes;
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
  SymSizes sizes = sizes_of(l, batch + rows);
  for (const SymInt& size : sizes_of(r, columns)) sizes.push_back(size);
  return {b.view(b("aten.matmul.default", a, c), sizes), batch + rows + columns};
}

// A dimension of size 1 that is larger elsewhere is left out: the others' elements meet its only one.
Lettered without_broadcasts(GraphBuilder& b, const Lettered& x, const std::vector<Lettered>& all) {
  Lettered result{x.value, ""};
  SymSizes sizes;
  for (size_t i = 0; i < x.letters.size(); ++i) {
    const SymInt& size = x.value->sizes()[i];
    const bool one = size.is_static() && size.value() == 1;
    const bool broadcast = one && std::any_of(all.begin(), all.end(), [&](const Lettered& other) {
                             const size_t at = other.letters.find(x.letters[i]);
                             return at != std::string::npos && !(other.value->sizes()[at] == size);
                           });
    if (broadcast) continue;
    result.letters += x.letters[i];
    sizes.push_back(size);
  }
  if (result.letters != x.letters) result.value = b.view(x.value, sizes);
  return result;
}

Values einsum(GraphBuilder& b, const Node& n) {
  const Values tensors = n.tensors("tensors");
  const Equation equation = parse(n, tensors);
  std::vector<Lettered> operands;
  std::string letters_of_all;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string& letters = equation.operands[i];
    if (letters.size() != tensors[i]->sizes().size()) malformed(n, "einsum letters must name each dimension of an operand");
    operands.push_back(diagonals(b, n, {tensors[i], letters}));
    letters_of_all += letters;
  }
  for (char letter : equation.result)
    if (!has(letters_of_all, letter)) malformed(n, "a letter of the result is in no operand");
  std::vector<Lettered> factors;
  for (const Lettered& operand : operands) factors.push_back(without_broadcasts(b, operand, operands));
  Lettered all = factors[0];
  for (size_t i = 1; i < factors.size(); ++i) {
    std::string kept = equation.result;
    for (size_t later = i + 1; later < factors.size(); ++later) kept += factors[later].letters;
    all = product(b, all, factors[i], kept);
  }
  return {in_order(b, summed(b, all, equation.result), equation.result).value};
}

const DecompositionRow einsum_rows[] = {
    {einsum, {"aten.einsum.default"}},
};

}  // namespace

std::span<const DecompositionRow> einsum_decompositions() { return einsum_rows; }

}  // namespace intaglio::decompose
