#include "recipes/probes.h"

#include <algorithm>
#include <unordered_set>

#include "ir/work.h"
#include "qdq/reader.h"
#include "recipes/reference.h"

namespace intaglio::recipes {
namespace {

class Points {
 public:
  explicit Points(const ExportedProgram& program) : program_(program) {
    for (const Node* node : program.graph().node_list())
      if (std::ranges::any_of(node->inputs(), [&](const Value* value) { return varies(value); })) varying_.insert(node);
  }

  // Where a value can be looked at, in the order of the graph.
  std::vector<const Node*> list() const {
    std::vector<const Node*> points;
    for (const Node* node : program_.graph().node_list())
      if (varying_.contains(node) && is_point(*node)) points.push_back(node);
    return points;
  }

 private:
  bool varies(const Value* value) const {
    return value->producer() == nullptr ? !program_.is_constant(value) : varying_.contains(value->producer());
  }

  bool is_static_quantize(const Node& node) const { return qdq::is_quantize(node) && qdq::params_of(program_, node); }

  bool is_point(const Node& node) const {
    if (is_static_quantize(node))
      return std::ranges::any_of(node.output()->users(), [](const Node* user) { return qdq::is_dequantize(*user); });
    return node.outputs().size() == 1 && computes_on_floats(node) && !qdq::find(node) && !makes_view(node) &&
           !is_seen_quantized(node.output());
  }

  // An output in float would part a layer from its activation and its quantization.
  bool is_seen_quantized(const Value* value) const {
    for (size_t steps = 0; steps < 16; ++steps) {
      const std::vector<Node*>& users = value->users();
      if (!users.empty() && std::ranges::all_of(users, [&](const Node* user) { return is_static_quantize(*user); })) return true;
      if (users.size() != 1 || users.front()->outputs().size() != 1) return false;
      value = users.front()->output();
    }
    return false;
  }

  const ExportedProgram& program_;
  std::unordered_set<const Node*> varying_;
};

}  // namespace

std::vector<const Node*> probe_points(const ExportedProgram& program) { return Points(program).list(); }

ExportedProgram with_probes(const ExportedProgram& program, std::span<const Node* const> points) {
  ExportedProgram probed = program.clone();
  Graph& graph = probed.graph();
  std::vector<Argument> outputs = graph.outputs();
  for (const Node* point : points) {
    Value* value = graph.find_value(point->output()->name());
    if (qdq::is_quantize(*point)) {
      const auto reader = std::ranges::find_if(value->users(), [](const Node* user) { return qdq::is_dequantize(*user); });
      value = graph.insert_after(*reader, (*reader)->op(), (*reader)->arguments(), {{.meta = (*reader)->output()->meta()}}).output();
    }
    outputs.emplace_back(value);
    probed.output_specs.push_back({OutputSpec::Kind::user_output, ""});
  }
  graph.set_outputs(std::move(outputs));
  return probed;
}

}  // namespace intaglio::recipes
