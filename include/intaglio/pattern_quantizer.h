// Choosing nodes, and the quantizer that every backend's table of patterns is given to.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <intaglio/pt2e.h>
#include <intaglio/quantizer.h>

#pragma GCC visibility push(default)

namespace intaglio {

// Which nodes are meant: every part that is given must match. Modules are the node's own and those around it.
struct NodeSelector {
  std::optional<std::string> module_name;  // fully qualified, exactly
  std::optional<std::string> module_glob;  // the same with `*` for any characters and `?` for one: `features.*`
  std::optional<std::string> module_type;  // qualified, or its last part: `Conv2d`; a glob
  std::optional<std::string> source_type;  // qualified: the type of module, or the function, that strict export records
  std::optional<std::string> op;           // `aten.linear.default`, `aten.linear` or `linear`; a glob
  std::optional<std::string> op_family;    // `aten.add.Tensor` or `aten.add`: with every overload and the in-place form

  bool matches(const Node& node) const;
  friend bool operator==(const NodeSelector&, const NodeSelector&) = default;
};
bool glob_matches(std::string_view pattern, std::string_view text);
// "module 'features.0'", "every operator 'linear' in modules 'encoder.*'".
std::string to_string(const NodeSelector& selector);
// Those of the graph and of the sub-graphs in it.
std::vector<const Node*> matching_nodes(const Graph& graph, const NodeSelector& selector);

// The rows of a backend (src/pt2e/pattern_table.h).
namespace pt2e {
struct PatternTable;
}

// Annotates what the rows of a table match. A configuration of a module's name comes before one of its type, that before
// one of an operator, and the global one is last; the first annotation of a node stays. nullopt: stays in float.
class PatternQuantizer : public Quantizer {
 public:
  PatternQuantizer(const pt2e::PatternTable& table, Compat compat) : table_(&table), compat_(compat) {}

  PatternQuantizer& set_global(QuantizationConfig config);
  // Exact fully qualified name of the module or of any module around it. Under Compat::torchao a usage error without config.
  PatternQuantizer& set_module_name(std::string name, std::optional<QuantizationConfig> config);
  // Qualified type, "torch.nn.modules.conv.Conv2d".
  PatternQuantizer& set_module_type(std::string type, std::optional<QuantizationConfig> config);
  PatternQuantizer& set_operator_type(std::string op, std::optional<QuantizationConfig> config);
  // Nodes it says no to are left to nobody's configuration.
  PatternQuantizer& set_filter_function(std::function<bool(const Node&)> filter);

  // Static int8 stands beside float32, int8 at run time beside float16 too. None under Compat::torchao.
  std::vector<DType> widened_types() const override;
  void transform_for_annotation(ExportedProgram& program) const override;
  void annotate(const ExportedProgram& program, Annotations& annotations) const override;

 private:
  struct Choice {
    NodeSelector nodes;
    std::optional<QuantizationConfig> config;
  };
  std::vector<const QuantizationConfig*> configs() const;
  void ask_for_names(const ExportedProgram& program, Annotations& annotations) const;
  static void set(std::vector<Choice>& choices, NodeSelector nodes, std::optional<QuantizationConfig> config);

  const pt2e::PatternTable* table_;
  Compat compat_;
  std::optional<QuantizationConfig> global_;
  std::vector<Choice> module_names_, module_types_, operators_;
  std::function<bool(const Node&)> filter_;
};

}  // namespace intaglio

#pragma GCC visibility pop
