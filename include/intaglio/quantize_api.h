// torchao's `quantize_` on a captured program: weights of linear and embedding layers become narrow integers or codes, in one call
// and without samples.
//
//   quantize_(program, Int8DynamicActivationIntxWeightConfig{.weight_dtype = IntxType::int4, .weight_granularity = PerGroup{32}});
//   quantize_(program, IntxWeightOnlyConfig{.weight_dtype = IntxType::int8}, is_embedding);
//
// Integers, scales and zero points are torchao's bit for bit, and the program has torchao's operators in the form that
// `unwrap_tensor_subclass` gives: what is saved loads with `torch.export.load` once torchao is imported (code books:
// `torchao.prototype.quantization.codebook_coreml`). Code books have at most the squared error of torchao's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <intaglio/mapping_type.h>
#include <intaglio/program.h>
#include <intaglio/warning.h>

#pragma GCC visibility push(default)

namespace intaglio {

// Signed integers of 1 to 8 bits, and code numbers of as many. Values are the bits.
enum class IntxType : uint8_t { int1 = 1, int2, int3, int4, int5, int6, int7, int8 };
enum class UintxType : uint8_t { uint1 = 1, uint2, uint3, uint4, uint5, uint6, uint7, uint8 };

// What shares a scale: a row of the weight (one output channel, one token of an embedding), or `group_size` elements of a row.
struct PerAxis {
  int64_t axis = 0;  // 0 is the only one
};
struct PerGroup {
  int64_t group_size = 32;
};
using WeightGranularity = std::variant<PerAxis, PerGroup>;

enum class IntxChooseQParamsAlgorithm : uint8_t {
  affine,          // from the range of each group
  hqq_scale_only,  // the symmetric scale that fits best, step by step; what ExecuTorch's exporters of language models take
};

// Linear and embedding layers: integer weights, computed in float.
struct IntxWeightOnlyConfig {
  IntxType weight_dtype = IntxType::int8;
  WeightGranularity granularity = PerAxis{};
  MappingType mapping_type = MappingType::symmetric;
  std::optional<DType> scale_dtype = std::nullopt;  // float32, float16 or bfloat16; absent: the weight's
  IntxChooseQParamsAlgorithm intx_choose_qparams_algorithm = IntxChooseQParamsAlgorithm::affine;
};

// Linear layers: integer weights, and inputs that become int8 at run time with a range for each row.
struct Int8DynamicActivationIntxWeightConfig {
  IntxType weight_dtype = IntxType::int8;
  WeightGranularity weight_granularity = PerGroup{32};
  MappingType weight_mapping_type = MappingType::symmetric;
  std::optional<DType> weight_scale_dtype = std::nullopt;
  MappingType act_mapping_type = MappingType::asymmetric;  // the only one
  IntxChooseQParamsAlgorithm intx_choose_qparams_algorithm = IntxChooseQParamsAlgorithm::affine;
};

// Linear and embedding layers: each weight is one of 2^bits values that a block of it shares.
struct CodebookWeightOnlyConfig {
  UintxType dtype = UintxType::uint4;
  std::vector<int64_t> block_size;  // rows, columns; -1 is all of them, and one of the two has to be
};

using QuantizeConfig = std::variant<IntxWeightOnlyConfig, Int8DynamicActivationIntxWeightConfig, CodebookWeightOnlyConfig>;

// A layer that a filter is asked about.
struct QuantizableLayer {
  std::string fqn;          // fully qualified name of its module: "model.layers.0.mlp.up_proj"
  std::string module_type;  // "torch.nn.modules.linear.Linear"
  const Node* node = nullptr;
  const Value* weight = nullptr;
};
using LayerFilter = std::function<bool(const QuantizableLayer&)>;
// By the operator and the recorded type of the module, which ends in `Linear` (`Embedding`); the output projection of
// `nn.MultiheadAttention` is none, as in torchao.
bool is_linear(const QuantizableLayer& layer);
bool is_embedding(const QuantizableLayer& layer);

// What becomes of a layer whose rows the group size does not divide.
enum class WhenIndivisible : uint8_t {
  error,    // nothing is quantized; the error names the layer and the group sizes that fit
  float_,   // it stays in float
  int8,     // it gets int8 weights with a scale for each row
  nearest,  // it gets the group size that divides its rows and is nearest (multiples of 32 first, which backends need)
};

struct QuantizeOptions {
  WhenIndivisible when_indivisible = WhenIndivisible::error;
  bool may_match_nothing = false;  // a filter that takes no layer is a warning, else a bad-input error
  int threads = 0;                 // 0: all cores
  WarningSink warn;
};

// A layer that was quantized, and the configuration that was settled for its sizes.
struct QuantizedLayer {
  std::string fqn, node;
  QuantizeConfig config;
};
struct QuantizeSummary {
  size_t quantized = 0;  // layers
  std::vector<QuantizedLayer> layers;
  std::string text;  // "210 of 211 linears quantized, 1 left in float: why"
};

// Layers are found by the type and name of their module, which the exporter records. What is quantized already is passed over.
// A weight that several layers read stays one tensor where all of them ask for the same, and is split, with a warning, where
// not. Large weights that lie in a file are quantized when they are read, so that memory holds one at a time; what is wrong with
// their values is told then. Usage errors for settings that no layer could take; bad-input errors name the layer.
QuantizeSummary quantize_(ExportedProgram& program, const QuantizeConfig& config, const LayerFilter& filter = is_linear,
                          const QuantizeOptions& options = {});

// Several configurations at once: the first rule whose filter takes a layer decides. Layers of tied weights are seen together; in
// calls of their own each would get a copy.
struct QuantizeRule {
  LayerFilter filter;
  std::optional<QuantizeConfig> config;  // absent: stays in float
  std::string name = {};                 // of a rule that is to take layers: a warning says so when it takes none
};
QuantizeSummary quantize_(ExportedProgram& program, const std::vector<QuantizeRule>& rules, const QuantizeOptions& options = {});

}  // namespace intaglio

#pragma GCC visibility pop
