// Small programs made from a seed: what was drawn, as data that can be made smaller, and the program it stands for.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::random_graphs {

// The same numbers on every machine (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits();
  int64_t between(int64_t low, int64_t high);  // both included
  double uniform(double low, double high);
  bool chance(double probability) { return uniform(0, 1) < probability; }
  template <typename T>
  const T& of(const std::vector<T>& items) {
    return items[between(0, static_cast<int64_t>(items.size()) - 1)];
  }

 private:
  uint64_t state_;
};

// Float32 values drawn evenly from [low, high).
Tensor uniform_tensor(Sizes sizes, double low, double high, uint64_t seed);

// Values are numbered when they are drawn and keep their number while the graph shrinks around them.
using Id = int;
struct Weight {
  Sizes sizes;
  double low = -1;
  double high = 1;
  uint64_t seed = 0;
};
using Operand = std::variant<Argument, Id, std::vector<Id>, Weight>;

struct Step {
  std::string op;
  std::vector<std::pair<std::string, Operand>> operands;
  std::vector<Id> results;  // more than one: the op returns a list
};

struct RandomGraph {
  std::vector<std::pair<Id, Sizes>> inputs;
  std::vector<Step> steps;
  std::vector<Id> outputs;
};

// A program grown step by step.
class Builder {
 public:
  void input(Id id, const Sizes& sizes);
  void step(const Step& step);  // Error when the operands do not fit the op
  const Sizes& sizes(Id id) const { return sizes_.at(id); }
  ExportedProgram finish(const std::vector<Id>& outputs);

 private:
  Argument argument(const Step& step, const Operand& operand, size_t position);
  void remember(Id id, Value* value);
  ExportedProgram program_;
  std::map<Id, Value*> values_;
  std::map<Id, Sizes> sizes_;
};

ExportedProgram build(const RandomGraph& graph);
// Without the steps and inputs that no output needs.
RandomGraph trimmed(const RandomGraph& graph);
// Smaller variants, the most promising first: one output alone, a step's results given as inputs instead.
std::vector<RandomGraph> smaller(const RandomGraph& graph);

RandomGraph generate(uint64_t seed);

}  // namespace intaglio::random_graphs
