#include "base/computed.h"
#include "pt2e/prepared.h"
#include "quant/affine.h"

namespace intaglio::pt2e {
namespace {

Tensor through_integers(const Tensor& tensor, const QuantParams& params) {
  return quant::dequantize(quant::quantize(tensor, params), params, tensor.dtype());
}

class Builder {
 public:
  explicit Builder(const PreparedProgram::State& state) : state_(state), result_{state.program.clone(), {}, {}, {}} {
    const Graph &from = state.program.graph(), &to = graph();
    for (size_t i = 0; i < from.inputs().size(); ++i) values_[from.inputs()[i]] = to.inputs()[i];
    const std::vector<Node*> theirs = from.node_list(), ours = to.node_list();
    for (size_t i = 0; i < theirs.size(); ++i) {
      nodes_[theirs[i]] = ours[i];
      for (size_t j = 0; j < theirs[i]->outputs().size(); ++j) values_[theirs[i]->output(j)] = ours[i]->output(j);
    }
    nodes_[&from.output_node()] = &to.output_node();
    if (!ours.empty()) first_ = ours.front();
  }

  FakeQuantizedProgram build() {
    for (const auto& [value, spread] : state_.spreads) watch(values_.at(value), value);
    const std::vector<size_t> order = graph_order(state_);
    std::vector<Value*> results(state_.insertions.items.size());
    for (const size_t index : order) {  // parents come first
      const Insertion& insertion = state_.insertions.items[index];
      Value* source = insertion.parent ? results[*insertion.parent] : values_.at(insertion.value);
      results[index] = passed_on(index, source);
      for (const Node* user : insertion.users) graph().replace_uses_in(*nodes_.at(user), values_.at(insertion.value), results[index]);
    }
    return std::move(result_);
  }

 private:
  Graph& graph() { return result_.program.graph(); }

  void watch(const Value* value, const Value* original) {
    result_.originals[value] = original;
    result_.watched.push_back(value);
  }

  Value* passed_on(size_t index, Value* source) {
    const Insertion& insertion = state_.insertions.items[index];
    if (const Tensor* constant = state_.mutated.contains(insertion.value) ? nullptr : result_.program.constant(source)) {
      if (!state_.groups[insertion.group].fake_quantizes) return source;
      const QuantParams params = qparams_of(state_, insertion.group);
      const auto compute = [params](const Tensor& tensor) { return through_integers(tensor, params); };
      return result_.program.add_buffer(insertion.name, computed_from(*constant, constant->dtype(), constant->sizes(), compute));
    }
    // Observers of one tensor stand in their order: those of one group see it in turn.
    Node*& last = last_.try_emplace(source, source->producer()).first->second;
    const Op alias = Op::get("aten.alias.default");
    Node& node = last != nullptr ? graph().insert_after(last, alias, {{"self", source}}, {{source->meta()}}, insertion.name)
                                 : graph().insert_before(first_, alias, {{"self", source}}, {{source->meta()}}, insertion.name);
    last = &node;
    result_.insertions[node.output()] = index;
    result_.watched.push_back(node.output());
    return node.output();
  }

  const PreparedProgram::State& state_;
  FakeQuantizedProgram result_;
  std::unordered_map<const Value*, Value*> values_;
  std::unordered_map<const Node*, Node*> nodes_;
  Node* first_ = nullptr;                         // of the program; null when it has none
  std::unordered_map<const Value*, Node*> last_;  // what the next observer of a tensor stands behind
};

}  // namespace

FakeQuantizedProgram fake_quantized_program(const PreparedProgram::State& state) { return Builder(state).build(); }

std::vector<Tensor> run_fake_quantized(PreparedProgram::State& state, const std::vector<Tensor>& inputs) {
  const FakeQuantizedProgram& run = *state.fake_quantized;
  const auto pass_on = [&](const Value* value, const Tensor& tensor) -> std::optional<Tensor> {
    if (const auto original = run.originals.find(value); original != run.originals.end()) state.spreads.at(original->second).extend(tensor);
    const auto found = run.insertions.find(value);
    if (found == run.insertions.end()) return std::nullopt;
    const Insertion& insertion = state.insertions.items[found->second];
    observe(state, insertion, tensor);
    if (!state.groups[insertion.group].fake_quantizes) return std::nullopt;
    return through_integers(tensor, qparams_of(state, insertion.group));
  };
  return state.interpreter->run(inputs, pass_on, &run.watched);
}

}  // namespace intaglio::pt2e
