// One method's execution plan while it grows: values, storages, instructions; memory is planned at the end.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "edge/emit/memory_planning.h"
#include "pte/program.h"

namespace intaglio::edge {

class PlanBuilder {
 public:
  static constexpr size_t no_storage = SIZE_MAX;

  // ---- values. Constants of one kind and value are one value: nothing writes to them.
  int32_t add(pte::EValue value);  // always a new one
  int32_t none();
  int32_t integer(int64_t value);
  int32_t number(double value);
  int32_t boolean(bool value);
  int32_t text(const std::string& value);
  int32_t int_list(const std::vector<int64_t>& value_ids);
  int32_t double_list(const std::vector<double>& items);
  int32_t bool_list(const std::vector<bool>& items);
  const pte::EValue& value(int32_t id) const { return plan_.values[id]; }
  pte::EValue& value(int32_t id) { return plan_.values[id]; }

  // ---- memory. A storage lives from its first to its last touch.
  size_t new_storage(uint64_t bytes);
  // Lives through the whole program, as inputs' and mutable buffers' first step does and the latter's last one.
  void keep_from_start(size_t storage);
  void keep_to_end(size_t storage);
  // A tensor in a storage, or without one (constants, memory of the caller).
  int32_t tensor(pte::TensorValue tensor, size_t storage);
  // Touching `value` touches the storages of `other` too (the value may come to stand for either).
  void share(int32_t value, int32_t other);
  // The one storage of a tensor; no_storage when it has none or may have several.
  size_t storage_of(int32_t id) const;
  void add_phantom(uint64_t bytes) { phantoms_.push_back(bytes); }

  // ---- instructions
  int32_t operator_index(std::string_view name, std::string_view overload);
  // Touches what it refers to.
  void call_kernel(std::string_view name, std::string_view overload, std::vector<int32_t> args);
  void call_delegate(int32_t delegate, std::vector<int32_t> args);
  void move(int32_t from, int32_t to);
  size_t jump_if_false(int32_t condition);   // returns the instruction, to be given its target
  void set_jump_target(size_t instruction);  // to the next instruction
  void set_jump_target(size_t instruction, size_t target);
  size_t next_instruction() const { return instructions_.size(); }
  // What stands between runs again and again: memory that is touched inside and was filled before stays untouched to the
  // end, `held` values from the start.
  void begin_loop(const std::vector<int32_t>& held);
  void end_loop();
  int32_t add_delegate(pte::BackendDelegate delegate);

  // ---- ends
  void add_input(int32_t id) { plan_.inputs.push_back(id); }
  void add_output(int32_t id);
  // Plans the memory, with `slack` bytes more, and gives the plan away.
  pte::ExecutionPlan finish(uint64_t slack);

 private:
  size_t step() const { return instructions_.size() + 1; }  // 0 is before the first instruction
  void touch(int32_t id);
  void plan_memory_of_values(uint64_t slack);

  pte::ExecutionPlan plan_;
  std::vector<pte::Instruction> instructions_;
  std::vector<std::vector<size_t>> storages_of_value_;
  std::vector<Lifetime> storages_;
  std::vector<bool> to_end_;
  struct OpenLoop {
    size_t start, first_touched;
  };
  std::vector<OpenLoop> loops_;  // outer ones first
  std::vector<size_t> touched_;  // storages, as they were touched since the outermost loop began
  std::vector<uint64_t> phantoms_;

  int32_t none_ = -1;
  std::map<int64_t, int32_t> integers_;
  std::map<uint64_t, int32_t> numbers_;  // by bits
  int32_t booleans_[2] = {-1, -1};
  std::map<std::string, int32_t> texts_;
  std::map<std::vector<int64_t>, int32_t> int_lists_;
  std::map<std::vector<uint64_t>, int32_t> double_lists_;
  std::map<std::vector<bool>, int32_t> bool_lists_;
  std::map<std::pair<std::string, std::string>, int32_t> operators_;
};

}  // namespace intaglio::edge
