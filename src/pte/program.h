// What a `.pte` file says, as plain values.
//
// The boundary between emission (fills it), the writer (bytes from it), the reader (it from bytes) and the verifier.
// Names follow ExecuTorch's program schema. FileLayout of a file, little endian:
//   1. u32 offset of the flatbuffer's root, "ET12"
//   2. extended header, when there is segment data: "eh00", u32 length 32, u64 program size (1..3 and the header),
//      u64 start of the segments, u64 bytes of all segments
//   3. the rest of the flatbuffer
//   4. segments, each aligned to 128: [0] constants (always listed, maybe empty), [1] initial state of mutable buffers
//      if any, delegate payloads, named data
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "pte/scalar_type.h"

namespace intaglio::pte {

struct Allocation {
  uint32_t memory_id = 1;  // counts from 1
  uint64_t offset = 0;
};

// The runtime's tensors have no more (kTensorDimensionLimit).
inline constexpr size_t most_dimensions = 16;

enum class ShapeDynamism : uint8_t { fixed, bounded, unbounded };

struct TensorValue {
  int8_t scalar_type = 0;
  std::vector<int32_t> sizes;  // upper bounds when not fixed
  std::vector<uint8_t> dim_order;
  int32_t storage_offset = 0;
  int8_t layout = 0;
  bool requires_grad = false;
  // Index of a constant; with an allocation, index into the mutable data instead. 0: no data.
  uint32_t data_buffer_idx = 0;
  std::optional<Allocation> allocation;
  ShapeDynamism shape_dynamism = ShapeDynamism::fixed;
  struct Extra {
    uint64_t mutable_data_segments_idx = 0;
    std::string fully_qualified_name;
    bool external = false;  // data comes from a file beside the program
  };
  std::optional<Extra> extra;
};

struct Null {};
struct IntList {
  std::vector<int64_t> items;
};  // value indices
struct DoubleList {
  std::vector<double> items;
};
struct BoolList {
  std::vector<uint8_t> items;
};
struct TensorList {
  std::vector<int32_t> items;
};  // value indices, each below the list's own
struct OptionalTensorList {
  std::vector<int32_t> items;
};  // the same, -1 for None

// Alternatives in the order of the schema's union (whose tags count from 1).
using EValue =
    std::variant<Null, int64_t, bool, double, TensorValue, std::string, IntList, DoubleList, BoolList, TensorList, OptionalTensorList>;

struct KernelCall {
  int32_t op_index = 0;
  std::vector<int32_t> args;
};
struct DelegateCall {
  int32_t delegate_index = 0;
  std::vector<int32_t> args;
};
struct MoveCall {
  int32_t move_from = 0;
  int32_t move_to = 0;
};
struct JumpFalseCall {
  int32_t cond_value_index = 0;
  int32_t destination_instruction = 0;
};
struct FreeCall {
  int32_t value_index = 0;
};
// In the order of the schema's union.
using Instruction = std::variant<KernelCall, DelegateCall, MoveCall, JumpFalseCall, FreeCall>;

struct Operator {
  std::string name;
  std::string overload;
  std::string key() const { return overload.empty() ? name : name + "." + overload; }  // "aten::add.out"
};

struct CompileSpecEntry {
  std::string key;
  std::vector<uint8_t> value;
};

struct BackendDelegate {
  std::string id;
  bool in_segment = true;
  uint32_t index = 0;  // of the segment, or of the inline data
  std::vector<CompileSpecEntry> compile_specs;
};

struct ExecutionPlan {
  std::string name;
  std::string encoded_inp_str;
  std::string encoded_out_str;
  std::vector<EValue> values;
  std::vector<int32_t> inputs;
  std::vector<int32_t> outputs;
  std::vector<std::vector<Instruction>> chains;
  std::vector<Operator> operators;
  std::vector<BackendDelegate> delegates;
  std::vector<int64_t> non_const_buffer_sizes;  // [0] is not used
};

struct DataSegment {
  uint64_t offset = 0;  // from the start of the segments
  uint64_t size = 0;
};

struct SubsegmentOffsets {
  uint32_t segment_index = 0;
  std::vector<uint64_t> offsets;  // [0] stands for "no data"
};

struct NamedData {
  std::string key;
  uint32_t segment_index = 0;
};

struct InlineData {
  uint64_t offset = 0;  // in the file
  uint64_t size = 0;
};

struct Program {
  uint32_t version = 0;
  std::vector<ExecutionPlan> execution_plan;
  std::vector<InlineData> constant_buffer;        // old files: constants inside the flatbuffer
  std::vector<InlineData> backend_delegate_data;  // payloads inside the flatbuffer
  std::vector<DataSegment> segments;
  std::optional<SubsegmentOffsets> constant_segment;
  std::vector<SubsegmentOffsets> mutable_data_segments;
  std::vector<NamedData> named_data;
};

inline constexpr uint64_t smallest_file = 64;   // bytes; the runtime refuses less
inline constexpr uint64_t header_position = 8;  // of the extended header, behind the flatbuffer's root and identifier
inline constexpr uint32_t header_size = 32;

// Sizes of the container around a program.
struct FileLayout {
  uint64_t program_size = 0;         // flatbuffer with the header
  uint64_t segment_base_offset = 0;  // 0: no segments
  uint64_t segment_data_size = 0;
};

}  // namespace intaglio::pte
