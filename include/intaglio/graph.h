// The program as a graph: nodes in topological order, values between them.
//
// Everything is owned by its Graph and referred to by plain pointers, valid until the node or graph is erased.
// Mutation goes through Graph, so that use lists are always right. `verify` checks every invariant.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <intaglio/op.h>
#include <intaglio/sym.h>
#include <intaglio/tensor.h>

#pragma GCC visibility push(default)

namespace intaglio {

class Graph;
class Node;
class Value;

enum class MemoryFormat : uint8_t { unknown, contiguous, channels_last, channels_last_3d, preserve };
enum class Layout : uint8_t { unknown, sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc, mkldnn, strided };

struct Device {
  std::string type = "cpu";
  std::optional<int64_t> index;
  friend bool operator==(const Device&, const Device&) = default;
};

// What is known of a tensor before it exists.
struct TensorMeta {
  DType dtype = DType::float32;
  SymSizes sizes;
  SymSizes strides;
  SymInt storage_offset = 0;
  bool requires_grad = false;
  Device device;
  Layout layout = Layout::strided;

  static TensorMeta contiguous(DType dtype, SymSizes sizes);
  int64_t rank() const { return static_cast<int64_t>(sizes.size()); }
  bool is_static() const;      // no symbolic size
  Sizes static_sizes() const;  // bug error when symbolic
  // Dims by stride descending (symbolic strides by their hints), ties in original order.
  std::vector<uint8_t> dim_order() const;
};

enum class ValueKind : uint8_t {
  tensor,
  sym_int,
  sym_float,
  sym_bool,
  custom_object,
  none,     // an optional result that is absent
  literal,  // a graph input that the export fixed to a constant (bool, string, None, ...)
};

// The nodes that use a value. However many there are, one comes and goes at the same cost, and the others keep their order.
class UserList {
 public:
  class iterator {
   public:
    using value_type = Node*;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::forward_iterator_tag;
    using pointer = Node* const*;
    using reference = Node* const&;
    iterator() = default;
    Node* const& operator*() const { return list_->uses_[place_].node; }
    iterator& operator++() {
      place_ = list_->used_from(place_ + 1);
      return *this;
    }
    iterator operator++(int) {
      iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const iterator&, const iterator&) = default;

   private:
    friend class UserList;
    iterator(const UserList* list, size_t place) : list_(list), place_(place) {}
    const UserList* list_ = nullptr;
    size_t place_ = 0;
  };

  iterator begin() const { return {this, first_}; }
  iterator end() const { return {this, uses_.size()}; }
  size_t size() const { return uses_.size() - gaps_; }
  bool empty() const { return size() == 0; }
  Node* front() const { return uses_[first_].node; }
  // A copy, which stays as it is while the uses change.
  operator std::vector<Node*>() const { return {begin(), end()}; }  // NOLINT

 private:
  friend class Graph;
  struct Use {
    Node* node = nullptr;  // null where one has gone
    size_t count = 0;      // how often the node names the value
  };
  size_t used_from(size_t place) const {
    while (place < uses_.size() && uses_[place].node == nullptr) ++place;
    return place;
  }
  size_t find(const Node* node) const;  // uses_.size() when it is not there
  void add(Node* node, size_t count);
  void remove(const Node* node, size_t count);
  void close_gaps();

  std::vector<Use> uses_;
  size_t first_ = 0;  // the first one that is no gap
  size_t gaps_ = 0;
  std::unique_ptr<std::unordered_map<const Node*, size_t>> places_;  // of long lists
};

// A bug error: a number stands where a tensor is needed. Rules of operators make one of the model of it (src/ir/at_node.h).
class NotATensor : public Error {
 public:
  explicit NotATensor(const std::string& message) : Error(ErrorKind::bug, message) {}
};

class Value {
 public:
  const std::string& name() const { return name_; }
  ValueKind kind() const { return kind_; }
  bool is_tensor() const { return kind_ == ValueKind::tensor; }

  // Null for graph inputs.
  Node* producer() const { return producer_; }
  size_t output_index() const { return output_index_; }

  // Tensor values only (NotATensor otherwise).
  const TensorMeta& meta() const;
  TensorMeta& meta();
  DType dtype() const { return meta().dtype; }
  const SymSizes& sizes() const { return meta().sizes; }

  // The expression of a sym_int value, where the archive gives one.
  std::optional<SymInt> sym;
  std::string class_fqn;  // custom_object

  // Distinct users, ordered by when they first used the value; the output node counts.
  const UserList& users() const { return users_; }
  bool has_one_user() const { return users_.size() == 1; }

 private:
  friend class Graph;
  std::string name_;
  ValueKind kind_ = ValueKind::tensor;
  Node* producer_ = nullptr;
  size_t output_index_ = 0;
  TensorMeta meta_;
  UserList users_;
};

using SymArg = std::variant<int64_t, double, bool, Value*>;

struct CustomObject {
  std::string name;
  std::string class_fqn;
};
struct OpName {
  std::string target;
};
// A sub-graph argument of a higher-order op; its names have a scope of their own.
struct Subgraph {
  std::string name;
  std::unique_ptr<Graph> graph;
};
class Argument;
using ArgumentMap = std::vector<std::pair<std::string, Argument>>;

// Mirrors the archive's argument union. A single tensor or symbol is a Value*; a list of tensors may hold nulls
// (Tensor?[]); a list mixing numbers and symbols is a vector<SymArg>. Python's int and float stay distinct.
class Argument
    : public std::variant<std::monostate, Value*, std::vector<Value*>, std::vector<std::vector<Value*>>, int64_t, std::vector<int64_t>,
                          double, std::vector<double>, bool, std::vector<bool>, std::string, std::vector<std::string>, std::vector<SymArg>,
                          DType, MemoryFormat, Layout, Device, std::shared_ptr<Subgraph>, CustomObject, OpName, std::complex<double>,
                          std::vector<std::vector<int64_t>>, std::vector<std::vector<double>>, std::shared_ptr<ArgumentMap>> {
 public:
  using variant::variant;
  Argument(int value) : variant(int64_t{value}) {}            // NOLINT
  Argument(const char* text) : variant(std::string(text)) {}  // NOLINT

  bool is_none() const { return std::holds_alternative<std::monostate>(*this); }
  template <typename T>
  const T* get_if() const {
    return std::get_if<T>(static_cast<const variant*>(this));
  }
  template <typename T>
  T* get_if() {
    return std::get_if<T>(static_cast<variant*>(this));
  }
  template <typename T>
  bool is() const {
    return get_if<T>() != nullptr;
  }
};

// Values an argument refers to, in order, nulls skipped; sub-graph bodies are closed and refer to none.
std::vector<Value*> values_in(const Argument& argument);

enum class ArgKind : uint8_t { unknown, positional, keyword };

struct NamedArgument {
  std::string name;  // the schema's argument name; empty for positional arguments of higher-order ops
  Argument value;
  ArgKind kind = ArgKind::positional;
};

class Node {
 public:
  Op op() const { return op_; }
  bool is(std::string_view op_name) const { return op_.is(op_name); }
  // The exporter's node name; equals the output's name for single outputs.
  const std::string& name() const { return name_; }
  Graph& graph() const { return *graph_; }

  // As written: defaults are omitted.
  const std::vector<NamedArgument>& arguments() const { return arguments_; }
  // The written argument, or null.
  const Argument* find(std::string_view argument) const;
  // The written argument or the schema's default; an unsupported error naming the node when there is neither.
  Argument argument(std::string_view argument) const;
  // Typed reads of argument(); a number where a list is expected is repeated to the schema's fixed length.
  // They throw `unsupported` naming the node, its layer and the argument when the type does not fit.
  Value* tensor(std::string_view argument) const;           // never null
  Value* optional_tensor(std::string_view argument) const;  // null for None
  List<Value*> tensors(std::string_view argument) const;
  int64_t integer(std::string_view argument) const;
  std::optional<int64_t> optional_integer(std::string_view argument) const;
  List<int64_t> integers(std::string_view argument) const;
  double number(std::string_view argument) const;  // int, float or bool
  std::optional<double> optional_number(std::string_view argument) const;
  bool boolean(std::string_view argument) const;
  std::string string(std::string_view argument) const;
  std::optional<DType> optional_dtype(std::string_view argument) const;

  // All results, flat. `list_outputs` says for each schema return whether it is a list and how many it holds.
  const std::vector<Value*>& outputs() const { return outputs_; }
  Value* output(size_t index = 0) const;
  struct OutputGroup {
    bool is_list = false;
    size_t count = 1;
  };
  const std::vector<OutputGroup>& output_groups() const { return output_groups_; }

  // Distinct values the arguments refer to, in order of first use.
  std::vector<Value*> inputs() const;

  // Opaque strings of the archive: stack_trace, nn_module_stack, source_fn_stack, torch_fn, custom, from_node.
  std::map<std::string, std::string> metadata;
  // Unknown fields of the archive's node object: name to JSON text.
  std::map<std::string, std::string> carried;

 private:
  friend class Graph;
  explicit Node(Op op) : op_(op) {}
  Op op_;
  std::string name_;
  Graph* graph_ = nullptr;
  std::vector<NamedArgument> arguments_;
  std::vector<Value*> outputs_;
  std::vector<OutputGroup> output_groups_;
  size_t named_values_ = 0;  // in the arguments, each as often as it is named
  size_t maps_ = 0;          // among the arguments
  // Of a node that names many: where each value stands in the arguments. Made when it is first asked for.
  std::unique_ptr<std::unordered_map<const Value*, std::vector<Value**>>> slots_;
  std::list<std::unique_ptr<Node>>::iterator position_;
  bool in_list_ = false;
};

// One entry of `nn_module_stack`, outermost first.
struct ModuleScope {
  std::string path;  // fully qualified name, "" for the root; `L['self'].` is stripped
  std::string type;  // "torch.nn.modules.conv.Conv2d"
};
// Empty when absent or not in the exporter's form.
std::vector<ModuleScope> module_stack(const Node& node);
// The innermost module path, "" without one: the layer's name in messages and reports.
std::string layer_name(const Node& node);
// `file.py:12`, the innermost line of the user's model in the stack trace, or "".
std::string source_line(const Node& node);
// `aten.conv2d.default at layer 'features.0' (model.py:31)`: how messages name a node.
std::string describe(const Node& node);

// Description of one result of a new node.
struct OutputSpecification {
  TensorMeta meta;
  std::string name;  // empty: derived from the op
  ValueKind kind = ValueKind::tensor;
  std::optional<SymInt> sym;
  std::string class_fqn;
};

class Graph {
 public:
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // Deep copy, sub-graphs included; `mapping`, when given, receives old value -> new value, `nodes` old -> new node.
  std::unique_ptr<Graph> clone(std::unordered_map<const Value*, Value*>* mapping = nullptr,
                               std::unordered_map<const Node*, Node*>* nodes = nullptr) const;

  // ---- reading
  const std::vector<Value*>& inputs() const { return inputs_; }
  // Literals among the inputs keep their constant here.
  const Argument* literal_of(const Value* input) const;
  // Results of the graph; values or constants.
  std::vector<Argument> outputs() const;
  Node& output_node() const { return *output_node_; }

  // The nodes in order. Taking a snapshot first (`node_list`) makes it safe to insert and to erase the current node.
  std::vector<Node*> node_list() const;
  size_t size() const { return nodes_.size(); }
  bool has_in_place_nodes() const { return in_place_nodes_ > 0; }
  Value* find_value(std::string_view name) const;
  Node* next(const Node* node) const;      // null at the end
  Node* previous(const Node* node) const;  // null at the start

  // ---- mutation
  // Inserted before the input at `position` (append: inputs().size()); `name` is made unique.
  Value* add_input(size_t position, OutputSpecification value, std::optional<Argument> literal = std::nullopt);
  void erase_inputs(const std::vector<Value*>& inputs);  // bug error while one has users
  void order_inputs(std::vector<Value*> inputs);         // the same in another order

  // New node before `position`, or at the end when null. Names are made unique. The arguments must refer to values of
  // this graph. `groups` empty: every output is a plain return, or one list when the schema returns one list.
  Node& insert_before(Node* position, Op op, std::vector<NamedArgument> arguments, std::vector<OutputSpecification> outputs,
                      std::string name = "", std::vector<Node::OutputGroup> groups = {});
  Node& insert_after(Node* position, Op op, std::vector<NamedArgument> arguments, std::vector<OutputSpecification> outputs,
                     std::string name = "", std::vector<Node::OutputGroup> groups = {});

  // Replaces the named argument, or adds it (in schema order) when absent.
  void set_argument(Node& node, std::string_view argument, Argument value);
  void set_arguments(Node& node, std::vector<NamedArgument> arguments);
  void set_op(Node& node, Op op);
  void set_outputs(std::vector<Argument> outputs);  // of the graph

  void replace_all_uses(Value* from, Value* to);
  // Uses by nodes for which `which` holds.
  template <typename Predicate>
  void replace_uses_if(Value* from, Value* to, Predicate which) {
    const std::vector<Node*> users = from->users();
    for (Node* user : users)
      if (which(*user)) replace_uses_in(*user, from, to);
  }
  void replace_uses_in(Node& user, Value* from, Value* to);

  void rename(Value* value, std::string name);  // made unique
  void erase(Node* node);                       // bug error while a result has users
  void move_before(Node* node, Node* position);
  // Erases nodes whose results nobody uses and that have no side effect (in-place ops, asserts and
  // higher-order ops stay). Returns how many went.
  size_t eliminate_dead_code();

  std::string unique_name(std::string_view hint) const;

  // Unknown fields of the archive's graph object: name to JSON text.
  std::map<std::string, std::string> carried;
  bool is_single_tensor_return = false;

 private:
  Value* new_value(OutputSpecification spec, std::string_view fallback_name);
  void link(Node& node, const Argument& argument);
  void unlink(Node& node, const Argument& argument);
  void index_slots(Node& node);

  std::list<std::unique_ptr<Node>> nodes_;
  size_t in_place_nodes_ = 0;
  std::unique_ptr<Node> output_node_;
  std::vector<Value*> inputs_;
  std::unordered_map<const Value*, Argument> literals_;
  std::unordered_map<const Value*, std::unique_ptr<Value>> values_;
  std::unordered_map<std::string, Value*> by_name_;
  std::unordered_set<std::string> node_names_;
  mutable std::unordered_map<std::string, size_t> name_counters_;
};

// Readable, stable text of a graph: the form of golden tests.
std::string to_string(const Graph& graph);
std::string to_string(const Node& node);
std::string to_string(const Argument& argument);
std::string to_string(const TensorMeta& meta);  // f32[1, 3, 224, 224]

// Checks use lists, order, names, argument names against schemas, dtypes; throws Error(bug) naming the first violation.
// `kind` lets a reader report the same finding as bad input.
void verify(const Graph& graph);

}  // namespace intaglio

#pragma GCC visibility pop
