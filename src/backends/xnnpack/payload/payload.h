// The graph inside an XNNPACK delegate's payload, as plain structs.
//
// Lowering builds it, the passes rewrite it, the writer turns it into bytes and the reader gives it back from bytes.
// Numbers of data types and node kinds are the runtime's own. A payload is laid out as
//   0  u32 zero        4  "XH00"              8  u16 header size (30)
//  10  u32 flatbuffer offset                 14  u32 flatbuffer size
//  18  u32 constant data offset              22  u64 constant data size
// followed by the flatbuffer (identifier XN01, padded to 16) and constant data (named data holds all constants but those
// that `write_payload` is asked to keep inside).
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <intaglio/runtime_version.h>
#include <intaglio/tensor.h>

namespace intaglio::xnnpack {

enum class DataType : int16_t {
  invalid,
  fp32,
  fp16,
  qint8,
  quint8,
  qint32,
  qcint8,
  qcint32,
  qcint4,
  qdint8,
  qbint4,
  qpint8,
  int32,
  pfp32,
  bf16,
};
std::string_view name(DataType type);
bool is_quantized(DataType type);

struct PerTensor {
  float scale = 0;
  int32_t zero_point = 0;
  friend bool operator==(const PerTensor&, const PerTensor&) = default;
};
struct PerChannel {
  std::vector<float> scale;
  int32_t channel_dim = 0;
  friend bool operator==(const PerChannel&, const PerChannel&) = default;
};
// Dynamic activations: parameters per row, found at run time.
struct PerToken {
  int32_t num_nonbatch_dims = 1;
  friend bool operator==(const PerToken&, const PerToken&) = default;
};
// 4-bit weights: a bfloat16 scale for each group of a row. Payloads that are read do not have them.
struct PerGroup {
  Tensor scale;  // [channels, elements / group_size]
  int32_t channel_dim = 0;
  int32_t group_size = 0;
  friend bool operator==(const PerGroup&, const PerGroup&);
};
using Quantization = std::variant<std::monostate, PerTensor, PerChannel, PerToken, PerGroup>;

// How the dimensions of a rank-4 value lie in memory. Values of other ranks are always `nchw`: as the program has them.
enum class ImageLayout : uint8_t { nchw, nhwc };

using ValueId = uint32_t;
inline constexpr ValueId invalid_id = std::numeric_limits<uint32_t>::max();
inline constexpr int max_rank = 6;
inline constexpr int64_t max_size = std::numeric_limits<int32_t>::max();  // of a dimension: the runtime's sizes are int32
inline constexpr uint32_t max_externals = 4096;

struct PayloadValue {
  enum class Role : uint8_t { internal, constant, input, output };
  std::string name;  // of the program's value, for messages; the payload does not store it
  DataType type = DataType::fp32;
  std::vector<int64_t> dims;  // upper bounds of symbolic sizes
  Quantization quantization;
  Role role = Role::internal;
  uint32_t external_id = invalid_id;  // inputs and outputs: the delegate's argument
  ImageLayout layout = ImageLayout::nchw;
  bool dynamic = false;  // a size is symbolic; `dims` has its upper bound
  Tensor data;           // constants: bytes as the payload stores them
  std::string data_key;  // of a payload that was read: the constant's key

  bool is_constant() const { return role == Role::constant; }
  bool is_external() const { return role == Role::input || role == Role::output; }
};

// Numbered as the schema's union. BatchNorm exists only between lowering and its folding.
enum class NodeKind : uint8_t {
  none,
  Add,
  FullyConnected,
  Softmax,
  Sigmoid,
  StaticTranspose,
  Clamp,
  Conv2d,
  Div,
  StaticResizeBilinear2D,
  StaticConstantPad,
  AvgPooling2d,
  Minimum,
  DepthwiseConv2d,
  MaxPooling2d,
  Multiply,
  Subtract,
  Floor,
  Convert,
  GlobalAvgPooling2d,
  StaticReshape,
  ArgMaxPooling2d,
  SquareRoot,
  Ceiling,
  Hardswish,
  LeakyReLU,
  Maximum,
  Negate,
  Square,
  ELU,
  Abs,
  PReLU,
  Concatenate2,
  Concatenate3,
  Concatenate4,
  StaticSlice,
  ScaledDotProductAttention,
  BatchMatrixMultiply,
  Concatenate5,
  ConvTranspose2d,
  ReciprocalSquareRoot,
  Log,
  Gelu,
  Tanh,
  Exp,
  Sin,
  Copy,
  Cos,
  BatchNorm,
};
inline constexpr int last_node_kind = static_cast<int>(NodeKind::Cos);

// The shape of a node's table in the payload.
enum class NodeForm : uint8_t {
  unsupported,
  unary,
  binary,
  concatenate,
  convolution,
  pooling,
  fully_connected,
  transpose,
  reshape,
  slice,
  pad,
  resize,
  elu,
  leaky_relu,
};
// What the two layouts of images mean to a node.
enum class LayoutNeed : uint8_t { any, nhwc, nchw };

// Whether it takes int8 in and out; where bytes are moved, the numbers behind them must mean the same on both sides.
enum class NodeInt8 : uint8_t { none, computes, moves };

struct NodeKindInfo {
  std::string_view name;
  NodeForm form;
  uint8_t inputs;  // a convolution's or linear's bias may be absent
  LayoutNeed layout;
  NodeInt8 int8;
  bool clamps_output;  // the runtime applies output_min_max
  RuntimeVersion since = oldest_runtime;
};
const NodeKindInfo& info(NodeKind kind);

struct ConvolutionAttributes {
  uint32_t padding_top = 0, padding_right = 0, padding_bottom = 0, padding_left = 0;
  uint32_t kernel_height = 1, kernel_width = 1;
  uint32_t subsampling_height = 1, subsampling_width = 1;
  uint32_t dilation_height = 1, dilation_width = 1;
  uint32_t group_input_channels = 0, group_output_channels = 0, groups = 1;
  uint32_t adjustment_height = 0, adjustment_width = 0;
  friend bool operator==(const ConvolutionAttributes&, const ConvolutionAttributes&) = default;
};
struct PoolingAttributes {
  uint32_t padding_top = 0, padding_right = 0, padding_bottom = 0, padding_left = 0;
  uint32_t pooling_height = 1, pooling_width = 1;
  uint32_t stride_height = 1, stride_width = 1;
  uint32_t dilation_height = 0, dilation_width = 0;
  friend bool operator==(const PoolingAttributes&, const PoolingAttributes&) = default;
};
// Per dimension: a transpose's permutation, a reshape's sizes (0: inferred).
struct DimsAttributes {
  std::vector<uint32_t> dims;
  friend bool operator==(const DimsAttributes&, const DimsAttributes&) = default;
};
struct SliceAttributes {
  std::vector<uint32_t> offsets, sizes;
  friend bool operator==(const SliceAttributes&, const SliceAttributes&) = default;
};
struct PadAttributes {
  std::vector<uint32_t> pre, post;
  float value = 0;
  friend bool operator==(const PadAttributes&, const PadAttributes&) = default;
};
struct ResizeAttributes {
  uint32_t new_height = 0, new_width = 0;
  friend bool operator==(const ResizeAttributes&, const ResizeAttributes&) = default;
};
struct ConcatenateAttributes {
  uint32_t axis = 0;
  friend bool operator==(const ConcatenateAttributes&, const ConcatenateAttributes&) = default;
};
// ELU's alpha, LeakyReLU's slope, BatchNorm's epsilon.
struct ScalarAttributes {
  float value = 0;
  friend bool operator==(const ScalarAttributes&, const ScalarAttributes&) = default;
};
using Attributes = std::variant<std::monostate, ConvolutionAttributes, PoolingAttributes, DimsAttributes, SliceAttributes, PadAttributes,
                                ResizeAttributes, ConcatenateAttributes, ScalarAttributes>;

namespace flags {
// FullyConnected: weights are [in, out]; BatchMatrixMultiply: the second operand is [..., out, in].
inline constexpr uint32_t transpose_weights = 1;
inline constexpr uint32_t align_corners = 8;  // StaticResizeBilinear2D
inline constexpr uint32_t keep_dims = 64;     // pooling and GlobalAvgPooling2d
}  // namespace flags

struct PayloadNode {
  NodeKind kind = NodeKind::none;
  std::vector<ValueId> inputs;  // bias of a convolution or linear: invalid_id when absent
  ValueId output = invalid_id;
  Attributes attributes;
  uint32_t flags = 0;
  float output_min = -std::numeric_limits<float>::infinity();
  float output_max = std::numeric_limits<float>::infinity();
  uint32_t debug_handle = 65535;
  std::string origin;  // description of the program's node, for messages

  template <typename T>
  T& get() {
    return std::get<T>(attributes);
  }
  template <typename T>
  const T& get() const {
    return std::get<T>(attributes);
  }
  bool clamps() const {
    return output_min != -std::numeric_limits<float>::infinity() || output_max != std::numeric_limits<float>::infinity();
  }
};

struct PayloadGraph {
  std::vector<PayloadValue> values;  // a ValueId is an index here
  std::vector<PayloadNode> nodes;
  std::vector<ValueId> inputs;  // in the order of the delegate's arguments
  std::vector<ValueId> outputs;

  ValueId add_value(PayloadValue value);
  PayloadNode& add_node(PayloadNode node);
};

// Lowercase hexadecimal SHA-256.
std::string key_of(std::span<const std::byte> bytes);

// What a filter (input 1 of a convolution or linear) is packed for, besides its bytes, type and parameters: the runtime multiplies what it
// knows of input and output into what it packs. Nothing where the node packs no constant.
std::optional<std::string> packing_of(const PayloadGraph& graph, const PayloadNode& node);

// For each value whether it is a constant that nodes read at every call. Weights and biases are packed when the delegate is
// compiled, and not read again.
std::vector<bool> lasting_constants(const PayloadGraph& graph);
// The first runtime that keeps the constants of a delegate whose payload is freed once it is compiled.
inline constexpr RuntimeVersion keeps_constants_since = RuntimeVersion::v1_4;

// Of the nodes, and of the lasting constants.
RuntimeNeeds runtime_needs(const PayloadGraph& graph);

// Readable and stable: the form of golden tests and of `inspect`.
std::string to_string(const PayloadGraph& graph);

// The nodes alone, a line each; what they read and write is described in place: "Conv2d(fp32[1, 8, 8, 3], ...) -> ...".
std::vector<std::string> node_texts(const PayloadGraph& graph);

// Drops values that no node and no list refers to and renumbers the rest in order.
void compact_values(PayloadGraph& graph);

}  // namespace intaglio::xnnpack
