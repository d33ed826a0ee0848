#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "backends/common/program_facts.h"
#include "backends/xnnpack/limits.h"
#include "backends/xnnpack/rewrites/rewrites.h"
#include "backends/xnnpack/rules.h"
#include "decompose/builder.h"

namespace intaglio::xnnpack {
namespace {

constexpr double endless = std::numeric_limits<double>::infinity();

class Choices {
 public:
  Choices(ExportedProgram& program, const Features& features) : program_(program) {
    const common::ProgramFacts facts(program);
    const RuleRefusals refused = find_rule_refusals(facts, features);
    for (Node* node : program.graph().node_list()) {
      const bool taken = find_rule(*node) && !refused.contains(node) && !facts.makes_constant(*node);
      if (taken || std::ranges::any_of(node->inputs(), [&](const Value* input) { return inside_.contains(input); }))
        inside_.insert(node->outputs().begin(), node->outputs().end());
      if (chooses(facts, *node)) found_.push_back(node);
    }
  }

  void run() {
    for (Node* node : found_) rewrite(*node);
    if (!found_.empty()) program_.graph().eliminate_dead_code();
  }

 private:
  // The number that a constant is everywhere; null for any other value.
  static std::optional<double> number_of(const common::ProgramFacts& facts, const Value* value) {
    const auto constant = facts.constant_value(value);
    return constant && constant->numel() == 1 ? std::optional(converted(*constant, DType::float64).data<double>()[0]) : std::nullopt;
  }

  bool chooses(const common::ProgramFacts& facts, const Node& node) {
    if (!node.is("aten.where.self")) return false;
    const Value *condition = node.tensor("condition"), *self = node.tensor("self"), *other = node.tensor("other");
    const DType dtype = node.output()->dtype();
    const auto is_constant = [&](const Value* value) { return facts.is_constant(value); };
    const bool fits = (dtype == DType::float32 || dtype == DType::float16) && self->dtype() == dtype && other->dtype() == dtype &&
                      condition->dtype() == DType::boolean && !is_constant(condition) && !inside_.contains(condition) &&
                      (inside_.contains(self) || inside_.contains(other)) && !first_broken_limit(program_, node, is_constant);
    if (!fits) return false;
    for (const Value* choice : {self, other})
      if (const auto number = number_of(facts, choice)) {
        // It becomes a number without dimensions: the result must not have any from it alone.
        const Value* other_choice = choice == self ? other : self;
        const int64_t rank = std::max<int64_t>(condition->meta().rank(), other_choice->meta().rank());
        if (std::isnan(*number) || choice->meta().rank() > rank) return false;
        numbers_[choice] = *number;
      }
    return true;
  }

  void rewrite(Node& node) {
    decompose::GraphBuilder build(program_, node);
    std::vector<Value*> sides;
    for (const bool when : {true, false}) {
      Value* choice = node.tensor(when ? "self" : "other");
      const auto number = numbers_.find(choice);
      if (number != numbers_.end() && number->second == -endless) continue;
      if (number != numbers_.end()) sides.push_back(outside(build, node, when, nullptr, number->second));
      else if (!inside_.contains(choice)) sides.push_back(outside(build, node, when, choice, 0));
      else sides.push_back(build("aten.minimum.default", choice, outside(build, node, when, nullptr, endless)));
    }
    Value* result = sides.size() == 1 ? sides[0] : build("aten.maximum.default", sides[0], sides[1]);
    inside_.insert(result);
    program_.graph().replace_all_uses(node.output(), result);
  }

  // The value, or a number, where the condition is `when`, minus infinity elsewhere: once for all that choose so.
  Value* outside(decompose::GraphBuilder& build, const Node& node, bool when, Value* value, double number) {
    const DType dtype = node.output()->dtype();
    Value*& known = outside_[{node.tensor("condition"), dtype, when, value, number}];
    if (!known) {
      Value *here = value ? value : build.number(number, dtype), *elsewhere = build.number(-endless, dtype);
      known = build("aten.where.self", node.tensor("condition"), when ? here : elsewhere, when ? elsewhere : here);
    }
    return known;
  }

  ExportedProgram& program_;
  std::unordered_set<const Value*> inside_;  // computed in a delegate, or of what is
  std::vector<Node*> found_;
  std::unordered_map<const Value*, double> numbers_;  // choices that are one number
  std::map<std::tuple<const Value*, DType, bool, const Value*, double>, Value*> outside_;
};

}  // namespace

void choose_by_bounds(ExportedProgram& program, const Features& features) { Choices(program, features).run(); }

}  // namespace intaglio::xnnpack
