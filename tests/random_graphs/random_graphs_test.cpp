// Random small programs: float interpretation, the converted program and the `.pte` on the runtime agree within the bounds that
// their quantization steps give. A hundred of them, a thousand with INTAGLIO_NIGHTLY.
//
// A program that does not agree is made smaller while it still does not, and printed with its seed. INTAGLIO_SEED=N looks at
// that one alone and leaves the smallest program and its inputs behind: random_graph_N.pt2, random_graph_N.npz.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <intaglio/data.h>
#include <intaglio/pt2.h>

#include "ir/parser.h"
#include "random_graphs/examine.h"
#include "random_graphs/random_graph.h"

namespace intaglio::random_graphs {
namespace {

runtime::PteRunner& runner() {
  static runtime::PteRunner instance(runtime::RunnerOptions{.threads = 1});
  return instance;
}

std::vector<Tensor> inputs_of(const RandomGraph& graph, uint64_t seed) {
  std::vector<Tensor> inputs;
  for (const auto& [id, sizes] : graph.inputs) inputs.push_back(uniform_tensor(sizes, -2, 3, seed + static_cast<uint64_t>(id)));
  return inputs;
}

Examination examine_graph(const RandomGraph& graph, uint64_t seed) {
  return examine(build(graph), inputs_of(graph, seed), seed % 2 == 0, runner(), seed);
}

RandomGraph shrunk(RandomGraph graph, uint64_t seed) {
  for (bool smaller_found = true; smaller_found;) {
    smaller_found = false;
    for (const RandomGraph& candidate : smaller(graph)) {
      if (examine_graph(candidate, seed).outcome != Outcome::differs) continue;
      graph = candidate;
      smaller_found = true;
      break;
    }
  }
  return graph;
}

void leave_behind(const RandomGraph& graph, uint64_t seed) {
  const ExportedProgram program = build(graph);
  save_exported_program(program, fmt::format("random_graph_{}.pt2", seed));
  std::vector<NamedArray> arrays;
  const std::vector<Tensor> inputs = inputs_of(graph, seed);
  for (size_t i = 0; i < inputs.size(); ++i) arrays.push_back({program.user_inputs()[i]->name(), inputs[i]});
  write_npz(fmt::format("random_graph_{}.npz", seed), arrays);
}

std::string report(const RandomGraph& graph, uint64_t seed) {
  const RandomGraph least = shrunk(graph, seed);
  if (std::getenv("INTAGLIO_SEED") != nullptr) leave_behind(least, seed);
  return fmt::format("seed {} ({}), the smallest program that shows it:\n{}\n{}", seed, seed % 2 == 0 ? "per channel" : "per tensor",
                     to_string(build(least)), examine_graph(least, seed).text);
}

TEST(RandomGraphs, AgreeOnEveryEngine) {
  const char* one = std::getenv("INTAGLIO_SEED");
  const uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const uint64_t count = one != nullptr ? 1 : (std::getenv("INTAGLIO_NIGHTLY") != nullptr ? 1000 : 100);
  uint64_t no_use = 0;
  std::map<std::string, double> used;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const RandomGraph graph = generate(seed);
    const Examination examination = examine_graph(graph, seed);
    if (examination.outcome == Outcome::differs) ADD_FAILURE() << report(graph, seed);
    if (examination.outcome == Outcome::no_use) ++no_use;
    for (const auto& [name, share] : examination.used) used[name] = std::max(used[name], share);
  }
  for (const auto& [name, share] : used) std::cout << fmt::format("{}: at most {:.0f} % of the bound used\n", name, share * 100);
  EXPECT_LE(no_use, count / 10) << "too many programs compute nothing";
}

// A bound that everything meets would show nothing: a zero point off by three steps is seen wherever it reaches an output.
TEST(RandomGraphs, AWrongZeroPointIsSeen) {
  int seen = 0, spoiled = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const RandomGraph graph = generate(seed);
    bool changed = false;
    const auto spoil = [&](ExportedProgram& program) {
      const std::vector<Node*> nodes = program.graph().node_list();
      for (auto node = nodes.rbegin(); node != nodes.rend() && !changed; ++node) {
        if (!(*node)->is("quantized_decomposed.dequantize_per_tensor.default")) continue;
        program.graph().set_argument(**node, "zero_point", (*node)->integer("zero_point") + 3);
        changed = true;
      }
    };
    const Examination examination = examine(build(graph), inputs_of(graph, seed), seed % 2 == 0, runner(), seed, spoil);
    if (!changed) continue;
    ++spoiled;
    if (examination.outcome == Outcome::differs) ++seen;
  }
  EXPECT_GT(spoiled, 15);
  EXPECT_GT(seen, spoiled / 2) << "of " << spoiled;
}

TEST(RandomGraphs, ASeedGivesTheSameProgram) {
  for (const uint64_t seed : {3, 4, 5}) {
    EXPECT_EQ(to_string(build(generate(seed))), to_string(build(generate(seed))));
    EXPECT_NE(to_string(build(generate(seed))), to_string(build(generate(seed + 100))));
  }
}

TEST(RandomGraphs, TheirTextsReadBack) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const std::string text = to_string(build(generate(seed)));
    EXPECT_EQ(to_string(parse_program(text)), text) << "seed " << seed;
  }
}

}  // namespace
}  // namespace intaglio::random_graphs
