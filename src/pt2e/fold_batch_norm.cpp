#include "pt2e/passes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace intaglio::pt2e {
namespace {

// A layer that takes a batch norm: where its output channels lie in the weight, and how torchao associates the factors.
struct LayerOp {
  std::string_view name;
  bool transposed = false;
  bool linear = false;
};
constexpr std::array layer_ops = {
    LayerOp{"aten.conv1d.default"},
    LayerOp{"aten.conv1d.padding"},
    LayerOp{"aten.conv2d.default"},
    LayerOp{"aten.conv2d.padding"},
    LayerOp{"aten.conv3d.default"},
    LayerOp{"aten.conv3d.padding"},
    LayerOp{"aten.conv_transpose1d.default", true},
    LayerOp{"aten.conv_transpose2d.input", true},
    LayerOp{"aten.conv_transpose3d.input", true},
    LayerOp{"aten.convolution.default"},
    LayerOp{"aten.linear.default", false, true},
};

const LayerOp* layer_op(const Node* node) {
  if (node == nullptr) return nullptr;
  const auto found = std::find_if(layer_ops.begin(), layer_ops.end(), [&](const LayerOp& row) { return node->is(row.name); });
  return found == layer_ops.end() ? nullptr : &*found;
}

bool is_batch_norm(const Node& node) {
  return node.is("aten.batch_norm.default") || node.is("aten._native_batch_norm_legit_no_training.default");
}

// The constants of one batch norm, absent ones replaced by the identity.
struct Factors {
  std::vector<float> mean, reciprocal, weight, bias;  // reciprocal: 1 / sqrt(running_var + eps)
  size_t channels() const { return mean.size(); }
};

std::vector<float> floats(const Tensor& tensor) {
  const Tensor values = converted(tensor, DType::float32).contiguous();
  const auto span = values.span<float>();
  return {span.begin(), span.end()};
}

std::optional<std::vector<float>> constant_floats(const ExportedProgram& program, const Node& node, std::string_view argument) {
  const Value* value = node.optional_tensor(argument);
  const Tensor* tensor = value == nullptr ? nullptr : program.constant(value);
  if (tensor == nullptr || !is_floating(tensor->dtype())) return std::nullopt;
  return floats(*tensor);
}

std::optional<Factors> factors_of(const ExportedProgram& program, const Node& norm) {
  const auto mean = constant_floats(program, norm, "running_mean");
  const auto variance = constant_floats(program, norm, "running_var");
  if (!mean || !variance || mean->size() != variance->size()) return std::nullopt;
  Factors factors;
  factors.mean = *mean;
  const float eps = static_cast<float>(norm.number("eps"));
  for (const float v : *variance) factors.reciprocal.push_back(1.0f / std::sqrt(v + eps));
  for (const auto& [argument, target, identity] :
       {std::tuple{"weight", &Factors::weight, 1.0f}, std::tuple{"bias", &Factors::bias, 0.0f}}) {
    if (norm.optional_tensor(argument) == nullptr) {
      (factors.*target).assign(factors.channels(), identity);
      continue;
    }
    const auto values = constant_floats(program, norm, argument);
    if (!values || values->size() != factors.channels()) return std::nullopt;
    factors.*target = *values;
  }
  return factors;
}

// Output channels of a layer's weight and how its elements are laid out around them.
struct WeightLayout {
  size_t groups = 1, outer = 1, channels_per_group = 1, inner = 1;
  size_t channels() const { return groups * channels_per_group; }
};

bool is_transposed(const Node& layer, const LayerOp& op) {
  return layer.is("aten.convolution.default") ? layer.boolean("transposed") : op.transposed;
}

// A transposed convolution's weight is [C_in, C_out / groups, ...]; the others are [C_out, ...].
std::optional<WeightLayout> layout_of(const Node& layer, const LayerOp& op, const Tensor& weight) {
  if (weight.rank() < 2 || weight.numel() == 0) return std::nullopt;
  const auto size = [&](int64_t dim) { return static_cast<size_t>(weight.size(dim)); };
  WeightLayout layout;
  if (!is_transposed(layer, op)) {
    layout.channels_per_group = size(0);
    layout.inner = static_cast<size_t>(weight.numel()) / size(0);
    return layout;
  }
  const int64_t groups = layer.integer("groups");
  if (groups < 1 || weight.size(0) % groups != 0) return std::nullopt;
  layout.groups = static_cast<size_t>(groups);
  layout.outer = size(0) / layout.groups;
  layout.channels_per_group = size(1);
  layout.inner = static_cast<size_t>(weight.numel()) / (size(0) * size(1));
  return layout;
}

Tensor scaled_weight(const Tensor& weight, const WeightLayout& layout, const Factors& factors) {
  const Tensor source = converted(weight, DType::float32).contiguous();
  Tensor result = Tensor::empty(DType::float32, weight.sizes());
  const float* in = source.data<float>();
  float* out = result.mutable_data<float>();
  for (size_t group = 0; group < layout.groups; ++group)
    for (size_t outer = 0; outer < layout.outer; ++outer)
      for (size_t k = 0; k < layout.channels_per_group; ++k) {
        const size_t channel = group * layout.channels_per_group + k;
        const float factor = factors.weight[channel] * factors.reciprocal[channel];
        for (size_t i = 0; i < layout.inner; ++i) *out++ = *in++ * factor;
      }
  return converted(result, weight.dtype());
}

// Computed whenever it is read: kept, it would stand beside the captured weight, the interpreter's copy and the integers.
Tensor folded_weight(const Tensor& weight, const WeightLayout& layout, const Factors& factors) {
  weight.as_it_lies().raw();  // a damaged record is told now
  const auto compute = [weight, layout, factors] { return scaled_weight(weight.for_one_use(), layout, factors).storage(); };
  return Tensor(weight.dtype(), weight.sizes(), contiguous_strides(weight.sizes()), 0, Storage::computed(weight.nbytes(), compute));
}

// torchao associates the two layers' factors differently; the last bit depends on it.
Tensor shifted_bias(const std::vector<float>& bias, const Factors& factors, bool linear, DType dtype) {
  std::vector<float> result(factors.channels());
  for (size_t c = 0; c < result.size(); ++c) {
    const float centred = bias[c] - factors.mean[c];
    const float scaled =
        linear ? centred * (factors.weight[c] * factors.reciprocal[c]) : (centred * factors.reciprocal[c]) * factors.weight[c];
    result[c] = scaled + factors.bias[c];
  }
  return converted(Tensor::of<float>(std::span<const float>(result), {static_cast<int64_t>(result.size())}), dtype);
}

bool is_training(const Node& norm) { return norm.is("aten.batch_norm.default") && norm.boolean("training"); }

// One batch norm and the layer before it.
struct Pair {
  Node* norm = nullptr;
  Node* layer = nullptr;
  const LayerOp* op = nullptr;
};

std::optional<Pair> match(Node& norm) {
  if (!is_batch_norm(norm)) return std::nullopt;
  const Value* input = norm.tensor("input");
  Node* layer = input->producer();
  const LayerOp* op = layer_op(layer);
  if (op == nullptr) return std::nullopt;
  // A linear layer works on the last dimension and the batch norm on dimension 1: the same only for rank 2.
  if (op->linear && layer->tensor("input")->meta().rank() != 2) return std::nullopt;
  return Pair{&norm, layer, op};
}

bool same_factors(const Node& a, const Node& b) {
  for (const std::string_view argument : {"weight", "bias", "running_mean", "running_var"})
    if (a.optional_tensor(argument) != b.optional_tensor(argument)) return false;
  return a.number("eps") == b.number("eps");
}

bool is_private(const Pair& pair) { return !is_training(*pair.norm) && pair.layer->output()->has_one_user(); }

// Every use of the weight (and of the bias) is a layer of this kind followed by a batch norm with the same constants.
bool sharing_allows(const Pair& pair) {
  const Value* weight = pair.layer->tensor("weight");
  const Value* bias = pair.layer->optional_tensor("bias");
  for (const Value* value : {weight, bias}) {
    if (value == nullptr) continue;
    for (Node* user : value->users()) {
      if (user == pair.layer) continue;
      if (user->op() != pair.layer->op() || user->tensor("weight") != weight || user->optional_tensor("bias") != bias) return false;
      if (!user->output()->has_one_user()) return false;
      const auto other = match(*user->output()->users().front());
      if (!other || !is_private(*other) || !same_factors(*pair.norm, *other->norm)) return false;
    }
  }
  return true;
}

class Folder {
 public:
  Folder(ExportedProgram& program, Compat compat) : program_(program), compat_(compat) {}

  bool fold(const Pair& pair) {
    Value* weight = pair.layer->tensor("weight");
    const auto done = folded_.find(weight);
    if (done != folded_.end()) return fold_again(pair, done->second);
    if (compat_ == Compat::intaglio && !may_fold(pair, weight)) return false;
    return fold_first(pair, weight);
  }

 private:
  // What forbids it for one pair of a weight forbids it for all.
  bool may_fold(const Pair& pair, const Value* weight) {
    if (!is_private(pair) || kept_.contains(weight)) return false;
    const bool allowed = sharing_allows(pair);
    if (!allowed) kept_.insert(weight);
    return allowed;
  }

  bool fold_first(const Pair& pair, Value* weight) {
    const Tensor* tensor = program_.constant(weight);
    if (tensor == nullptr || !is_floating(tensor->dtype())) return false;
    const auto factors = factors_of(program_, *pair.norm);
    const auto layout = layout_of(*pair.layer, *pair.op, *tensor);
    if (!factors || !layout || layout->channels() != factors->channels()) return false;

    Value* bias = pair.layer->optional_tensor("bias");
    std::vector<float> old_bias(factors->channels(), 0.0f);
    if (bias != nullptr) {
      const Tensor* bias_tensor = program_.constant(bias);
      if (bias_tensor == nullptr || bias_tensor->numel() != static_cast<int64_t>(factors->channels())) return false;
      old_bias = floats(*bias_tensor);
    }
    const Tensor new_bias = shifted_bias(old_bias, *factors, pair.op->linear, tensor->dtype());
    program_.set_constant(weight, folded_weight(*tensor, *layout, *factors));
    if (bias != nullptr) {
      program_.set_constant(bias, new_bias);
    } else {
      bias = program_.add_parameter(*program_.target_of(weight) + "_bias", new_bias);
      program_.graph().set_argument(*pair.layer, "bias", bias);
    }
    folded_[weight] = bias;
    remove(pair);
    return true;
  }

  // The weight is folded already (a module called twice): only the node goes.
  bool fold_again(const Pair& pair, Value* bias) {
    if (pair.layer->optional_tensor("bias") == nullptr) {
      program_.graph().set_argument(*pair.layer, "bias", bias);
      if (compat_ == Compat::torchao)
        program_.set_constant(bias, Tensor::zeros(program_.constant(bias)->dtype(), program_.constant(bias)->sizes()));
    }
    remove(pair);
    return true;
  }

  void remove(const Pair& pair) {
    Graph& graph = program_.graph();
    graph.replace_all_uses(pair.norm->output(), pair.layer->output());
    graph.erase(pair.norm);
  }

  ExportedProgram& program_;
  Compat compat_;
  std::unordered_map<const Value*, Value*> folded_;  // weight to its folded bias
  std::unordered_set<const Value*> kept_;            // weights that others share in other ways
};

}  // namespace

bool is_convolution(const Node& node) {
  const LayerOp* op = layer_op(&node);
  return op != nullptr && !op->linear;
}

size_t fold_batch_norm(ExportedProgram& program, Compat compat) {
  Folder folder(program, compat);
  size_t count = 0;
  for (Node* node : program.graph().node_list()) {
    const auto pair = match(*node);
    if (pair && folder.fold(*pair)) ++count;
  }
  if (count != 0) {
    program.graph().eliminate_dead_code();
    program.remove_unused_constants();
  }
  return count;
}

}  // namespace intaglio::pt2e
