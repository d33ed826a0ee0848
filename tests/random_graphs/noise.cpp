#include "random_graphs/noise.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>

#include "ir/infer.h"
#include "random_graphs/random_graph.h"

namespace intaglio::random_graphs {
namespace {

Tensor noisy(const Tensor& tensor, const Noise& noise, uint64_t seed) {
  Tensor result = tensor.clone();
  const Tensor added = uniform_tensor(tensor.sizes(), -noise.amplitude, noise.amplitude, seed);
  float* values = result.mutable_data<float>();
  for (int64_t i = 0; i < result.numel(); ++i) values[i] = std::clamp(values[i] + added.data<float>()[i], noise.low, noise.high);
  return result;
}

Value* append(Graph& graph, Node*& last, Node* front, const char* op, std::vector<NamedArgument> arguments) {
  Node& node = last == nullptr ? graph.insert_before(front, Op::get(op), std::move(arguments), {{}})
                               : graph.insert_after(last, Op::get(op), std::move(arguments), {{}});
  refresh_metadata(node);
  last = &node;
  return node.output();
}

void add_noise(ExportedProgram& program, Value* value, const Noise& noise, uint64_t seed) {
  Graph& graph = program.graph();
  Node* last = value->producer();
  Node* front = graph.node_list().empty() ? nullptr : graph.node_list().front();
  const Tensor tensor = uniform_tensor(value->meta().static_sizes(), -noise.amplitude, noise.amplitude, seed);
  Value* constant = program.add_constant("noise_" + value->name(), tensor);
  Value* sum = append(graph, last, front, "aten.add.Tensor", {{"self", value}, {"other", constant}});
  Node* adder = last;
  if (std::isfinite(noise.low))
    sum = append(graph, last, front, "aten.clamp.default",
                 {{"self", sum}, {"min", static_cast<double>(noise.low)}, {"max", static_cast<double>(noise.high)}});
  graph.replace_uses_if(value, sum, [&](const Node& user) { return &user != adder; });
}

}  // namespace

ExportedProgram with_noise(const ExportedProgram& program, const NoiseMap& noise, uint64_t seed) {
  ExportedProgram result = program.clone();
  Random random(seed);
  for (const auto& [name, amount] : noise) {
    Value* value = result.graph().find_value(name);
    if (value == nullptr) throw_bug(fmt::format("noise for '{}', which the program does not have", name));
    const uint64_t own = random.bits();
    if (const Tensor* constant = result.constant(value)) result.set_constant(value, noisy(*constant, amount, own));
    else add_noise(result, value, amount, own);
  }
  verify(result);
  return result;
}

std::vector<Distance> distances(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) throw_bug("another number of outputs");
  std::vector<Distance> result(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].sizes() != b[i].sizes()) throw_bug(fmt::format("output {} has other sizes", i));
    const Tensor left = converted(a[i], DType::float64).contiguous(), right = converted(b[i], DType::float64).contiguous();
    double squares = 0;
    for (int64_t k = 0; k < left.numel(); ++k) {
      const double difference = std::abs(left.data<double>()[k] - right.data<double>()[k]);
      if (!(difference <= result[i].largest)) result[i].largest = difference;  // a NaN stays
      squares += difference * difference;
    }
    result[i].rms = std::sqrt(squares / static_cast<double>(std::max<int64_t>(left.numel(), 1)));
  }
  return result;
}

std::vector<Distance> answer_to_noise(const ExportedProgram& program, const std::vector<Tensor>& inputs, const NoiseMap& noise,
                                      const std::vector<Tensor>& outputs, uint64_t seed, int trials) {
  std::vector<Distance> answer(outputs.size());
  for (int trial = 0; trial < trials; ++trial) {
    const ExportedProgram changed = with_noise(program, noise, seed + static_cast<uint64_t>(trial) * 7919);
    const std::vector<Distance> moved = distances(Interpreter(changed, {.threads = 1}).run(inputs), outputs);
    for (size_t i = 0; i < answer.size(); ++i) {
      answer[i].rms = std::max(answer[i].rms, moved[i].rms);
      answer[i].largest = std::max(answer[i].largest, moved[i].largest);
    }
  }
  return answer;
}

}  // namespace intaglio::random_graphs
