// Positions of rows in a cache, and masks that let each row read up to its own: what exporters write out in numbers, found by form.
#pragma once

#include <initializer_list>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>

#include <intaglio/program.h>

#include "interpreter/constant_values.h"

namespace intaglio::edge {

// The first of consecutive positions: an element of a tensor with one dimension or, without an index, a number.
struct Start {
  Value* source = nullptr;
  std::optional<int64_t> index;

  friend bool operator==(const Start&, const Start&) = default;
};

bool is_one_of(const Node* node, std::initializer_list<std::string_view> ops);

// The same elements in the same order, without views, copies and expansions of nothing between.
Value* behind_views(Value* value);

// What an integer tensor of one element, or a number, is.
std::optional<Start> start_at(Value* value);

// The first of positions that grow by one from element to element; null for any others.
std::optional<Start> consecutive_from(Value* positions);

// Masks are shared by layers: each is asked once.
class CausalMasks {
 public:
  explicit CausalMasks(const ExportedProgram& program) : constants_(program, is_pure, Creations::constant) {}

  // Row i of `rows` reads the elements 0 to start + i of `columns`, and no more.
  bool is_causal(Value* mask, const Start& start, const SymInt& rows, int64_t columns);

 private:
  bool matches(Value* mask, const Start& start, const SymInt& rows, int64_t columns, int depth);
  bool counts_columns(Value* value, int64_t columns);
  bool is_triangle(Value* table, int64_t columns);
  bool is_all(Value* value, bool (*holds)(double));

  ConstantValues constants_;
  std::set<std::tuple<const Value*, const Value*, int64_t>> causal_;  // masks, with the source and the element of a start
};

}  // namespace intaglio::edge
