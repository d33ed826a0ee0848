// Inside of infer.h: the rules by family. A rule reads its node and appends one description per output.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/infer.h"

namespace intaglio::infer {

class Inference {
 public:
  explicit Inference(const Node& node) : node(node) {}

  const Node& node;
  std::vector<TensorMeta> outputs;
  bool known = true;

  const TensorMeta& operand(std::string_view argument) const { return node.tensor(argument)->meta(); }
  const SymSizes& sizes(std::string_view argument) const { return operand(argument).sizes; }

  void result(DType dtype, SymSizes sizes) { outputs.push_back(TensorMeta::contiguous(dtype, std::move(sizes))); }
  void unknown() { known = false; }
  // bad input: what does not fit, with the node.
  [[noreturn]] void fail(const std::string& what) const;
  void require(bool holds, std::string_view what) const {
    if (!holds) fail(std::string(what));
  }

  // A dimension number made non-negative and checked against `rank` (a 0-d tensor counts as 1-d).
  size_t dim(int64_t written, size_t rank) const;
  List<size_t> dims(const List<int64_t>& written, size_t rank) const;
  // One size or index argument; nullopt when its symbol has no expression.
  std::optional<SymInt> symbol(std::string_view argument) const;
  // A list-of-sizes argument. Unknown symbols make the whole inference unknown and the list empty.
  SymSizes symbols(std::string_view argument);
  bool has(std::string_view argument) const { return !node.argument(argument).is_none(); }
  SymSizes broadcast(const SymSizes& a, const SymSizes& b) const;
};

using Function = void (*)(Inference&);
struct Rule {
  Function function;
  std::initializer_list<std::string_view> ops;
};

std::span<const Rule> elementwise_rules();
std::span<const Rule> complex_rules();
std::span<const Rule> creation_rules();
std::span<const Rule> view_rules();
std::span<const Rule> indexing_rules();
std::span<const Rule> reduction_rules();
std::span<const Rule> matrix_rules();
std::span<const Rule> convolution_rules();
std::span<const Rule> neural_rules();
std::span<const Rule> quantization_rules();

// The number that a symbolic result of the node is in the exported call, or its expression; nullopt where neither is known. A bad-input
// error for a dimension that the tensor does not have and for a division by zero.
std::optional<SymInt> infer_symbol(const Node& node);
// The same; what is wrong names the node.
std::optional<SymInt> infer_symbol_at(const Node& node);

// Refuses what is no image of so many dimensions, with or without a batch, and one without elements but for the batch.
void require_image(const Inference& in, const SymSizes& sizes, size_t spatial);
// What the argument `dtype` says, if the schema has one and it is written.
DType written_dtype(const Inference& in, DType otherwise);
// True when both are static and differ: symbolic sizes are taken on trust.
bool surely_differ(const SymInt& a, const SymInt& b);
// As many sizes, none of which surely differ.
bool may_equal(std::span<const SymInt> a, std::span<const SymInt> b);
// Floating types as they are, everything else float32: what sqrt, sigmoid and mean return.
DType float_result(DType dtype);

}  // namespace intaglio::infer
