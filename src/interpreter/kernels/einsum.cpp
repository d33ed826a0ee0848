// Einstein sums of one or more tensors, pair by pair as batched matrix products.
#include <algorithm>

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

Equation parse(Call& call, size_t operands) {
  std::string text = call.string("equation");
  std::erase(text, ' ');
  const size_t arrow = text.find("->");
  Equation equation;
  std::string left = text.substr(0, arrow);
  for (size_t start = 0; start <= left.size();) {
    const size_t comma = std::min(left.find(',', start), left.size());
    equation.inputs.push_back(left.substr(start, comma - start));
    start = comma + 1;
  }
  if (equation.inputs.size() != operands) call.fail(fmt::format("equation '{}' for {} operands", escaped(text), operands));
  for (const std::string& input : equation.inputs)
    if (!std::all_of(input.begin(), input.end(), [](unsigned char c) { return std::isalpha(c); })) call.unsupported("equation '" + escaped(text) + "'");
  if (arrow != std::string::npos) {
    equation.output = text.substr(arrow + 2);
  } else {  // letters that occur once, in alphabetical order
    for (char c = 'A'; c <= 'z'; ++c)
      if (std::isalpha(static_cast<unsigned char>(c)) && std::count(left.begin(), left.end(), c) == 1) equation.output += c;
  }
  for (const char c : equation.output)
    if (left.find(c) == std::string::npos || !std::isalpha(static_cast<unsigned char>(c))) call.fail("equation '" + escaped(text) + "'");
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

void einsum(Call& call) {
  const std::vector<const Tensor*> tensors = call.tensors("tensors");
  call.require(!tensors.empty(), "no operands");
  const Equation equation = parse(call, tensors.size());
  std::vector<Labelled> operands;
  for (size_t i = 0; i < tensors.size(); ++i) {
    call.require(tensors[i] != nullptr, "an operand is missing");
    operands.push_back(without_repeats(call, equation.inputs[i], *tensors[i]));
  }
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
