#include "random_graphs/random_graph.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/infer.h"

namespace intaglio::random_graphs {
namespace {

std::vector<Id> ids_in(const Operand& operand) {
  if (const auto* id = std::get_if<Id>(&operand)) return {*id};
  if (const auto* ids = std::get_if<std::vector<Id>>(&operand)) return *ids;
  return {};
}

}  // namespace

uint64_t Random::bits() {
  state_ += 0x9e3779b97f4a7c15ull;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

int64_t Random::between(int64_t low, int64_t high) { return low + static_cast<int64_t>(bits() % static_cast<uint64_t>(high - low + 1)); }

double Random::uniform(double low, double high) {
  return low + (high - low) * static_cast<double>(bits() >> 11) / static_cast<double>(1ull << 53);
}

Tensor uniform_tensor(Sizes sizes, double low, double high, uint64_t seed) {
  Random random(seed);
  Tensor tensor = Tensor::empty(DType::float32, std::move(sizes));
  float* values = tensor.mutable_data<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = static_cast<float>(random.uniform(low, high));
  return tensor;
}

void Builder::remember(Id id, Value* value) {
  values_[id] = value;
  sizes_[id] = value->meta().static_sizes();
}

void Builder::input(Id id, const Sizes& sizes) {
  Graph& graph = program_.graph();
  TensorMeta meta = TensorMeta::contiguous(DType::float32, {sizes.begin(), sizes.end()});
  Value* value = graph.add_input(graph.inputs().size(), {std::move(meta), fmt::format("x{}", id)});
  program_.input_specs.push_back({InputSpec::Kind::user_input, value, "", true});
  remember(id, value);
}

Argument Builder::argument(const Step& step, const Operand& operand, size_t position) {
  if (const auto* id = std::get_if<Id>(&operand)) return values_.at(*id);
  if (const auto* ids = std::get_if<std::vector<Id>>(&operand)) {
    std::vector<Value*> list;
    for (const Id id : *ids) list.push_back(values_.at(id));
    return list;
  }
  if (const auto* weight = std::get_if<Weight>(&operand)) {
    const std::string name = fmt::format("layer{}.{}", step.results.front(), step.operands[position].first);
    return program_.add_parameter(name, uniform_tensor(weight->sizes, weight->low, weight->high, weight->seed));
  }
  return std::get<Argument>(operand);
}

void Builder::step(const Step& step) {
  std::vector<NamedArgument> arguments;
  for (size_t i = 0; i < step.operands.size(); ++i)
    arguments.push_back({step.operands[i].first, argument(step, step.operands[i].second, i)});
  const std::vector<OutputSpecification> outputs(step.results.size());
  std::vector<Node::OutputGroup> groups;
  if (step.results.size() > 1) groups.push_back({true, step.results.size()});
  Node& node = program_.graph().insert_before(nullptr, Op::get(step.op), std::move(arguments), outputs, "", std::move(groups));
  if (!refresh_metadata(node)) throw_bug(fmt::format("{} has no rule for its sizes", step.op));
  for (size_t i = 0; i < step.results.size(); ++i) remember(step.results[i], node.output(i));
}

ExportedProgram Builder::finish(const std::vector<Id>& outputs) {
  std::vector<Argument> values;
  for (const Id id : outputs) values.emplace_back(values_.at(id));
  program_.graph().set_outputs(std::move(values));
  program_.output_specs.assign(outputs.size(), OutputSpec{});
  const TreeSpec leaf;
  program_.in_spec = {"builtins.tuple", "null", {}, {{"builtins.tuple", "null", {}, {}}, {"builtins.dict", "[]", {}, {}}}};
  program_.in_spec.children[0].children.assign(program_.user_inputs().size(), leaf);
  program_.out_spec = {"builtins.tuple", "null", {}, std::vector<TreeSpec>(outputs.size(), leaf)};
  verify(program_);
  return std::move(program_);
}

ExportedProgram build(const RandomGraph& graph) {
  Builder builder;
  for (const auto& [id, sizes] : graph.inputs) builder.input(id, sizes);
  for (const Step& step : graph.steps) builder.step(step);
  return builder.finish(graph.outputs);
}

RandomGraph trimmed(const RandomGraph& graph) {
  std::set<Id> needed(graph.outputs.begin(), graph.outputs.end());
  RandomGraph result;
  result.outputs = graph.outputs;
  for (auto step = graph.steps.rbegin(); step != graph.steps.rend(); ++step) {
    if (std::none_of(step->results.begin(), step->results.end(), [&](Id id) { return needed.contains(id); })) continue;
    for (const auto& [name, operand] : step->operands)
      for (const Id id : ids_in(operand)) needed.insert(id);
    result.steps.push_back(*step);
  }
  std::reverse(result.steps.begin(), result.steps.end());
  for (const auto& input : graph.inputs)
    if (needed.contains(input.first)) result.inputs.push_back(input);
  return result;
}

std::vector<RandomGraph> smaller(const RandomGraph& graph) {
  std::vector<RandomGraph> variants;
  if (graph.outputs.size() > 1)
    for (const Id output : graph.outputs) {
      variants.push_back(graph);
      variants.back().outputs = {output};
    }
  // What a step computes is given from outside; the nearest to the outputs first, which takes most steps away.
  Builder builder;
  for (const auto& [id, sizes] : graph.inputs) builder.input(id, sizes);
  for (const Step& step : graph.steps) builder.step(step);
  for (auto step = graph.steps.rbegin(); step != graph.steps.rend(); ++step) {
    const auto& results = step->results;
    const auto is_result = [&](Id id) { return std::find(results.begin(), results.end(), id) != results.end(); };
    RandomGraph variant = graph;
    std::erase_if(variant.outputs, is_result);
    if (variant.outputs.empty()) {  // the last step goes away instead, its operands are what is left to look at
      for (const auto& [name, operand] : step->operands)
        for (const Id id : ids_in(operand))
          if (std::find(variant.outputs.begin(), variant.outputs.end(), id) == variant.outputs.end()) variant.outputs.push_back(id);
    }
    std::erase_if(variant.steps, [&](const Step& other) { return other.results == results; });
    for (const Id id : results) variant.inputs.emplace_back(id, builder.sizes(id));
    variants.push_back(std::move(variant));
  }
  for (RandomGraph& variant : variants) variant = trimmed(variant);
  std::erase_if(variants, [](const RandomGraph& variant) { return variant.steps.empty(); });
  return variants;
}

}  // namespace intaglio::random_graphs
