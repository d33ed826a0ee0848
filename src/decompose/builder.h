// Makes nodes with the right metadata, in front of the node that they replace.
//
// Arguments are given in schema order; what is left out takes the schema's default. Results get the metadata that
// `infer_outputs` gives; an op without an inference rule is a bug of the caller.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::decompose {

class GraphBuilder {
 public:
  using Keywords = std::vector<std::pair<std::string, Argument>>;

  // New nodes stand before `origin` and inherit its layer and source line.
  GraphBuilder(ExportedProgram& program, Node& origin) : program_(program), position_(&origin), origin_(origin) {}
  // New nodes stand before `position` (null: at the end) and inherit from `origin`.
  GraphBuilder(ExportedProgram& program, Node* position, const Node& origin) : program_(program), position_(position), origin_(origin) {}

  ExportedProgram& program() const { return program_; }
  Graph& graph() const { return program_.graph(); }

  Node& node(std::string_view op, std::vector<Argument> positional, Keywords keywords = {});
  // The first result of a new node.
  Value* call(std::string_view op, std::vector<Argument> positional, Keywords keywords = {});
  template <typename... A>
  Value* operator()(std::string_view op, A&&... arguments) {
    return call(op, {Argument(std::forward<A>(arguments))...});
  }

  // ---- common shapes of calls; each returns its operand when there is nothing to do
  Value* view(Value* x, const SymSizes& sizes);
  Value* permute(Value* x, const std::vector<int64_t>& dims);
  Value* expand(Value* x, const SymSizes& sizes);
  Value* unsqueeze(Value* x, int64_t dim);
  Value* squeeze(Value* x, int64_t dim);
  Value* slice(Value* x, int64_t dim, int64_t start, int64_t end, int64_t step = 1);
  Value* select(Value* x, int64_t dim, int64_t index);
  Value* cast(Value* x, DType dtype);
  // aten.full of one number: sizes may be symbolic.
  Value* full(const SymSizes& sizes, Argument value, DType dtype, Value* sized_like = nullptr);

  // The sum of two integers, of which one may be symbolic.
  Argument sum(const Argument& x, const Argument& y);
  // One size as an argument: a number, or a `sym_size` node of `of`.
  Argument size(Value* of, int64_t dim);
  // `op` on operands and for a result in another type than it works in: `higher_order.out_dtype`.
  Value* out_dtype(std::string_view op, DType dtype, std::vector<Argument> operands, const SymSizes& sizes);

  // Sizes as an argument. Symbolic ones are found among the dimensions of `sources`; with `infer_one` a single one is
  // written as -1. An unsupported error when a size cannot be expressed.
  Argument sizes(const SymSizes& sizes, const std::vector<Value*>& sources, bool infer_one);

  // A number as a 0-d constant of the given type.
  Value* number(const Argument& value, DType dtype);
  // A lifted constant `_lifted_tensor_constant<k>`.
  Value* constant(Tensor tensor);

 private:
  std::vector<NamedArgument> bind(Op op, std::vector<Argument> positional, Keywords keywords) const;

  ExportedProgram& program_;
  Node* position_;
  const Node& origin_;
  size_t made_ = 0;  // nodes
};

// What an exporter recorded about where a node comes from, without its operands: layer, source line.
std::map<std::string, std::string> inherited_metadata(const Node& origin);

}  // namespace intaglio::decompose
