#include "recipes/first_wrong_layer.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/work.h"
#include "qdq/reader.h"
#include "recipes/probes.h"
#include "recipes/side_by_side.h"

namespace intaglio::recipes {
namespace {

constexpr size_t probes_at_once = 16;  // outputs stay in memory
constexpr int most_rounds = 8;

using Nodes = std::unordered_set<const Node*>;

void add_with_ancestors(const Node* node, Nodes& seen) {
  std::vector<const Node*> open = {node};
  while (!open.empty()) {
    const Node* next = open.back();
    open.pop_back();
    if (next == nullptr || !seen.insert(next).second) continue;
    for (const Value* input : next->inputs()) open.push_back(input->producer());
  }
}

// A layer and what follows it up to the quantization is one place; the layer has the name.
std::string place_of_point(const ExportedProgram& program, const Node& point) {
  if (!qdq::is_quantize(point)) return describe(point);
  const Value* made = point.tensor(qdq::find(point)->places.input);
  for (const Value* value = made; value->producer() != nullptr && value->has_one_user(); value = value->producer()->inputs().front()) {
    if (work_of(program, *value->producer()).is_macs) return describe(*value->producer());
    if (!computes_on_floats(*value->producer()) || qdq::find(*value->producer())) break;
  }
  return place_of(made);
}

class Search {
 public:
  Search(const ExportedProgram& program, const std::vector<Tensor>& inputs, const AgreementOptions& options)
      : program_(program), inputs_(inputs), options_(options) {}

  void run(const Value* output) {
    Nodes before;
    add_with_ancestors(output->producer(), before);
    std::vector<const Node*> open = probe_points(program_);
    std::erase_if(open, [&](const Node* point) { return !before.contains(point); });
    for (int round = 0; round < most_rounds && !open.empty(); ++round) {
      const std::vector<const Node*> picks = picked(open);
      Nodes right;
      const Node* wrong = first_wrong(picks, right);
      if (wrong == nullptr && right.empty()) return;
      if (wrong != nullptr) {
        Nodes reaching;
        add_with_ancestors(wrong, reaching);
        reaching.erase(wrong);
        std::erase_if(open, [&](const Node* point) { return !reaching.contains(point); });
      }
      std::erase_if(open, [&](const Node* point) { return right.contains(point); });
    }
  }
  const std::optional<WrongLayer>& found() const { return found_; }

 private:
  // Evenly over the list, the last one too.
  static std::vector<const Node*> picked(const std::vector<const Node*>& open) {
    std::vector<const Node*> picks;
    const size_t count = std::min(probes_at_once, open.size());
    for (size_t i = 1; i <= count; ++i) picks.push_back(open[i * open.size() / count - 1]);
    return picks;
  }

  // `right` receives those before it, with all that they are made of.
  const Node* first_wrong(const std::vector<const Node*>& picks, Nodes& right) {
    const ExportedProgram probed = with_probes(program_, picks);
    const Node* wrong = nullptr;
    options_.lower_again(probed.clone(), [&](const std::filesystem::path& file) {
      SideBySide both(probed, inputs_, options_.threads);
      runtime::PteRunner runner({.threads = options_.threads, .timeout = options_.timeout});
      both.run_file(runner, runner.load(file));
      if (both.found().size() != both.expected().size()) return;
      const size_t first = both.expected().size() - picks.size();
      for (size_t i = 0; i < picks.size() && wrong == nullptr; ++i) {
        const Distance distance = both.distance(first + i);
        if (!distance.is_breach()) {
          add_with_ancestors(picks[i], right);
          continue;
        }
        wrong = picks[i];
        found_ = {place_of_point(program_, *wrong), distance.sqnr_db, distance.bound_db, distance.share};
      }
    });
    return wrong;
  }

  const ExportedProgram& program_;
  const std::vector<Tensor>& inputs_;
  const AgreementOptions& options_;
  std::optional<WrongLayer> found_;
};

}  // namespace

std::string place_of(const Value* value) {
  const Node* producer = value->producer();
  while (producer != nullptr && qdq::find(*producer)) {
    value = producer->tensor(qdq::find(*producer)->places.input);
    producer = value->producer();
  }
  return producer == nullptr ? fmt::format("input '{}'", escaped(value->name())) : describe(*producer);
}

std::optional<WrongLayer> first_wrong_layer(const ExportedProgram& program, const Value* wrong, const std::vector<Tensor>& inputs,
                                            const AgreementOptions& options) {
  if (!options.lower_again) return std::nullopt;
  Search search(program, inputs, options);
  try {
    search.run(wrong);
  } catch (const Error&) {  // the breach is what is to be said; a variant that cannot be lowered or run traces it no further
  }
  return search.found();
}

}  // namespace intaglio::recipes
