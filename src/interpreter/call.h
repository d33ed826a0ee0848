// One node being run: its arguments by name, with symbols resolved, and a place for its results.
//
// Shapes are those of the actual operands, never of the graph's metadata; what a kernel finds not to fit is reported
// through `fail`, which names the node, its layer and line.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <intaglio/graph.h>

#include "interpreter/fusion.h"
#include "interpreter/pool.h"

namespace intaglio::interp {

// A number as Python has it.
class Number {
 public:
  enum class Kind : uint8_t { boolean, integer, floating };
  Number(bool value) : kind_(Kind::boolean), integer_(value), floating_(value) {}                          // NOLINT
  Number(int64_t value) : kind_(Kind::integer), integer_(value), floating_(static_cast<double>(value)) {}  // NOLINT
  Number(double value);                                                                                    // NOLINT
  Kind kind() const { return kind_; }
  double as_double() const { return floating_; }
  int64_t as_int() const { return integer_; }  // floats truncate

 private:
  Kind kind_;
  int64_t integer_;
  double floating_;
};

using RuntimeValue = std::variant<std::monostate, Tensor, Number>;

// What a node keeps from run to run: primitives, reordered weights.
struct NodeState {
  virtual ~NodeState() = default;
};

// Shared by all nodes of a run.
struct Context {
  Pool& pool;
  int threads = 1;
  // Some node writes in place, so results must not share memory unless PyTorch's do.
  bool has_in_place = false;
  // By place: values that are the same in every run; null when nothing is known.
  const std::vector<bool>* constants = nullptr;
  bool keep_packed_weights = true;
};

// One argument of a node, prepared once. `slots` are the places of the values it refers to, -1 for an absent one.
struct BoundArgument {
  enum class Form : uint8_t { literal, value, values, mixed };
  std::string_view name;
  int fixed_length = 0;
  Form form = Form::literal;
  Argument literal;  // of form literal; of form mixed the list itself
  std::vector<int32_t> slots;
};

class Call {
 public:
  Call(const Node& node, const std::vector<BoundArgument>& arguments, std::vector<RuntimeValue>& values,
       const std::vector<int32_t>& outputs, Context& context, std::unique_ptr<NodeState>& state)
      : node_(node), arguments_(arguments), values_(values), outputs_(outputs), context_(context), state_(state) {}

  const Node& node() const { return node_; }
  Context& context() const { return context_; }
  int threads() const { return context_.threads; }

  // Arguments. A missing one, or one of another type, is an error that names the node.
  bool has(std::string_view name) const;  // given and not None
  // The argument is the same in every run, so what is derived from it may be kept; never true where nothing is to be kept.
  bool is_constant(std::string_view name) const;
  bool is_constant(size_t position) const;
  const Tensor& tensor(std::string_view name) const;
  const Tensor* optional_tensor(std::string_view name) const;
  std::vector<const Tensor*> tensors(std::string_view name) const;  // null for None
  std::variant<Tensor, Number> tensor_or_number(std::string_view name) const;
  Number number(std::string_view name) const;
  std::optional<Number> optional_number(std::string_view name) const;
  double floating(std::string_view name) const { return number(name).as_double(); }
  int64_t integer(std::string_view name) const;
  std::optional<int64_t> optional_integer(std::string_view name) const;
  std::vector<int64_t> integers(std::string_view name) const;
  std::vector<bool> booleans(std::string_view name) const;
  std::optional<std::vector<int64_t>> optional_integers(std::string_view name) const;
  std::vector<double> floatings(std::string_view name) const;
  bool boolean(std::string_view name) const { return number(name).as_int() != 0; }
  std::string string(std::string_view name) const;
  bool is_dtype(std::string_view name) const;
  std::optional<DType> optional_dtype(std::string_view name) const;
  MemoryFormat memory_format(std::string_view name) const;  // unknown when absent
  // By position, for targets without a schema.
  size_t argument_count() const { return arguments_.size(); }
  const Argument* literal(size_t position) const;
  RuntimeValue value(size_t position) const;
  std::vector<RuntimeValue> values(size_t position) const;

  // A dimension argument made non-negative for a tensor of this rank (rank 0 counts as 1).
  int64_t dimension(std::string_view name, int64_t rank) const;
  int64_t wrap_dimension(int64_t dim, int64_t rank) const;

  // Results.
  size_t result_count() const { return outputs_.size(); }
  void set(RuntimeValue value, size_t index = 0);
  void set_all(std::vector<Tensor> tensors);
  Tensor empty(DType dtype, Sizes sizes, Sizes strides = {}) const {
    return context_.pool.empty(dtype, std::move(sizes), std::move(strides));
  }
  // The tensor itself where it lies so.
  Tensor channels_last(const Tensor& tensor) const;
  // Where an in-place form wants the result; null otherwise.
  const Tensor* destination() const { return destination_; }
  void set_destination(const Tensor* tensor) { destination_ = tensor; }

  // What is fused behind a convolution or linear layer, or null.
  const Epilogue* epilogue() const { return epilogue_; }
  void set_epilogue(const Epilogue* epilogue) { epilogue_ = epilogue; }

  template <typename T>
  T& state() const {
    if (!state_) state_ = std::make_unique<T>();
    return static_cast<T&>(*state_);
  }

  // A number that tells apart the rows of the kernel table which share a function.
  int variant() const { return variant_; }
  void set_variant(int variant) { variant_ = variant; }

  [[noreturn]] void fail(const std::string& message) const;         // the file is at fault
  [[noreturn]] void unsupported(const std::string& message) const;  // we are
  void require(bool condition, const char* message) const {
    if (!condition) fail(message);
  }

 private:
  bool is_constant(const BoundArgument& argument) const;
  const BoundArgument* find(std::string_view name) const;
  const BoundArgument& at(std::string_view name) const;
  const RuntimeValue& slot(const BoundArgument& argument, size_t index = 0) const;
  Number number_in(const BoundArgument& argument) const;

  const Node& node_;
  const std::vector<BoundArgument>& arguments_;
  std::vector<RuntimeValue>& values_;
  const std::vector<int32_t>& outputs_;
  Context& context_;
  std::unique_ptr<NodeState>& state_;
  const Tensor* destination_ = nullptr;
  const Epilogue* epilogue_ = nullptr;
  int variant_ = 0;
};

// First element of a tensor's memory for writing, whoever shares it: only for tensors the interpreter made or may
// write through (bug error on mapped memory).
std::byte* writable_bytes(const Tensor& tensor);
template <typename T>
T* writable(const Tensor& tensor) {
  return reinterpret_cast<T*>(writable_bytes(tensor));
}

}  // namespace intaglio::interp
