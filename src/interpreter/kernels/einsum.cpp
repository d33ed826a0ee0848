// Einstein sums of one or more tensors, pair by pair as batched matrix products.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "interpreter/kernel_table.h"
#include "interpreter/matrix_product.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

// A tensor whose dimensions are named by letters.
struct Labelled {
  std::string labels;
  Tensor tensor;
};

struct Equation {
  std::vector<std::string> inputs;
  std::string output;
};

constexpr std::string_view kDots = "...";

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)); }

// The dimensions that the dots of an operand stand for, named by digits from the last one backwards.
std::string dotted_dimensions(Call& call, const std::string& labels, const Tensor& operand) {
  constexpr std::string_view digits = "0123456789";
  if (labels.find(kDots) == std::string::npos) return {};
  const int64_t count = operand.rank() - static_cast<int64_t>(labels.size() - kDots.size());
  call.require(count >= 0 && count <= 10, "an operand has another rank than the equation says");
  return std::string(digits.substr(digits.size() - static_cast<size_t>(count)));
}
// The labels with the dots spelled out.
std::string spelled_out(std::string labels, const std::string& dimensions) {
  if (const size_t dots = labels.find(kDots); dots != std::string::npos) labels.replace(dots, kDots.size(), dimensions);
  return labels;
}

Equation parse(Call& call, const std::vector<const Tensor*>& operands) {
  std::string text = call.string("equation");
  std::erase(text, ' ');
  const size_t arrow = text.find("->");
  Equation equation;
  const std::string left = text.substr(0, arrow);
  for (size_t start = 0; start <= left.size();) {
    const size_t comma = std::min(left.find(',', start), left.size());
    equation.inputs.push_back(left.substr(start, comma - start));
    start = comma + 1;
  }
  if (equation.inputs.size() != operands.size()) call.fail(fmt::format("equation '{}' for {} operands", escaped(text), operands.size()));
  std::string dotted;
  for (size_t i = 0; i < operands.size(); ++i) {
    std::string& labels = equation.inputs[i];
    const std::string letters = spelled_out(labels, "");
    if (!std::all_of(letters.begin(), letters.end(), is_letter)) call.unsupported("equation '" + escaped(text) + "'");
    const std::string own = dotted_dimensions(call, labels, *operands[i]);
    if (own.size() > dotted.size()) dotted = own;
    labels = spelled_out(labels, own);
  }
  if (arrow != std::string::npos) {
    equation.output = text.substr(arrow + 2);
  } else {  // what the dots stand for, then letters that occur once, in alphabetical order
    equation.output = kDots;
    for (char c = 'A'; c <= 'z'; ++c)
      if (is_letter(c) && std::count(left.begin(), left.end(), c) == 1) equation.output += c;
  }
  for (const char c : spelled_out(equation.output, ""))
    if (left.find(c) == std::string::npos || !is_letter(c)) call.fail("equation '" + escaped(text) + "'");
  equation.output = spelled_out(equation.output, dotted);
  return equation;
}

// Dimensions with the same letter become their diagonal.
Labelled without_repeats(Call& call, const std::string& labels, const Tensor& tensor) {
  call.require(static_cast<int64_t>(labels.size()) == tensor.rank(), "an operand has another rank than the equation says");
  Labelled result;
  Sizes sizes, strides;
  for (size_t i = 0; i < labels.size(); ++i) {
    const size_t known = result.labels.find(labels[i]);
    if (known == std::string::npos) {
      result.labels += labels[i];
      sizes.push_back(tensor.sizes()[i]);
      strides.push_back(tensor.strides()[i]);
    } else {
      call.require(sizes[known] == tensor.sizes()[i], "a letter stands for different sizes");
      strides[known] += tensor.strides()[i];
    }
  }
  result.tensor = tensor.view_as(sizes, strides, tensor.storage_offset());
  return result;
}

Tensor ordered(const Labelled& x, const std::string& labels) {
  Sizes order;
  for (const char c : labels) order.push_back(static_cast<int64_t>(x.labels.find(c)));
  return x.tensor.permuted(order);
}

int64_t size_of(const Labelled& x, char label) { return x.tensor.size(static_cast<int64_t>(x.labels.find(label))); }

int64_t product_of(const Labelled& x, const std::string& labels) {
  Sizes sizes;
  for (const char c : labels) sizes.push_back(size_of(x, c));
  return element_count(sizes);
}

// Sums over the letters of `x` that are not in `keep`: a product with ones.
Labelled summed(Call& call, const Labelled& x, const std::string& keep) {
  std::string kept, gone;
  for (const char c : x.labels) (keep.find(c) != std::string::npos ? kept : gone) += c;
  if (gone.empty()) return x;
  const int64_t rows = product_of(x, kept), columns = product_of(x, gone);
  const Tensor matrix = ordered(x, kept + gone).clone().reshaped({1, rows, columns});
  const Tensor one = converted(Tensor::scalar(1.0f), x.tensor.dtype());
  Sizes sizes;
  for (const char c : kept) sizes.push_back(size_of(x, c));
  return {kept, matrix_product(call, matrix, one.view_as({1, columns, 1}, {0, 0, 0}, 0).clone()).reshaped(sizes)};
}

Labelled multiplied(Call& call, Labelled a, Labelled b, const std::string& later) {
  a = summed(call, a, later + b.labels);
  b = summed(call, b, later + a.labels);
  std::string batch, contracted, left, right;
  for (const char c : a.labels) {
    if (b.labels.find(c) == std::string::npos) left += c;
    else (later.find(c) != std::string::npos ? batch : contracted) += c;
  }
  for (const char c : b.labels)
    if (a.labels.find(c) == std::string::npos) right += c;
  for (const char c : batch + contracted) call.require(size_of(a, c) == size_of(b, c), "a letter stands for different sizes");
  const int64_t k = product_of(a, contracted), n = product_of(a, batch), rows = product_of(a, left), columns = product_of(b, right);
  const Tensor x = ordered(a, batch + left + contracted).clone().reshaped({n, rows, k});
  const Tensor y = ordered(b, batch + contracted + right).clone().reshaped({n, k, columns});
  Sizes sizes;
  for (const char c : batch + left) sizes.push_back(size_of(a, c));
  for (const char c : right) sizes.push_back(size_of(b, c));
  return {batch + left + right, matrix_product(call, x, y).reshaped(sizes)};
}

// Of the dimensions that dots stand for, those of size 1 give way to another operand's.
void drop_broadcast(std::vector<Labelled>& operands) {
  const auto is_wide = [](const Labelled& x, char label) { return x.labels.find(label) != std::string::npos && size_of(x, label) != 1; };
  for (char label = '0'; label <= '9'; ++label) {
    if (std::none_of(operands.begin(), operands.end(), [&](const Labelled& x) { return is_wide(x, label); })) continue;
    for (Labelled& x : operands) {
      const size_t place = x.labels.find(label);
      if (place == std::string::npos || is_wide(x, label)) continue;
      Sizes sizes = x.tensor.sizes(), strides = x.tensor.strides();
      sizes.erase(sizes.begin() + static_cast<ptrdiff_t>(place));
      strides.erase(strides.begin() + static_cast<ptrdiff_t>(place));
      x = {std::string(x.labels).erase(place, 1), x.tensor.view_as(sizes, strides, x.tensor.storage_offset())};
    }
  }
}

void einsum(Call& call) {
  const std::vector<const Tensor*> tensors = call.tensors("tensors");
  call.require(!tensors.empty(), "no operands");
  for (const Tensor* tensor : tensors) call.require(tensor != nullptr, "an operand is missing");
  const Equation equation = parse(call, tensors);
  std::vector<Labelled> operands;
  for (size_t i = 0; i < tensors.size(); ++i) operands.push_back(without_repeats(call, equation.inputs[i], *tensors[i]));
  drop_broadcast(operands);
  Labelled result = operands.front();
  for (size_t i = 1; i < operands.size(); ++i) {
    std::string later = equation.output;
    for (size_t j = i + 1; j < operands.size(); ++j) later += operands[j].labels;
    result = multiplied(call, result, operands[i], later);
  }
  result = summed(call, result, equation.output);
  call.set(ordered(result, equation.output));
}

}  // namespace

std::span<const Kernel> einsum_kernels() {
  static const Kernel table[] = {{"aten.einsum.default", einsum}};
  return table;
}

}  // namespace intaglio::interp
