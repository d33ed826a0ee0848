#include "interpreter/constant_values.h"

#include <algorithm>

#include <intaglio/interpreter.h>

#include "ir/memory.h"
#include "ir/operands_first.h"

namespace intaglio {

bool draws_random_numbers(const Node& node) {
  static constexpr std::string_view parts[] = {"rand",        "dropout", "bernoulli",   "normal",
                                               "multinomial", "uniform", "exponential", "poisson"};
  const std::string_view base = node.op().base();
  const Argument* train = node.find("train");
  const bool* is_training = train ? train->get_if<bool>() : nullptr;
  if (is_training && !*is_training) return false;  // a dropout in use
  return !base.starts_with("batch_norm") &&
         std::ranges::any_of(parts, [&](std::string_view part) { return base.find(part) != std::string_view::npos; });
}

bool is_pure(const Node& node) {
  const OpSchema* schema = node.op().schema();
  const std::string_view base = node.op().base();
  if (schema == nullptr || (schema->is_inplace() && base != "detach_")) return false;  // which leaves the elements alone
  return !draws_random_numbers(node) && base != "empty";
}

// The tensors that an operator writes into.
static std::vector<const Value*> written_by(const Node& node) {
  std::vector<const Value*> written;
  const OpSchema* schema = node.op().schema();
  if (schema == nullptr || !schema->is_inplace() || node.op().base() == "detach_") return written;  // which leaves the elements alone
  for (const ArgSchema& formal : schema->arguments)
    if (const Argument* argument = formal.mutated ? node.find(formal.name) : nullptr)
      for (const Value* value : values_in(*argument)) written.push_back(value);
  return written;
}

ConstantValues::ConstantValues(const ExportedProgram& program, std::function<bool(const Node&)> takes, Creations creations)
    : program_(program), takes_(std::move(takes)), creations_(creations), lasting_(program) {
  if (creations == Creations::unknown) return;
  for (const Node* node : program.graph().node_list())
    for (const Value* value : written_by(*node))
      while (value != nullptr && written_.insert(value).second) value = value->producer() ? memory_operand(*value->producer()) : nullptr;
}

ConstantValues::ConstantValues(const ExportedProgram& program, std::function<bool(const Node&)> takes,
                               std::shared_ptr<const std::unordered_set<const Value*>> mutated)
    : program_(program), takes_(std::move(takes)), creations_(Creations::unknown), lasting_(program, std::move(mutated)) {}

// What makes the value constant when all of it is: nothing for inputs and for results of ops that are not taken.
std::vector<Value*> ConstantValues::operands_of(const Value* value) const {
  const Node* producer = value->producer();
  return producer != nullptr && takes_(*producer) ? producer->inputs() : std::vector<Value*>();
}

bool ConstantValues::is_source(const Value* value) {
  const Node* producer = value->producer();
  if (producer == nullptr) return lasting_.find(value) != nullptr && !written_.contains(value);
  return creations_ == Creations::constant && producer->inputs().empty() && takes_(*producer) && value->is_tensor() &&
         value->meta().is_static() && !written_.contains(value);
}

// Those that `answers` does not have yet.
template <typename Answers, typename Visit>
void ConstantValues::visit_unanswered(const Value* value, const Answers& answers, const Visit& visit) const {
  visit_operands_first(value, [&](const Value* v) { return operands_of(v); }, [&](const Value* v) { return answers.contains(v); }, visit);
}

bool ConstantValues::is_constant(const Value* value) {
  visit_unanswered(value, constant_, [&](const Value* v, const std::vector<Value*>& operands) {
    constant_[v] = operands.empty()
                       ? is_source(v)
                       : !written_.contains(v) && std::ranges::all_of(operands, [&](const Value* o) { return constant_.at(o); });
  });
  return constant_.at(value);
}

const Tensor* ConstantValues::find(const Value* value) {
  if (!is_constant(value)) return nullptr;
  visit_unanswered(value, tensors_, [&](const Value* v, const std::vector<Value*>&) { evaluate(v); });
  const auto& tensor = tensors_.at(value);
  return tensor ? &*tensor : nullptr;
}

void ConstantValues::evaluate(const Value* value) {
  const Node* node = value->producer();
  if (node == nullptr) {
    tensors_[value] = *program_.constant(value);
    return;
  }
  std::vector<Tensor> inputs;
  for (const Value* input : node->inputs())
    if (const auto& tensor = tensors_.at(input)) inputs.push_back(*tensor);
  std::optional<std::vector<Tensor>> outputs;
  if (inputs.size() == node->inputs().size()) outputs = evaluate_node(*node, inputs);
  for (size_t i = 0; i < node->outputs().size(); ++i) {
    auto& slot = tensors_[node->outputs()[i]];
    if (outputs && i < outputs->size()) slot = (*outputs)[i];
  }
}

}  // namespace intaglio
