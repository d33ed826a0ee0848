#include "recipes/reference.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <type_traits>

#include <intaglio/interpreter.h>

#include "ir/work.h"
#include "qdq/reader.h"
#include "quant/affine.h"
#include "quant/parts.h"

namespace intaglio::recipes {
namespace {

constexpr int64_t part_elements = int64_t{1} << 18;  // a megabyte of floats

// Integers that several parts of one layer read, one part after the other: computed for the first, gone after the last.
class SharedIntegers {
 public:
  SharedIntegers(Tensor integers, size_t parts) : integers_(std::move(integers)), parts_(parts) {}

  Tensor take() {
    const std::lock_guard lock(mutex_);
    if (taken_++ == 0) held_ = integers_.for_one_use();
    const Tensor result = held_;
    if (taken_ < parts_) return result;
    taken_ = 0;
    held_ = {};
    return result;
  }

 private:
  std::mutex mutex_;
  Tensor integers_;
  size_t parts_;
  size_t taken_ = 0;
  Tensor held_;
};

Tensor computed(Sizes sizes, std::function<Tensor()> compute) {
  const size_t bytes = static_cast<size_t>(element_count(std::span<const int64_t>(sizes))) * sizeof(float);
  Sizes strides = contiguous_strides(sizes);
  return Tensor(DType::float32, std::move(sizes), std::move(strides), 0, Storage::computed(bytes, [compute = std::move(compute)] {
                  const Tensor floats = compute().contiguous();
                  return floats.storage_offset() == 0 ? floats.storage() : floats.clone().storage();
                }));
}

class Rewriting {
 public:
  explicit Rewriting(ExportedProgram& program) : program_(program) {}

  void run() {
    std::vector<Node*> dequantizes = program_.graph().node_list();  // layers that are split go while this list is read
    std::erase_if(dequantizes, [](const Node* node) { return !qdq::is_dequantize(*node) || node->output()->dtype() != DType::float32; });
    for (Node* node : dequantizes) {
      const Tensor* integers = program_.constant(node->tensor(qdq::find(*node)->places.input));
      const auto params = qdq::params_of(program_, *node);
      if (integers == nullptr || !params || params->code_book) continue;
      for (Node* user : std::vector<Node*>(node->output()->users()))
        if (can_be_split(*user, *node, *integers, *params)) split(*user, *integers, *params);
      if (!node->output()->users().empty()) replace(*node, *integers, *params);
      else program_.graph().erase(node);
    }
    program_.graph().eliminate_dead_code();
  }

 private:
  bool can_be_split(const Node& user, const Node& dequantize, const Tensor& integers, const QuantParams& params) const {
    if (!user.is("aten.linear.default") || user.tensor("weight") != dequantize.output() || user.tensor("input") == dequantize.output())
      return false;
    const Value* bias = user.optional_tensor("bias");
    return integers.rank() == 2 && integers.numel() > 2 * part_elements && integers.size(0) > 1 &&
           (params.is_per_tensor() || params.axis() == 0) && (bias == nullptr || program_.constant(bias) != nullptr);
  }

  void split(Node& linear, const Tensor& integers, const QuantParams& params) {
    Graph& graph = program_.graph();
    const int64_t outputs = integers.size(0), step = std::max<int64_t>(1, part_elements / integers.size(1));
    const auto shared = std::make_shared<SharedIntegers>(integers, static_cast<size_t>((outputs + step - 1) / step));
    const Value* bias = linear.optional_tensor("bias");
    std::vector<Value*> parts;
    for (int64_t first = 0; first < outputs; first += step) {
      const int64_t count = std::min(step, outputs - first);
      const Tensor weight = computed({count, integers.size(1)}, [shared, first, count, part = quant::rows_of(params, first, count)] {
        return quant::dequantize(shared->take().narrowed(0, first, count), part);
      });
      std::vector<NamedArgument> arguments = {{"input", linear.tensor("input")}, {"weight", constant(weight)}};
      if (bias != nullptr) arguments.push_back({"bias", constant(program_.constant(bias)->narrowed(0, first, count))});
      TensorMeta meta = linear.output()->meta();
      meta.sizes.back() = count;
      meta = TensorMeta::contiguous(meta.dtype, meta.sizes);
      parts.push_back(graph.insert_before(&linear, linear.op(), std::move(arguments), {{.meta = std::move(meta)}}).output());
    }
    const Node& whole = graph.insert_before(&linear, Op::get("aten.cat.default"), {{"tensors", std::move(parts)}, {"dim", int64_t{-1}}},
                                            {{.meta = linear.output()->meta()}});
    graph.replace_all_uses(linear.output(), whole.output());
    graph.erase(&linear);
  }

  void replace(Node& dequantize, const Tensor& integers, const QuantParams& params) {
    const Tensor floats = computed(integers.sizes(), [integers, params] { return quant::dequantize(integers.for_one_use(), params); });
    program_.graph().replace_all_uses(dequantize.output(), constant(floats));
    program_.graph().erase(&dequantize);
  }

  Value* constant(Tensor tensor) { return program_.add_constant(program_.free_target("_reference_", count_++), std::move(tensor)); }

  ExportedProgram& program_;
  size_t count_ = 0;
};

// Drawn from the place of an element alone: the same for any number of threads.
uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Gives move(i, sign) each place with +1 or -1: a bit of a word drawn for 64 places.
template <typename Move>
void for_each_sign(int64_t count, uint64_t seed, Move move) {
  for (int64_t first = 0; first < count; first += 64) {
    const uint64_t bits = mixed(seed + static_cast<uint64_t>(first) / 64);
    const int many = static_cast<int>(std::min<int64_t>(64, count - first));
    for (int i = 0; i < many; ++i) move(first + i, static_cast<int>(bits >> i & 1) * 2 - 1);
  }
}

template <typename T>
void move_integers(Tensor& tensor, uint64_t seed, int64_t low, int64_t high) {
  using Wide = std::conditional_t<sizeof(T) < 4, int32_t, int64_t>;
  T* values = tensor.mutable_data<T>();
  const Wide lowest = static_cast<Wide>(low), highest = static_cast<Wide>(high);
  for_each_sign(tensor.numel(), seed, [=](int64_t i, int sign) {
    values[i] = static_cast<T>(std::clamp<Wide>(static_cast<Wide>(values[i]) + sign, lowest, highest));
  });
}

// Sums taken in another order are off by some units in the last place of their largest part, for which the tensor's
// root mean square stands.
void move_floats(Tensor& tensor, uint64_t seed, double unit) {
  float* values = tensor.mutable_data<float>();
  double squares = 0;
  for (int64_t i = 0; i < tensor.numel(); ++i)
    if (std::isfinite(values[i])) squares += static_cast<double>(values[i]) * values[i];
  const double typical = std::sqrt(squares / static_cast<double>(std::max<int64_t>(tensor.numel(), 1)));
  for_each_sign(tensor.numel(), seed, [=](int64_t i, int sign) {
    const double value = values[i];
    const double moved = value + sign * unit * (typical + std::abs(value));
    values[i] = static_cast<float>(std::isfinite(value) ? moved : value);  // what a mask hides has no last place
  });
}

// How far results of layers in float32, and all results in narrower types, are from each other where both are right.
double rounding_unit(DType dtype) {
  switch (dtype) {
    case DType::float16: return std::ldexp(1.0, -11);
    case DType::bfloat16: return std::ldexp(1.0, -8);
    default: return std::ldexp(1.0, -19);
  }
}

std::optional<Tensor> moved(const Node& node, const Tensor& tensor, uint64_t seed) {
  if (tensor.numel() == 0) return std::nullopt;
  if (!is_floating(tensor.dtype())) {
    Tensor result = tensor.clone();
    const quant::QuantRange limits = quant::range_of(tensor.dtype());
    const int64_t low = std::max(node.optional_integer("quant_min").value_or(limits.min), limits.min),
                  high = std::min(node.optional_integer("quant_max").value_or(limits.max), limits.max);
    switch (tensor.dtype()) {
      case DType::int8: move_integers<int8_t>(result, seed, low, high); break;
      case DType::uint8: move_integers<uint8_t>(result, seed, low, high); break;
      case DType::int16: move_integers<int16_t>(result, seed, low, high); break;
      case DType::int32: move_integers<int32_t>(result, seed, low, high); break;
      default: return std::nullopt;
    }
    return result;
  }
  Tensor wide = tensor.dtype() == DType::float32 ? tensor.clone() : converted(tensor, DType::float32);
  move_floats(wide, seed, rounding_unit(tensor.dtype()));
  return converted(wide, tensor.dtype());
}

// Integers of activations, results of layers, and what a narrow type rounds; those that others share memory with stay.
std::vector<const Value*> values_to_move(const ExportedProgram& program) {
  std::vector<const Value*> values;
  for (const Node* node : program.graph().node_list()) {
    if (node->outputs().size() != 1 || !node->output()->is_tensor() || makes_view(*node)) continue;
    const DType dtype = node->output()->dtype();
    const bool is_narrow = dtype == DType::float16 || dtype == DType::bfloat16;
    const bool is_layer = dtype == DType::float32 && work_of(program, *node).is_macs;
    const bool computes = computes_on_floats(*node) && !qdq::find(*node);
    if (qdq::is_quantize(*node) || (computes && (is_narrow || is_layer))) values.push_back(node->output());
  }
  return values;
}

}  // namespace

bool makes_view(const Node& node) { return node.op().schema() != nullptr && node.op().schema()->is_view(); }

ExportedProgram reference_of(const ExportedProgram& program) {
  ExportedProgram reference = program.clone();
  Rewriting(reference).run();
  return reference;
}

std::vector<Tensor> run_reference(const ExportedProgram& reference, const std::vector<Tensor>& inputs, int threads) {
  return Interpreter(reference, {.threads = threads, .keep_packed_weights = false}).run(inputs);
}

std::vector<Tensor> run_one_step_off(const ExportedProgram& reference, const std::vector<Tensor>& inputs, uint64_t seed, int threads) {
  const std::vector<const Value*> watched = values_to_move(reference);
  uint64_t next = mixed(seed);
  const ValueHook hook = [&](const Value* value, const Tensor& tensor) -> std::optional<Tensor> {
    if (value->producer() == nullptr) return std::nullopt;
    return moved(*value->producer(), tensor, next = mixed(next));
  };
  return Interpreter(reference, {.threads = threads, .keep_packed_weights = false}).run(inputs, hook, &watched);
}

}  // namespace intaglio::recipes
