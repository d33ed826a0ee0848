// What quantizers look for, as rows of data: an operator, optionally with the activation that follows it, what it must be
// like, and the part each operand plays. A backend gives a table of rows to the PatternQuantizer.
//
// Tests: pattern_quantizer_test.cpp, and each backend's quantizer_test.cpp.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <intaglio/pattern_quantizer.h>

#include "interpreter/constant_values.h"

namespace intaglio::pt2e {

using Ops = std::span<const std::string_view>;

enum class OperandRole : uint8_t { activation, weight, bias };

struct PatternOperand {
  std::string_view argument;  // the schema's name
  OperandRole role = OperandRole::activation;
  std::optional<int64_t> ch_axis;  // of weights: where the output channels lie; absent: as the config says
};

struct OperatorPattern {
  std::string_view name;
  Ops ops;   // the operator, any of these
  Ops tail;  // the operator's only user, any of these; empty: the operator alone
  std::span<const PatternOperand> operands;
};

struct OperatorMatch {
  Node* node = nullptr;  // the operator
  Node* tail = nullptr;  // null without one
  struct Operand {
    Value* value = nullptr;
    const PatternOperand* pattern = nullptr;
  };
  std::vector<Operand> operands;  // tensors that are present, in the pattern's order

  Node& last() const { return tail != nullptr ? *tail : *node; }
};

// One configuration on its way through a table: what constraints and annotations of the rows ask.
class PatternRun {
 public:
  PatternRun(const ExportedProgram& program, const PatternTable& table, const QuantizationConfig& config, Annotations& annotations)
      : program(program),
        table(table),
        config(config),
        annotations(annotations),
        constants(program),
        known_(program, is_pure, Creations::constant) {}

  const ExportedProgram& program;
  const PatternTable& table;
  const QuantizationConfig& config;
  Annotations& annotations;
  ConstantValues constants;
  bool is_dynamic() const { return config.input_activation && config.input_activation->is_dynamic; }
  // Does the tensor come, through operators that keep parameters, from a node whose output is quantized?
  bool has_quantized_source(const Value* value);
  // Does nothing but a softmax see the match's result? (softmax_operands in passes.h)
  bool is_softmax_operand(const OperatorMatch& match);
  // Is every tensor that the operator reads known ahead? Lowering computes it once.
  bool reads_constants_only(const OperatorMatch& match);
  // How torchao finds operators by what they are made for: by the function or the type of module that strict export records, else by the
  // type of the innermost module; it takes the first of each place alone.
  bool is_first_of_source(const Node& node, Ops sources);
  void start_row() { quantized_sources_.clear(); }

 private:
  ConstantValues known_;
  std::optional<std::unordered_set<const Value*>> softmax_operands_;  // once asked for
  std::set<std::string> taken_places_;                                // by `is_first_of_source`
  std::unordered_map<const Value*, bool> quantized_sources_;          // nodes come in order: what is behind a node stays as it is
};

struct PatternConstraint {
  std::string_view text;  // what is required, for the refusal; empty: other rows decide about the node
  bool (*holds)(PatternRun&, const OperatorMatch&);
};

using Annotate = void(PatternRun&, const OperatorMatch&, const std::string& rule);
// Inputs on the operator, output on the last node, constants marked; all as the configuration says.
Annotate annotate_operands;
// One observer for the first operand and the result, which stays in its range; the operand's own where it has one.
Annotate annotate_as_input;
// All tensors of the first argument, a list, and the result share parameters: those of the first that has some already.
Annotate annotate_joined;

// What must be free of annotations and pass the filter. `operator_and_constants`: the tail need not.
enum class RowScope : uint8_t { nodes, nodes_and_constants, nodes_unfiltered, operator_and_constants };

struct PatternRow {
  OperatorPattern pattern;
  std::span<const PatternConstraint> constraints = {};
  bool dynamic = false;  // tried for dynamic configurations too
  Annotate* annotate = annotate_operands;
  RowScope scope = RowScope::nodes;
  Ops targets = {};  // what `set_operator_type` knows the row by; empty: its operators, each with its family
};

struct PatternTable {
  std::string_view name;             // rules are called `<name>.linear`
  std::string_view title;            // for refusals
  std::span<const PatternRow> rows;  // the first that takes a node wins
  Ops sharing;                       // operators that only move or clip values: they take over the parameters of what they read
  Ops lifted = {};                   // binary operators whose numbers become 0-d float32 buffers
  // Why the runtime takes no operator like this in integers, whatever row or operand it is; "" where it does.
  std::string_view (*limit)(PatternRun&, const Node&) = nullptr;
  bool types_of_sources = false;  // a configuration's module type is what strict export records, not a module's own
};

bool contains(Ops ops, const Node& node);
// What the node was made for, outermost first: a name of that call, and the function or the type of module. Strict export alone records it.
std::vector<ModuleScope> source_stack(const Node& node);
// One of `sharing`; padding by a number is none, whatever its operator can do else.
bool takes_over_parameters(const PatternTable& table, const Node& node);
// The first argument as a tensor; null when it is something else.
Value* first_tensor(const Node& node);
bool has_float_output(const Node& node);
// Larger constants keep their operation in float: a histogram cannot hold them and they would swallow the range.
bool is_large_scalar(double value);

// nullopt unless `node` is the pattern's operator and, where the pattern has a tail, its result is read by one such node alone.
std::optional<OperatorMatch> match_operator(const OperatorPattern& pattern, Node& node);

}  // namespace intaglio::pt2e
