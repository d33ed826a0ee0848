// The graph inside a Vulkan delegate's payload, as plain structs. Numbers of the enumerations are the runtime's own.
//
// In the payload the flatbuffer (identifier VK00) stands behind a header (backends/common/payload_header.h). Constants are
// named data under the SHA-256 of their bytes, none of them inside.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <intaglio/blob.h>
#include <intaglio/dtype.h>
#include <intaglio/vulkan.h>

#include "backends/common/payload_header.h"

namespace intaglio::vulkan {

inline constexpr common::PayloadFormat payload_format = {"a Vulkan payload", "VH00", {"VK00", "VK00"}};

enum class DataType : int8_t { boolean, uint8, int8, int32, float16, float32, float64, int64, unset = 127 };
std::string_view name(DataType type);
// nullopt for a type that the runtime has not.
std::optional<DataType> data_type(DType type);

std::string_view name(StorageType storage);
std::string_view name(MemoryLayout layout);

using ValueId = int32_t;

struct VkTensor {
  DataType type = DataType::float32;
  std::vector<int64_t> dims;   // as PyTorch has them; upper bounds of symbolic sizes
  int32_t constant = -1;       // index among the graph's constants
  int32_t memory_object = -1;  // tensors of one object share memory; -1: memory of its own
  StorageType storage = StorageType::default_storage;
  MemoryLayout layout = MemoryLayout::default_layout;
  DataType staging = DataType::unset;  // as it is copied in and out
  friend bool operator==(const VkTensor&, const VkTensor&) = default;
};
struct VkNull {
  friend bool operator==(const VkNull&, const VkNull&) = default;
};
// A number that is set at run time.
struct VkSymInt {
  friend bool operator==(const VkSymInt&, const VkSymInt&) = default;
};
struct VkValueList {
  std::vector<ValueId> items;
  friend bool operator==(const VkValueList&, const VkValueList&) = default;
};
// In the order of the schema's union, which starts at 1.
using VkValue = std::variant<VkNull, int64_t, double, bool, VkTensor, std::vector<int64_t>, std::vector<double>, std::vector<bool>,
                             VkValueList, std::string, VkSymInt>;

// The result is the last argument: a tensor, or the list of all results.
struct VkCall {
  std::string op;  // "aten.add.Tensor"
  std::vector<ValueId> arguments;
  std::string origin;  // description of the program's node, for messages; the payload does not store it
};

struct VkConstant {
  std::string key;  // "" for one without bytes
  uint64_t size = 0;
  Blob data;  // payloads that are read do not have it
};

struct VkGraph {
  std::vector<VkValue> values;  // a ValueId is an index here
  std::vector<VkCall> calls;
  std::vector<ValueId> inputs;  // in the order of the delegate's arguments
  std::vector<ValueId> outputs;
  std::vector<VkConstant> constants;

  ValueId add(VkValue value) {
    values.push_back(std::move(value));
    return static_cast<ValueId>(values.size() - 1);
  }
};

// The values that a value stands for: its items, or itself.
std::vector<ValueId> tensors_in(const VkGraph& graph, ValueId id);

// One call on one line, what it reads and writes described in place.
std::string to_string(const VkGraph& graph, const VkCall& call);
// Readable and stable: the form of golden tests.
std::string to_string(const VkGraph& graph);

}  // namespace intaglio::vulkan
