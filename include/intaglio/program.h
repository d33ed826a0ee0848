// A captured program: graph, signature, weights and calling convention, as `torch.export` defines them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include <intaglio/graph.h>

#pragma GCC visibility push(default)

namespace intaglio {

struct InputSpec {
  enum class Kind { parameter, buffer, tensor_constant, custom_object, user_input, literal_input, token };
  Kind kind = Kind::user_input;
  Value* value = nullptr;
  std::string target;      // name of the parameter, buffer or constant in the model
  bool persistent = true;  // buffers
};

struct OutputSpec {
  enum class Kind {
    user_output,
    buffer_mutation,
    parameter_mutation,
    user_input_mutation,
    token,
    loss_output,
    gradient_to_parameter,
    gradient_to_user_input,
  };
  Kind kind = Kind::user_output;
  std::string target;  // of mutations and gradients
};

// A tree of containers (torch's pytree). Leaves have an empty type.
struct TreeSpec {
  std::string type;               // "builtins.tuple", "builtins.dict", "collections.namedtuple", ...; "" for a leaf
  std::string context_json;       // JSON text of the context field, kept as it was
  std::vector<std::string> keys;  // of dicts, in insertion order
  std::vector<TreeSpec> children;

  bool is_leaf() const { return type.empty(); }
  size_t leaf_count() const;
};
// Torch's JSON form `[1, {...}]` and back; bad input on anything else. Depth is limited.
TreeSpec parse_tree_spec(std::string_view json);
std::string to_json(const TreeSpec& spec);

// One named tensor of the state: a parameter, buffer or constant.
struct StateEntry {
  Tensor tensor;
  bool is_parameter = false;
  bool requires_grad = false;
};

// Insertion-ordered map from fully qualified name to tensor.
class State {
 public:
  const StateEntry* find(std::string_view name) const;
  StateEntry* find(std::string_view name);
  void set(const std::string& name, StateEntry entry);  // keeps the place of an existing name
  const std::vector<std::pair<std::string, StateEntry>>& entries() const { return entries_; }
  bool contains(std::string_view name) const { return find(name) != nullptr; }

 private:
  std::vector<std::pair<std::string, StateEntry>> entries_;
  std::map<std::string, size_t, std::less<>> index_;
};

class ExportedProgram {
 public:
  ExportedProgram() : graph_(std::make_unique<Graph>()) {}
  ExportedProgram(ExportedProgram&&) noexcept = default;
  ExportedProgram& operator=(ExportedProgram&&) noexcept = default;
  ExportedProgram clone() const;  // weights are shared

  Graph& graph() { return *graph_; }
  const Graph& graph() const { return *graph_; }

  std::vector<InputSpec> input_specs;    // one for each graph input, in order
  std::vector<OutputSpec> output_specs;  // one for each graph output, in order

  State state;      // parameters and persistent buffers
  State constants;  // other buffers and lifted constants

  SymRanges range_constraints;
  TreeSpec in_spec;  // tuple(args tuple, kwargs dict)
  TreeSpec out_spec;

  std::string source;        // the file it came from, for messages
  std::string weights_file;  // what replaced its weights (intaglio/weights.h), empty where nothing did
  std::string files() const { return weights_file.empty() ? source : source + " with the weights of " + weights_file; }
  // What the reader does not understand, kept for the writer: place ("", "graph_module", ...) to field to JSON text.
  std::map<std::string, std::map<std::string, std::string>> carried;
  // Files of the archive that the reader does not look into but keeps for the writer (extra files), by name below the root.
  std::map<std::string, std::shared_ptr<Storage>> carried_files;
  // Files of the archive that no writer repeats, by name below the root: sample inputs and whatever else may be a pickle or
  // code, which PyTorch would run when it loads them.
  std::vector<std::string> left_out_files;

  // ---- questions
  const InputSpec* spec_of(const Value* input) const;  // null when not a graph input
  bool is_constant(const Value* value) const;          // a parameter, buffer or constant that nothing mutates
  // The tensor behind a parameter, buffer or constant input; null for anything else.
  const Tensor* constant(const Value* value) const;
  const std::string* target_of(const Value* value) const;
  std::vector<Value*> user_inputs() const;  // user_input specs only, in order
  std::vector<Argument> user_outputs() const;
  // The first of prefix0, prefix1, ..., from that number on, which is no tensor's target.
  std::string free_target(std::string_view prefix, size_t number = 0);
  // True if an in-place op or a mutation output writes to this input.
  bool is_mutated(const Value* value) const;

  // ---- mutation; graph inputs and specs stay aligned
  // A new persistent buffer, placed after the existing buffers, before constants and user inputs.
  // `target` is made unique by counting up when taken.
  Value* add_buffer(std::string target, Tensor tensor);
  Value* add_parameter(std::string target, Tensor tensor);
  // A lifted constant that is not in the state dict.
  Value* add_constant(std::string target, Tensor tensor);
  // Replaces the data of a constant input (dtype and sizes of the value follow).
  void set_constant(Value* value, Tensor tensor);
  // Calls `work`, which adds many of them: until it returns what it adds stands behind all other inputs, then each comes to its place.
  // Alone, each would move all inputs behind its own. Where `work` throws the program is left as it is then, and to be dropped.
  void add_at_once(const std::function<void()>& work);
  // Drops parameters, buffers and constants that nothing uses, from graph, signature and state.
  size_t remove_unused_constants();

 private:
  Value* add_state_input(InputSpec::Kind kind, std::string target, Tensor tensor);
  void place_inputs(const std::unordered_set<const Value*>& added);
  std::unique_ptr<Graph> graph_;
  std::optional<std::unordered_set<const Value*>> added_;  // within `add_at_once`
  std::map<std::string, size_t> counted_;                  // by first target: those from there to this number are taken
};

std::string to_string(const ExportedProgram& program);
// Graph invariants, alignment of specs, presence and type of every state tensor.
void verify(const ExportedProgram& program);

}  // namespace intaglio

#pragma GCC visibility pop
