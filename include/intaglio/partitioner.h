// How a backend takes its share of a program.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include <intaglio/blob.h>
#include <intaglio/program.h>
#include <intaglio/runtime_version.h>

#pragma GCC visibility push(default)

namespace intaglio {

struct CompileSpec {
  std::string key;
  std::vector<std::byte> value;
};

// Named data of a delegate: weights, shared between delegates by key.
struct NamedData {
  std::string key;
  Blob data;
};

// One delegate: the sub-program that left the graph, and what the backend made of it.
struct Delegate {
  std::string backend_id;  // under which the runtime knows the backend
  Blob payload;
  std::vector<CompileSpec> compile_specs;
  std::vector<NamedData> named_data;
  uint64_t input_slack = 0;                  // bytes that its runtime may read behind each of its inputs
  bool inside_program = false;               // the payload stays in memory as long as the program, not until it is compiled
  RuntimeNeeds needs;                        // of its nodes
  std::string no_program;                    // why no `.pte` can hold it; "": one can
  std::unique_ptr<ExportedProgram> program;  // for `inspect` and tests; empty: the partition as it was cut out
};

// Nodes that become one delegate. Constants used only inside (weights, quantized parameters) go along.
struct Partition {
  std::vector<Node*> nodes;
  // Buffers (graph inputs) that the delegate keeps as its own state: read only by `nodes`, and given their new value by a
  // result of `nodes`. They leave the program together with the mutation.
  std::vector<Value*> owned_buffers;
};

// A partition cut out as a program of its own. Its user inputs and outputs are the delegate's arguments and results. What it
// keeps as state stands in it as mutated buffers (`OutputSpec::Kind::buffer_mutation`).
struct MethodPartition {
  std::string method;
  size_t index = 0;  // among the partitions of the method that the backend takes
  ExportedProgram program;
};

// Why a node stayed outside, for `inspect`.
struct Refusal {
  Node* node = nullptr;
  std::string rule;  // "softmax: only over the last dimension"
};

struct PartitionResult {
  std::vector<Partition> partitions;
  std::vector<Refusal> refusals;
  std::vector<Refusal> warnings;  // nodes that are taken, but run otherwise than they are written
};

class Partitioner {
 public:
  virtual ~Partitioner() = default;
  virtual std::unique_ptr<Partitioner> clone() const = 0;
  virtual std::string_view backend_id() const = 0;

  // True for ops that must reach `partition` undecomposed.
  virtual bool keeps(const ExportedProgram&, const Node&) const { return false; }
  // The same for many nodes, which come and go meanwhile: what is asked of the whole program is found once. What the program writes to
  // must stay as it is.
  virtual std::function<bool(const Node&)> keeper(const ExportedProgram& program) const {
    return [this, &program](const Node& node) { return keeps(program, node); };
  }
  // Graph rewrites in the edge dialect before partitioning (sees the whole program).
  virtual void transform(ExportedProgram&) const {}
  virtual PartitionResult partition(const ExportedProgram& program) const = 0;
  // All partitions of all methods at once, since delegates may share weights. One delegate for each, in their order.
  virtual std::vector<Delegate> preprocess(std::vector<MethodPartition> partitions) const = 0;
  // A payload of this backend as it stands in a written file; a bad-input error says what is wrong with it.
  virtual void check(std::span<const std::byte>) const {}
};

// A list that can be written in place.
class PartitionerList {
 public:
  PartitionerList() = default;
  template <typename... P>
    requires(std::is_base_of_v<Partitioner, P> && ...)
  PartitionerList(const P&... partitioners) {  // NOLINT: implicit on purpose
    (items_.push_back(partitioners.clone()), ...);
  }
  void add(std::unique_ptr<Partitioner> partitioner) { items_.push_back(std::move(partitioner)); }
  const std::vector<std::shared_ptr<Partitioner>>& items() const { return items_; }

 private:
  std::vector<std::shared_ptr<Partitioner>> items_;
};

}  // namespace intaglio

#pragma GCC visibility pop
