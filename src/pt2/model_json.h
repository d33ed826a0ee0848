// What `models/model.json` is made of, read and written.
#pragma once

#include <functional>
#include <string_view>

#include <intaglio/graph.h>
#include <intaglio/program.h>

#include "ir/json.h"

namespace intaglio::pt2 {

// The archive's numbers for element types, layouts and memory formats; they are not PyTorch's internal ones.

// Bad-input error for a number without a meaning.
DType dtype_of_number(int64_t number);
Layout layout_of_number(int64_t number);
MemoryFormat memory_format_of_number(int64_t number);

int64_t number_of(DType dtype);
int64_t number_of(Layout layout);
int64_t number_of(MemoryFormat format);

// Parts of the archive's JSON that stand in graphs and in weight tables alike.

// Size expressions already parsed; one text stands at many values.
class Expressions {
 public:
  SymExprPtr parsed(std::string_view text);

 private:
  std::map<std::string, SymExprPtr, std::less<>> known_;
};

SymInt read_sym_int(const json::Value& value, Expressions& expressions);
// Truth values and floats are kept as SymInts too: the expression with a hint of 0 or 1, or none.
SymInt read_sym_value(const json::Value& value, Expressions& expressions);
Device read_device(const json::Value& value);
// Sizes are not negative, their product in bytes fits 64 bits; ranks up to 64.
TensorMeta read_tensor_meta(const json::Value& value, Expressions& expressions);

// The archive's argument union.
struct ArgumentScope {
  const Graph& graph;
  // Reads a sub-graph, whose names have a scope of their own.
  std::function<std::unique_ptr<Graph>(const json::Value&)> read_subgraph;
};

// Names must be defined in the graph already; bad input otherwise.
Argument read_argument(const json::Value& value, const ArgumentScope& scope);

// Graphs of `models/model.json`.

// Reads into an empty graph. `input_names` names the graph inputs that are literals (JSON null elsewhere); where it
// is shorter, literals get names of their own. Bad input for names that are used before they are defined, defined
// twice or without a type, and for arguments that an operator's schema does not have.
void read_graph(const json::Value& source, std::span<const std::string> input_names, Expressions& expressions, Graph& graph);

// The archive's operator name `torch.ops.aten.add.Tensor` as Intaglio's `aten.add.Tensor`, and back.
std::string op_name_of_target(std::string_view target);
std::string target_of_op_name(std::string_view name);

// The graph signature: what each graph input and output stands for.

// Rows of the signature's unions. `target_field` is empty where the spec names nothing of the model.
struct InputRow {
  std::string_view kind;
  InputSpec::Kind spec;
  std::string_view target_field;
};
struct OutputRow {
  std::string_view kind;
  OutputSpec::Kind spec;
  std::string_view target_field;
};
std::span<const InputRow> input_rows();
std::span<const OutputRow> output_rows();

// Names that the signature gives to graph inputs, "" for those it does not name.
std::vector<std::string> input_names(const json::Value& signature);
// Fills the specs of a program whose graph is read; bad input when the two do not agree.
void read_signature(const json::Value& signature, ExportedProgram& program);
void write_signature(json::Writer& writer, const ExportedProgram& program, std::span<const Value* const> inputs);

// Guards: Python expressions on the inputs' sizes that torch evaluates when the program is called.
//
// True for comparisons of sizes and numbers and nothing else. Others are not carried along: they are code.
bool is_plain_guard(std::string_view text);

// Whether the sizes that a file states agree with each other.
//
// Of every symbolic size: one value of a symbol in the exported call, within its range, and expressions that give the values that are
// stated beside them. Memory is planned by these expressions. A bad-input error names the value.
void check_symbols(const ExportedProgram& program);

// The inverse of read_values and read_argument.
void write_sym_int(json::Writer& writer, const SymInt& size);
void write_tensor_meta(json::Writer& writer, const TensorMeta& meta);
void write_argument(json::Writer& writer, const Argument& argument);
void write_graph(json::Writer& writer, const Graph& graph, std::span<const Value* const> inputs);

}  // namespace intaglio::pt2
