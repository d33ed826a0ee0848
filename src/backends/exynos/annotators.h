// The rules of Exynos's quantizer, one row for the operators that are annotated alike. Unlike the patterns of pt2e/pattern_table.h a rule
// looks at how what it reads was annotated, so the program's nodes are taken in order, each by the one row that has its operator.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "interpreter/constant_values.h"
#include "pt2e/pattern_table.h"

namespace intaglio::exynos {

struct AnnotatorRow;

inline constexpr std::string_view layer_ops[] = {"aten.conv1d.default", "aten.conv2d.default", "aten.linear.default"};

class AnnotatorRun {
 public:
  AnnotatorRun(const ExportedProgram& program, const QuantizationConfig& config, Annotations& annotations, Compat compat,
               std::function<bool(const Node&)> filter = {})
      : program_(program),
        config_(config),
        annotations_(annotations),
        is_original_(compat == Compat::torchao),
        filter_(std::move(filter)),
        weights_(program),
        known_(program, is_pure, Creations::constant) {}

  // Everything: layers with the activation behind them, float inputs, then each node.
  void annotate();

  // ---- for the rows
  // The tensor at a place of the operator's schema, where it is a float one that the hardware has integers for; else null.
  static Value* float_operand(const Node& node, size_t place);
  // Whose quantization the value has: its own where an annotation gives it one. The original goes on to the nearest annotated tensor
  // along first arguments, whatever is computed on the way. Null for inputs of the program.
  Value* source_of(Value* value) const { return is_original_ ? annotated_ancestor(value) : is_quantized(value) ? value : nullptr; }
  Value* annotated_ancestor(Value* value) const;
  // As an operator whose result has parameters of its own reads it. Parameters that are fixed are those that it is read with.
  AnyQuantizationSpec activation_of(Value* value) const;
  AnyQuantizationSpec activation() const { return *config_.input_activation; }
  AnyQuantizationSpec weight() const { return *config_.weight; }
  bool is_original() const { return is_original_; }
  bool is_annotated(const Node& node) const { return annotations_.is_annotated(&node); }
  void take_back(const Node& node) { annotations_.of(&node) = {}; }
  // Of one of several results.
  void set_part(const Value* part, AnyQuantizationSpec spec, std::string_view rule);

 private:
  void annotate_layers_with_activations();
  void annotate_node(Node& node);
  bool has_constant_weight(const Node& layer);
  bool fits_graph(const Node& node) const;
  bool is_quantized(const Value* value) const;
  bool is_read_quantized(const Value* value) const;
  bool is_wanted(const Node& node) const { return !filter_ || filter_(node); }
  void set(const Node& node, QuantizationAnnotation annotation, std::string_view rule);

  const ExportedProgram& program_;
  const QuantizationConfig& config_;
  Annotations& annotations_;
  bool is_original_;
  std::function<bool(const Node&)> filter_;
  ConstantValues weights_, known_;
};

struct AnnotatorOperand {
  size_t place;
  bool is_weight = false;
};

struct AnnotatorRow {
  std::string_view name;
  pt2e::Ops ops;
  std::span<const AnnotatorOperand> operands;
  // nullopt: the node stays in float.
  std::optional<QuantizationAnnotation> (*annotate)(AnnotatorRun&, const AnnotatorRow&, Node&);
};
// Null for operators that none is for.
const AnnotatorRow* find_row(const Node& node);

// One entry a tensor; what is said last counts.
void put(QuantizationAnnotation& annotation, Value* value, AnyQuantizationSpec spec);

}  // namespace intaglio::exynos
