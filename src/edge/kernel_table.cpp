#include "edge/kernel_table.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <unordered_map>

#include <intaglio/error.h>

namespace intaglio {
namespace {

constexpr Kernel kKernels[] = {
#define KERNEL(group, key, functional, schema) Kernel{key, functional, schema, KernelGroup::group},
#include "edge/kernel_table.inc"
#undef KERNEL
};

struct Index {
  std::unordered_map<std::string_view, const Kernel*> by_key;
  std::unordered_map<std::string_view, const Kernel*> by_functional;
  Index() {
    for (const Kernel& kernel : kKernels) {
      by_key.emplace(kernel.key, &kernel);
      if (!kernel.functional.empty()) by_functional.emplace(kernel.functional, &kernel);
    }
  }
};
const Index& index() {
  static const Index instance;
  return instance;
}

const Kernel* look_up(const std::unordered_map<std::string_view, const Kernel*>& map, std::string_view name) {
  const auto found = map.find(name);
  return found == map.end() ? nullptr : found->second;
}

struct SymbolicRow {
  std::string_view target;
  std::string_view key;
};
constexpr SymbolicRow kSymbolicOps[] = {
    {"_operator.add", "executorch_prim::add.Scalar"},
    {"_operator.sub", "executorch_prim::sub.Scalar"},
    {"_operator.mul", "executorch_prim::mul.Scalar"},
    {"_operator.floordiv", "executorch_prim::floordiv.Scalar"},
    {"_operator.truediv", "executorch_prim::truediv.Scalar"},
    {"_operator.mod", "executorch_prim::mod.Scalar"},
    {"_operator.neg", "executorch_prim::neg.Scalar"},
    {"_operator.eq", "executorch_prim::eq.Scalar"},
    {"_operator.gt", "executorch_prim::gt.Scalar"},
    {"_operator.ge", "executorch_prim::ge.Scalar"},
    {"_operator.lt", "executorch_prim::lt.Scalar"},
    {"_operator.le", "executorch_prim::le.Scalar"},
    {"math.ceil", "executorch_prim::ceil.Scalar"},
    {"math.trunc", "executorch_prim::trunc.Scalar"},
    {"builtins.round", "executorch_prim::round.Scalar"},
    {"_operator.round", "executorch_prim::round.Scalar"},
    {"torch.sym_float", "executorch_prim::sym_float.Scalar"},
    {"torch.sym_int", "executorch_prim::sym_int.Scalar"},
    {"torch.sym_max", "executorch_prim::sym_max.Scalar"},
    {"torch.sym_min", "executorch_prim::sym_min.Scalar"},
    {"torch.sym_not", "executorch_prim::sym_not.Scalar"},
    {"torch.sym_ite", "executorch_prim::sym_ite.Scalar"},
};

// Element types a kernel takes for its tensors, measured on the runtime (kernel_dtypes_test.cpp).
struct Takes {
  std::string_view text;
  bool (*accepts)(DType);
};

bool is_wide_unsigned(DType dtype) {
  return dtype == DType::uint16 || dtype == DType::uint32 || dtype == DType::uint64;
}
bool is_arithmetic(DType dtype) { return !is_wide_unsigned(dtype); }
bool is_number(DType dtype) { return !is_wide_unsigned(dtype) && dtype != DType::boolean; }
bool is_narrow_floating(DType dtype) { return is_floating(dtype) && dtype != DType::float64; }
bool is_floating_or_long(DType dtype) { return is_floating(dtype) || dtype == DType::int64; }
bool is_bits(DType dtype) { return is_arithmetic(dtype) && !is_floating(dtype); }
bool is_wide_or_integer(DType dtype) { return is_arithmetic(dtype) && !(is_floating(dtype) && item_size(dtype) == 2); }
bool is_quantizable(DType dtype) { return is_floating(dtype) && dtype != DType::bfloat16; }

constexpr Takes kArithmetic = {"floating point, bool and integers but uint16, uint32 and uint64", is_arithmetic};
constexpr Takes kNumbers = {"floating point and integers but uint16, uint32 and uint64", is_number};
constexpr Takes kFloating = {"float32, float64, float16 and bfloat16", is_floating};
constexpr Takes kNarrowFloating = {"float32, float16 and bfloat16", is_narrow_floating};
constexpr Takes kFloatingOrLong = {"float32, float64, float16, bfloat16 and int64", is_floating_or_long};
constexpr Takes kBits = {"bool and integers but uint16, uint32 and uint64", is_bits};
constexpr Takes kWideOrInteger = {"float32, float64, bool and integers but uint16, uint32 and uint64", is_wide_or_integer};
constexpr Takes kQuantizable = {"float32, float64 and float16", is_quantizable};

struct DtypeRow {
  const Takes& takes;
  std::initializer_list<std::string_view> keys;
};
// Kernels without a row move elements of any type, or were not measured.
const DtypeRow kDtypes[] = {
    {kFloating,
     {"aten::_softmax.out", "aten::native_layer_norm.out", "aten::native_group_norm.out", "aten::gelu.out",
      "aten::_native_batch_norm_legit_no_training.out", "aten::elu.out", "aten::leaky_relu.out", "aten::mean.out",
      "aten::var.correction_out", "aten::_cdist_forward.out", "aten::glu.out", "aten::mean.dtype_out", "aten::var.out"}},
    {kWideOrInteger, {"aten::logit.out"}},
    {kNarrowFloating, {"aten::_log_softmax.out"}},
    {kFloatingOrLong, {"aten::avg_pool2d.out", "aten::_adaptive_avg_pool2d.out"}},
    {kBits,
     {"aten::bitwise_not.out", "aten::bitwise_and.Tensor_out", "aten::bitwise_or.Tensor_out",
      "aten::bitwise_xor.Tensor_out", "aten::bitwise_left_shift.Tensor_out", "aten::bitwise_right_shift.Tensor_out",
      "aten::bitwise_and.Scalar_out", "aten::bitwise_or.Scalar_out", "aten::bitwise_xor.Scalar_out",
      "aten::bitwise_left_shift.Tensor_Scalar_out", "aten::bitwise_right_shift.Tensor_Scalar_out"}},
    {kQuantizable, {"quantized_decomposed::quantize_per_tensor.out"}},
    {kNumbers,
     {"aten::relu.out",
      "aten::neg.out",
      "aten::abs.out",
      "aten::floor.out",
      "aten::ceil.out",
      "aten::round.out",
      "aten::trunc.out",
      "aten::hardtanh.out",
      "aten::sub.out",
      "aten::mm.out",
      "aten::bmm.out",
      "aten::addmm.out",
      "aten::linear.out",
      "aten::convolution.out",
      "aten::max_pool2d_with_indices.out",
      "aten::upsample_nearest2d.vec_out",
      "aten::upsample_bilinear2d.vec_out",
      "aten::grid_sampler_2d.out",
      "aten::topk.values",
      "aten::argmax.out",
      "aten::argmin.out",
      "aten::fmod.Tensor_out",
      "aten::remainder.Tensor_out",
      "aten::floor_divide.out",
      "aten::div.out_mode",
      "aten::pow.Tensor_Tensor_out",
      "aten::pow.Scalar_out",
      "aten::add.Scalar_out",
      "aten::sub.Scalar_out",
      "aten::rsub.Scalar_out"}},
    {kArithmetic,
     {"aten::exp.out",
      "aten::log.out",
      "aten::log1p.out",
      "aten::log2.out",
      "aten::log10.out",
      "aten::expm1.out",
      "aten::sqrt.out",
      "aten::rsqrt.out",
      "aten::sin.out",
      "aten::cos.out",
      "aten::tan.out",
      "aten::tanh.out",
      "aten::sinh.out",
      "aten::cosh.out",
      "aten::asin.out",
      "aten::acos.out",
      "aten::atan.out",
      "aten::asinh.out",
      "aten::acosh.out",
      "aten::atanh.out",
      "aten::erf.out",
      "aten::sigmoid.out",
      "aten::reciprocal.out",
      "aten::sign.out",
      "aten::logical_not.out",
      "aten::isnan.out",
      "aten::isinf.out",
      "aten::cumsum.out",
      "aten::flip.out",
      "aten::roll.out",
      "aten::constant_pad_nd.out",
      "aten::permute_copy.out",
      "aten::full_like.out",
      "aten::div.Scalar_out",
      "aten::gt.Scalar_out",
      "aten::add.out",
      "aten::mul.out",
      "aten::maximum.out",
      "aten::minimum.out",
      "aten::div.out",
      "aten::atan2.out",
      "aten::eq.Tensor_out",
      "aten::lt.Tensor_out",
      "aten::logical_and.out",
      "aten::logical_or.out",
      "aten::logical_xor.out",
      "aten::sum.IntList_out",
      "aten::amax.out",
      "aten::any.out",
      "aten::max.dim_max",
      "aten::prod.int_out",
      "aten::reflection_pad2d.out",
      "aten::replication_pad2d.out",
      "aten::mul.Scalar_out",
      "aten::fmod.Scalar_out",
      "aten::remainder.Scalar_out",
      "aten::pow.Tensor_Scalar_out",
      "aten::clamp.out",
      "aten::clamp.Tensor_out",
      "aten::div.Scalar_mode_out",
      "aten::eq.Scalar_out",
      "aten::ne.Scalar_out",
      "aten::ge.Scalar_out",
      "aten::le.Scalar_out",
      "aten::lt.Scalar_out",
      "aten::ne.Tensor_out",
      "aten::ge.Tensor_out",
      "aten::le.Tensor_out",
      "aten::gt.Tensor_out",
      "aten::amin.out",
      "aten::any.all_out",
      "aten::any.dims_out",
      "aten::max.unary_out",
      "aten::min.unary_out",
      "aten::min.dim_min",
      "aten::prod.out",
      "aten::tril.out",
      "aten::t_copy.out",
      "aten::transpose_copy.int_out",
      "aten::unfold_copy.out",
      "aten::reflection_pad1d.out",
      "aten::replication_pad1d.out",
      "aten::select_scatter.out",
      "aten::slice_scatter.out",
      "aten::where.self_out",
      "aten::masked_fill.Scalar_out",
      "aten::gather.out",
      "aten::scatter.src_out",
      "aten::scatter.value_out",
      "aten::scatter_add.out",
      "aten::index_put.out",
      "aten::cat.out",
      "aten::stack.out"}},
};

const Takes* taken_by(std::string_view key) {
  static const std::unordered_map<std::string_view, const Takes*> rows = [] {
    std::unordered_map<std::string_view, const Takes*> map;
    for (const DtypeRow& row : kDtypes)
      for (const std::string_view name : row.keys) map.emplace(name, &row.takes);
    return map;
  }();
  const auto found = rows.find(key);
  return found == rows.end() ? nullptr : found->second;
}

// Types the container can carry and no kernel computes with.
bool is_carried_only(DType dtype) {
  switch (dtype) {
    case DType::float8_e4m3fn:
    case DType::float8_e5m2:
    case DType::float8_e4m3fnuz:
    case DType::float8_e5m2fnuz:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string_view Kernel::name() const { return key.substr(0, key.find('.')); }
std::string_view Kernel::overload() const {
  const size_t dot = key.find('.');
  return dot == std::string_view::npos ? std::string_view() : key.substr(dot + 1);
}

std::span<const Kernel> all_kernels() { return kKernels; }
const Kernel* find_kernel(std::string_view key) { return look_up(index().by_key, key); }
const Kernel* kernel_for(std::string_view functional_op) { return look_up(index().by_functional, functional_op); }

const OpSchema& schema_of(const Kernel& kernel) {
  static std::mutex mutex;
  static std::unordered_map<std::string_view, std::unique_ptr<OpSchema>> parsed;
  const std::lock_guard lock(mutex);
  std::unique_ptr<OpSchema>& schema = parsed[kernel.key];
  if (!schema) {
    if (kernel.schema_text.empty()) throw_bug("kernel " + std::string(kernel.key) + " has no schema");
    schema = std::make_unique<OpSchema>(parse_schema(kernel.schema_text));
  }
  return *schema;
}

std::string_view primitive_for_symbolic_op(std::string_view target) {
  for (const SymbolicRow& row : kSymbolicOps)
    if (row.target == target) return row.key;
  return {};
}

std::string_view refused_dtype(const Kernel& kernel, DType dtype) {
  if (is_carried_only(dtype)) return "real types of 8 to 64 bits";
  const Takes* takes = taken_by(kernel.key);
  if (takes != nullptr && !takes->accepts(dtype)) return takes->text;
  return {};
}

}  // namespace intaglio
