#include "edge/emit/plan_builder.h"

#include <algorithm>
#include <bit>

#include <intaglio/error.h>

#include "edge/emit/tensor_values.h"

namespace intaglio::edge {

int32_t PlanBuilder::add(pte::EValue value) {
  plan_.values.push_back(std::move(value));
  storages_of_value_.emplace_back();
  return static_cast<int32_t>(plan_.values.size() - 1);
}

int32_t PlanBuilder::none() {
  if (none_ < 0) none_ = add(pte::Null{});
  return none_;
}
int32_t PlanBuilder::integer(int64_t value) {
  const auto [found, added] = integers_.emplace(value, -1);
  if (added) found->second = add(value);
  return found->second;
}
int32_t PlanBuilder::number(double value) {
  const auto [found, added] = numbers_.emplace(std::bit_cast<uint64_t>(value), -1);
  if (added) found->second = add(value);
  return found->second;
}
int32_t PlanBuilder::boolean(bool value) {
  int32_t& id = booleans_[value];
  if (id < 0) id = add(value);
  return id;
}
int32_t PlanBuilder::text(const std::string& value) {
  const auto [found, added] = texts_.emplace(value, -1);
  if (added) found->second = add(value);
  return found->second;
}
int32_t PlanBuilder::int_list(const std::vector<int64_t>& value_ids) {
  const auto [found, added] = int_lists_.emplace(value_ids, -1);
  if (added) found->second = add(pte::IntList{value_ids});
  return found->second;
}
int32_t PlanBuilder::double_list(const std::vector<double>& items) {
  std::vector<uint64_t> bits(items.size());
  std::transform(items.begin(), items.end(), bits.begin(), [](double item) { return std::bit_cast<uint64_t>(item); });
  const auto [found, added] = double_lists_.emplace(std::move(bits), -1);
  if (added) found->second = add(pte::DoubleList{items});
  return found->second;
}
int32_t PlanBuilder::bool_list(const std::vector<bool>& items) {
  const auto [found, added] = bool_lists_.emplace(items, -1);
  if (added) found->second = add(pte::BoolList{{items.begin(), items.end()}});
  return found->second;
}

size_t PlanBuilder::new_storage(uint64_t bytes) {
  storages_.push_back({bytes, SIZE_MAX, 0});
  to_end_.push_back(false);
  return storages_.size() - 1;
}
void PlanBuilder::keep_from_start(size_t storage) { storages_[storage].first = 0; }
void PlanBuilder::keep_to_end(size_t storage) { to_end_[storage] = true; }

int32_t PlanBuilder::tensor(pte::TensorValue tensor, size_t storage) {
  const uint64_t needed = planned_bytes(tensor);
  const int32_t id = add(std::move(tensor));
  if (storage == no_storage) return id;
  storages_of_value_[id].push_back(storage);
  // Views whose sizes depend on numbers that are inputs may have higher bounds than what they are views of.
  uint64_t& bytes = storages_[storage].bytes;
  bytes = std::max(bytes, needed);
  return id;
}

void PlanBuilder::share(int32_t value, int32_t other) {
  std::vector<size_t>& mine = storages_of_value_[value];
  for (const size_t storage : storages_of_value_[other])
    if (std::find(mine.begin(), mine.end(), storage) == mine.end()) mine.push_back(storage);
}

size_t PlanBuilder::storage_of(int32_t id) const { return storages_of_value_[id].size() == 1 ? storages_of_value_[id][0] : no_storage; }

void PlanBuilder::touch(int32_t id) {
  for (const size_t storage : storages_of_value_[id]) {
    storages_[storage].first = std::min(storages_[storage].first, step());
    storages_[storage].last = std::max(storages_[storage].last, step());
    if (!loops_.empty()) touched_.push_back(storage);
  }
  if (const auto* list = std::get_if<pte::TensorList>(&plan_.values[id]))
    for (const int32_t item : list->items) touch(item);
  if (const auto* list = std::get_if<pte::OptionalTensorList>(&plan_.values[id]))
    for (const int32_t item : list->items)
      if (item >= 0) touch(item);
}

int32_t PlanBuilder::operator_index(std::string_view name, std::string_view overload) {
  const auto [found, added] =
      operators_.emplace(std::pair(std::string(name), std::string(overload)), static_cast<int32_t>(plan_.operators.size()));
  if (added) plan_.operators.push_back({std::string(name), std::string(overload)});
  return found->second;
}

void PlanBuilder::call_kernel(std::string_view name, std::string_view overload, std::vector<int32_t> args) {
  for (const int32_t arg : args) touch(arg);
  instructions_.push_back(pte::KernelCall{operator_index(name, overload), std::move(args)});
}

void PlanBuilder::call_delegate(int32_t delegate, std::vector<int32_t> args) {
  for (const int32_t arg : args) touch(arg);
  instructions_.push_back(pte::DelegateCall{delegate, std::move(args)});
}

void PlanBuilder::move(int32_t from, int32_t to) {
  touch(from);
  instructions_.push_back(pte::MoveCall{from, to});
}

size_t PlanBuilder::jump_if_false(int32_t condition) {
  touch(condition);
  instructions_.push_back(pte::JumpFalseCall{condition, 0});
  return instructions_.size() - 1;
}

void PlanBuilder::set_jump_target(size_t instruction) {
  std::get<pte::JumpFalseCall>(instructions_[instruction]).destination_instruction = static_cast<int32_t>(instructions_.size());
}

void PlanBuilder::set_jump_target(size_t instruction, size_t target) {
  std::get<pte::JumpFalseCall>(instructions_[instruction]).destination_instruction = static_cast<int32_t>(target);
}

void PlanBuilder::begin_loop(const std::vector<int32_t>& held) {
  loops_.push_back({step(), touched_.size()});
  for (const int32_t id : held) touch(id);
}

void PlanBuilder::end_loop() {
  const size_t last = instructions_.size();  // the jump back
  const auto [start, first_touched] = loops_.back();
  for (size_t i = first_touched; i < touched_.size(); ++i) {
    Lifetime& storage = storages_[touched_[i]];
    if (storage.first <= start) storage.last = std::max(storage.last, last);
  }
  loops_.pop_back();
  if (loops_.empty()) touched_.clear();
}

int32_t PlanBuilder::add_delegate(pte::BackendDelegate delegate) {
  plan_.delegates.push_back(std::move(delegate));
  return static_cast<int32_t>(plan_.delegates.size() - 1);
}

void PlanBuilder::add_output(int32_t id) {
  touch(id);
  plan_.outputs.push_back(id);
}

void PlanBuilder::plan_memory_of_values(uint64_t slack) {
  for (size_t i = 0; i < storages_.size(); ++i) {
    if (to_end_[i]) storages_[i].last = step();
    // Never touched: an input that nothing reads. It is written before the first instruction all the same.
    storages_[i].first = std::min(storages_[i].first, storages_[i].last);
  }
  std::vector<Lifetime> phantoms;
  for (const uint64_t bytes : phantoms_) phantoms.push_back({bytes, step(), step()});
  const MemoryPlan plan = plan_memory(storages_, phantoms);
  if (plan.total + slack > most_bytes) throw_unsupported("the program's tensors would need more than 2^40 bytes of memory at once");
  for (size_t id = 0; id < plan_.values.size(); ++id)
    if (auto* tensor = std::get_if<pte::TensorValue>(&plan_.values[id]); tensor && !storages_of_value_[id].empty())
      tensor->allocation = pte::Allocation{1, plan.offsets[storages_of_value_[id][0]]};
  plan_.non_const_buffer_sizes = {0, static_cast<int64_t>(plan.total + slack)};
}

pte::ExecutionPlan PlanBuilder::finish(uint64_t slack) {
  plan_memory_of_values(slack);
  plan_.chains.push_back(std::move(instructions_));
  return std::move(plan_);
}

}  // namespace intaglio::edge
