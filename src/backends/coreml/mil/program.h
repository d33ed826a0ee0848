// An ML program (MIL, Core ML's intermediate language) as plain structs. Numbers of the enumerations are the format's own.
//
// A function is one block of operations in order. An operation binds each of its inputs by name to earlier values, or to a
// literal in place (weights that are decompressed when the model is loaded, from iOS 18 on). Every other literal is the value of
// an operation `const`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "backends/coreml/mil/literal.h"

namespace intaglio::coreml {

// Of a model's specification; the operations of an opset, and those of all before it, are what it may use.
enum class Version : int32_t { ios15 = 6, ios16 = 7, ios17 = 8, ios18 = 9, ios26 = 10 };
struct VersionRow {
  Version version;
  std::string_view target;  // as users say it
  std::string_view opset;
};
inline constexpr VersionRow versions[] = {
    {Version::ios15, "iOS15", "CoreML5"}, {Version::ios16, "iOS16", "CoreML6"}, {Version::ios17, "iOS17", "CoreML7"},
    {Version::ios18, "iOS18", "CoreML8"}, {Version::ios26, "iOS26", "CoreML9"},
};
constexpr const VersionRow& row_of(Version version) { return versions[static_cast<int>(version) - static_cast<int>(Version::ios15)]; }

constexpr int64_t unknown_size = -1;  // a size that is known at run time

struct ValueType {
  DataType type = DataType::float32;
  Sizes dims;             // none: a scalar
  bool is_state = false;  // memory that stays between calls
  friend bool operator==(const ValueType&, const ValueType&) = default;
};

struct NamedType {
  std::string name;
  ValueType type;
  friend bool operator==(const NamedType&, const NamedType&) = default;
};

// Bound by the name of a value, or in place.
using Binding = std::variant<std::string, Literal>;
struct BoundInput {
  std::string parameter;
  std::vector<Binding> bindings;  // several for a list, as of `concat`
};
struct Attribute {
  std::string name;
  Literal value;
};

struct Block;
// Its own name is the attribute `name`.
struct Operation {
  std::string type;
  std::vector<BoundInput> inputs;  // parameters ascending, as attributes are
  std::vector<NamedType> outputs;
  std::vector<Attribute> attributes;
  std::vector<Block> blocks;  // of operations that choose or repeat
};

struct Block {
  std::vector<NamedType> inputs;  // of an inner one
  std::vector<Operation> operations;
  std::vector<std::string> outputs;
};

// Sizes that a dimension of an input may take: [lower, upper], no upper bound where there is none.
struct SizeRange {
  int64_t lower = 1;
  std::optional<int64_t> upper;
  friend bool operator==(const SizeRange&, const SizeRange&) = default;
};
struct Input {
  std::string name;
  ValueType type;
  std::vector<SizeRange> ranges = {};  // of every dimension, where one is unknown
  friend bool operator==(const Input&, const Input&) = default;
};

struct Function {
  std::string name;
  std::vector<Input> inputs;  // states among them
  Block body;
};

struct Program {
  Version version = Version::ios15;
  std::vector<Function> functions;  // the first is the default one
};

// The type of each of a function's outputs, in their order. A bug error for one that nothing produces.
std::vector<NamedType> outputs_of(const Function& function);

std::string to_string(const ValueType& type);  // "fp16[1,3,?,?]"
// One operation on one line; large literals by their type.
std::string to_string(const Operation& operation);
// Readable and stable: the form of golden tests.
std::string to_string(const Program& program);

}  // namespace intaglio::coreml
