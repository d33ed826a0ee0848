// Operators: interned names and their schemas.
//
// A name is `namespace.op.overload`, `aten.conv2d.default`; targets without an overload (`_operator.mul`,
// `higher_order.cond`) are kept as they are. Schemas come from a committed table (`src/ir/op_schemas.inc`) that
// a script writes from PyTorch; they are parsed at first use.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace intaglio {

enum class ArgType {
  tensor,
  optional_tensor,
  tensor_list,
  optional_tensor_list,  // Tensor, Tensor?, Tensor[], Tensor?[]
  integer,
  integer_list,  // int, SymInt and their lists
  floating,
  floating_list,
  boolean,
  boolean_list,
  scalar,
  scalar_list,
  string,
  string_list,
  scalar_type,
  memory_format,
  layout,
  device,
  other,
};

struct ArgSchema {
  std::string name;
  ArgType type = ArgType::other;
  bool optional = false;  // `?`: None is allowed
  int fixed_length = 0;   // `int[2]`: 2; a single value is repeated
  bool keyword_only = false;
  bool mutated = false;                     // `Tensor(a!)`
  bool aliased = false;                     // `Tensor(a)` or `Tensor(a!)`
  std::optional<std::string> default_text;  // as in the schema: "1", "None", "[]", "True", "0.01", "\"none\"", "contiguous_format"
};

struct ReturnSchema {
  ArgType type = ArgType::tensor;
  bool aliased = false;  // the result is a view of, or is, an argument
  bool mutated = false;
};

struct OpSchema {
  std::string name;  // "aten.conv2d.default"
  std::vector<ArgSchema> arguments;
  std::vector<ReturnSchema> returns;

  const ArgSchema* find(std::string_view argument) const;
  std::optional<size_t> index_of(std::string_view argument) const;
  bool is_inplace() const;  // some argument is mutated
  bool is_view() const;     // some return aliases an argument that is not mutated
};

// Interned; two ops are the same exactly when the handles are.
class Op {
 public:
  // Interns any name; `schema()` is null where no schema is known (higher-order ops, sym ops, pseudo ops).
  static Op get(std::string_view name);

  std::string_view name() const { return record_->name; }
  const OpSchema* schema() const { return record_->schema; }
  std::string_view name_space() const;  // "aten"
  std::string_view base() const;        // "conv2d"
  std::string_view overload() const;    // "default"
  bool is(std::string_view name) const { return record_->name == name; }

  friend bool operator==(Op a, Op b) { return a.record_ == b.record_; }
  friend bool operator<(Op a, Op b) { return a.record_->name < b.record_->name; }

  struct Record {
    std::string name;
    const OpSchema* schema = nullptr;
  };

 private:
  explicit Op(const Record* record) : record_(record) {}
  const Record* record_;
};

// Parses `aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`; a bug error on malformed text.
OpSchema parse_schema(std::string_view text);
// The table's schema of a name, or null.
const OpSchema* find_schema(std::string_view name);

}  // namespace intaglio

#pragma GCC visibility pop
