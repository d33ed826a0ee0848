// The graph that Samsung's compiler is handed: what ExecuTorch's builders call the SDK with, as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <intaglio/exynos.h>
#include <intaglio/tensor.h>

namespace intaglio::exynos {

struct EnnQuantize {
  std::string type;  // "AINT8"; "" beside a float tensor of a QUANTIZE or DEQUANTIZE
  std::vector<float> scales;
  std::vector<int32_t> zero_points;  // one for each scale; several are of dimension 0
};

enum class EnnKind : uint8_t { input, output, constant, featuremap };

struct EnnTensor {
  std::string name;
  Sizes dims;             // [1] for a scalar; [] for the slope of a PRELU
  std::string data_type;  // "INT8", "FLOAT32", ...
  EnnKind kind = EnnKind::featuremap;
  std::optional<EnnQuantize> quantize;
  Tensor data;  // of constants, contiguous

  std::string_view layout() const { return dims.size() == 4 ? "NCHW" : "UNDEFINED"; }
};

struct EnnParam {
  using Value = std::variant<std::string, bool, int64_t, double, std::vector<int64_t>, std::vector<double>>;
  std::string name;
  Value value;

  bool is_vector() const { return value.index() == 0 || value.index() >= 4; }
  // The SDK's element type: CHAR, BOOL, FLOAT64; of integers the narrowest of UINT32, INT32, UINT64 and INT64 that holds all.
  std::string_view element_type() const;
};

struct EnnOp {
  std::string name;
  std::string type;  // "CONV2D"
  std::vector<uint32_t> inputs, outputs;
  std::vector<EnnParam> params;

  const EnnParam* find(std::string_view param) const;
};

// Tensors are numbered from 0 in the order of their definition; ops stand in execution order.
struct EnnGraph {
  std::vector<EnnTensor> tensors;
  std::vector<EnnOp> ops;
  std::vector<uint32_t> inputs, outputs;
  Chipset chipset = Chipset::e9955;
};

// One line a tensor and an op: golden texts, and `inspect`.
std::string to_string(const EnnGraph& graph);
std::string to_string(const EnnGraph& graph, const EnnOp& op);

struct DataType {
  DType dtype;
  std::string_view name;
};
// "" for a type that the SDK has not; nullopt for a name that is none.
std::string_view data_type_name(DType dtype);
std::optional<DType> data_type_of(std::string_view name);

std::string_view kind_name(EnnKind kind);
std::optional<EnnKind> kind_of(std::string_view name);

}  // namespace intaglio::exynos
