// Cuts delegates out of a program.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <intaglio/partitioner.h>

#include "edge/symbol_ranges.h"
#include "ir/result_places.h"

namespace intaglio::edge {

constexpr std::string_view delegate_call = "executorch_call_delegate";

// What is asked of the whole program for each of its partitions, found once for all of them. Cutting them out does not change it.
class WholeProgram {
 public:
  explicit WholeProgram(const ExportedProgram& program);
  bool is_constant(const Value* value) const { return program_.constant(value) != nullptr && !mutated_.contains(value); }
  // Its place in the signature.
  size_t place_of(const Value* input) const { return places_.at(input); }
  // What the program gives back, before anything is cut out of it.
  const ResultPlaces& results() const { return results_; }
  // Of the symbols in the nodes' sizes, alone and in expressions.
  SymRanges ranges_of(const std::vector<Node*>& nodes) const { return ranges_.of(nodes); }

 private:
  const ExportedProgram& program_;
  std::unordered_set<const Value*> mutated_;
  ResultPlaces results_;
  std::unordered_map<const Value*, size_t> places_;
  SymbolRanges ranges_;
};

// Moves nodes so that those of each partition stand together, and brings each partition's list into that order.
// A bug error when partitions overlap, are not convex, or own a buffer that others use.
void arrange_partitions(ExportedProgram& program, std::vector<Partition>& partitions);

// An arranged partition as a program of its own: same names, the constants it uses as its constants in the order that they had, the buffers
// it owns as its mutated buffers, other values from outside as user inputs in the order of their first use, results used outside as user
// outputs in the order they are computed. The program it comes from is not changed.
ExportedProgram extract_partition(const ExportedProgram& program, const WholeProgram& whole, const Partition& partition);

// Mutations of the buffers that the partitions own leave the program: they are the delegates' business from here on.
void drop_owned_results(ExportedProgram& program, const std::vector<Partition>& partitions);

// Puts one call node in the place of an arranged partition: op `executorch_call_delegate`, first argument "delegate" the
// given index, then the inputs. Mutations of owned buffers have left the program by then.
void cut_partition(ExportedProgram& program, const WholeProgram& whole, const Partition& partition, size_t delegate);

}  // namespace intaglio::edge
