// What the runtime's operators take: one row for those that take the same.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "backends/common/constraints.h"
#include "backends/common/op_rows.h"
#include "backends/vulkan/representation.h"

namespace intaglio::vulkan {

using common::Types;  // an empty set asks nothing

// One value for every operand alike, or one for each; further operands have none.
template <typename T>
struct EachOrAll {
  std::array<T, 3> values = {};
  size_t count = 0;
  constexpr EachOrAll() = default;
  constexpr EachOrAll(T all) : values{all}, count(1) {}  // NOLINT
  constexpr EachOrAll(T a, T b) : values{a, b}, count(2) {}
  constexpr EachOrAll(T a, T b, T c) : values{a, b, c}, count(3) {}
  constexpr bool alike() const { return count == 1; }
  constexpr T at(size_t i) const { return alike() ? values[0] : i < count ? values[i] : T{}; }
};

// Operands by their place in the schema. One set for all operands means that all of them lie alike, and so does one for all
// results. No set: the operand is constant and the operator reads its bytes itself.
struct Storages {
  EachOrAll<Representations> operands, results;
  constexpr Storages(EachOrAll<Representations> all) : operands(all), results(all.values[0]) {}  // NOLINT
  constexpr Storages(Representations all) : Storages(EachOrAll<Representations>(all)) {}         // NOLINT
  constexpr Storages(EachOrAll<Representations> in, EachOrAll<Representations> out) : operands(in), results(out) {}
};

struct RuleContext {
  const common::ProgramFacts& facts;
  const Node& node;
};
using Constraint = common::Constraint<RuleContext>;

// What an operator can do besides.
namespace can {
inline constexpr uint8_t nothing = 0;
inline constexpr uint8_t resize = 1;     // run at other sizes than it was compiled for
inline constexpr uint8_t many_dims = 2;  // more than four dimensions
inline constexpr uint8_t pack = 4;       // read constants' bytes itself; only its primary operand is a tensor of the device
inline constexpr uint8_t move = 8;       // it moves elements and computes nothing
}  // namespace can

struct OpRow {
  std::string_view ops;  // parted by spaces; `aten.` and `.default` may be left out
  Storages storages;
  EachOrAll<Types> operand_types = Types::unasked;
  uint8_t abilities = can::nothing;
  std::span<const Constraint> constraints = {};
  EachOrAll<Types> result_types = {};              // none: as the first operand
  Storages (*storages_of)(const Node&) = nullptr;  // where they depend on the node; `storages` else

  bool may(uint8_t ability) const { return (abilities & ability) != 0; }
  Storages storages_for(const Node& node) const { return storages_of ? storages_of(node) : storages; }
};

// Null when the runtime, or this backend, has no such operator.
const OpRow* find_row(std::string_view op);
// Operators on numbers, under their names in the payload.
bool has_symbol_op(std::string_view op);
// Operators that ExecuTorch's partitioner takes and the runtime has not.
bool is_absent_from_runtime(std::string_view op);

// The place of the first operand that the device computes with: an embedding's is not its first.
size_t primary_place(const Node& node);
// True when the operator reads the bytes of the constant at this place of its schema itself.
bool reads_constant(const OpRow& row, const Node& node, size_t place);

}  // namespace intaglio::vulkan
