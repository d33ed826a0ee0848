#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "decompose/builder.h"
#include "decompose/rewrite.h"
#include "ir/mutations.h"
#include "pt2e/passes.h"

namespace intaglio::pt2e {
namespace {

enum class Step : uint8_t { add, subtract, multiply, divide };

struct StepOp {
  std::string_view name;
  Step step;
};
constexpr std::array step_ops = {
    StepOp{"aten.add.Tensor", Step::add},       StepOp{"aten.add_.Tensor", Step::add},     StepOp{"aten.sub.Tensor", Step::subtract},
    StepOp{"aten.sub_.Tensor", Step::subtract}, StepOp{"aten.mul.Tensor", Step::multiply}, StepOp{"aten.mul_.Tensor", Step::multiply},
    StepOp{"aten.div.Tensor", Step::divide},    StepOp{"aten.div_.Tensor", Step::divide},
};

// What stands behind a convolution: a factor and an offset for each channel.
struct Affine {
  std::vector<double> factor, offset;
  bool scales = false, shifts = false;

  void add(Step step, const std::vector<double>& numbers) {
    (step == Step::add || step == Step::subtract ? shifts : scales) = true;
    for (size_t c = 0; c < factor.size(); ++c) switch (step) {
        case Step::add: offset[c] += numbers[c]; break;
        case Step::subtract: offset[c] -= numbers[c]; break;
        case Step::multiply: factor[c] *= numbers[c], offset[c] *= numbers[c]; break;
        case Step::divide: factor[c] /= numbers[c], offset[c] /= numbers[c]; break;
      }
  }
};

class Restorer {
 public:
  explicit Restorer(ExportedProgram& program)
      : program_(program), mutated_(std::make_shared<const std::unordered_set<const Value*>>(mutated_inputs(program))) {}

  // Batch norms count channels along dimension 1: an image without a batch has them elsewhere.
  void restore(Node& layer) {
    const Value *weight = layer.tensor("weight"), *bias = layer.optional_tensor("bias");
    const TensorMeta& result = layer.output()->meta();
    if (!is_own(weight) || (bias && !is_own(bias)) || result.rank() != weight->meta().rank() || !result.sizes[1].is_static()) return;
    const auto channels = static_cast<size_t>(result.sizes[1].value());
    Affine affine{std::vector<double>(channels, 1), std::vector<double>(channels, 0)};
    std::vector<Node*> chain;
    for (const Value* value = layer.output(); value->has_one_user(); value = chain.back()->output()) {
      Node* user = value->users().front();
      if (!take(*user, value, layer, affine)) break;
      chain.push_back(user);
    }
    if (affine.scales && affine.shifts) replace(layer, chain, affine);
  }

 private:
  bool is_own(const Value* constant) const {
    return constant->has_one_user() && program_.constant(constant) && !mutated_->contains(constant);
  }

  bool take(const Node& node, const Value* value, const Node& layer, Affine& affine) {
    const auto row = std::ranges::find_if(step_ops, [&](const StepOp& op) { return node.is(op.name); });
    if (row == step_ops.end()) return false;
    const TensorMeta &before = layer.output()->meta(), &after = node.output()->meta();
    if (after.sizes != before.sizes || after.dtype != before.dtype) return false;
    const bool is_sum = row->step == Step::add || row->step == Step::subtract;
    if (is_sum && node.number("alpha") != 1) return false;
    const bool swapped = node.tensor("self") != value;
    if (swapped && row->step != Step::add && row->step != Step::multiply) return false;
    const auto numbers = channel_numbers(node.argument(swapped ? "self" : "other"), layer, affine.factor.size());
    if (!numbers) return false;
    affine.add(row->step, *numbers);
    return true;
  }

  // A number for all channels, or a constant of one for each that lies along them.
  std::optional<std::vector<double>> channel_numbers(const Argument& argument, const Node& layer, size_t channels) {
    Value* const* operand = argument.get_if<Value*>();
    if (!operand || !(*operand)->is_tensor()) return std::nullopt;
    ConstantValues constants(program_, is_pure, mutated_);
    const Tensor* tensor = constants.find(*operand);
    if (!tensor || !is_floating(tensor->dtype())) return std::nullopt;
    const int64_t axis = tensor->rank() - (layer.tensor("weight")->meta().rank() - 2) - 1;
    const bool along = axis >= 0 && tensor->size(axis) == tensor->numel() && tensor->numel() == static_cast<int64_t>(channels);
    if (!along && tensor->numel() != 1) return std::nullopt;
    const Tensor wide = converted(*tensor, DType::float64).contiguous();
    std::vector<double> numbers(wide.span<double>().begin(), wide.span<double>().end());
    if (!along) numbers.assign(channels, numbers.front());
    return std::ranges::all_of(numbers, [](double number) { return std::isfinite(number); }) ? std::optional(std::move(numbers))
                                                                                             : std::nullopt;
  }

  void replace(const Node& layer, std::vector<Node*>& chain, const Affine& affine) {
    const auto narrow = [&](const std::vector<double>& numbers) {
      const Tensor wide = Tensor::of<double>(std::span<const double>(numbers), {static_cast<int64_t>(numbers.size())});
      return converted(wide, layer.output()->dtype());
    };
    const std::vector<double> zeros(affine.factor.size(), 0), ones(affine.factor.size(), 1);
    decompose::GraphBuilder build(program_, *chain.back());
    Value *factor = build.constant(narrow(affine.factor)), *offset = build.constant(narrow(affine.offset)),
          *mean = build.constant(narrow(zeros)), *variance = build.constant(narrow(ones));
    Value* norm = build("aten.batch_norm.default", layer.output(), factor, offset, mean, variance, false, 0.0, 0.0, false);
    decompose::replace_result(program_.graph(), chain.back()->output(), norm);
    // Those in place would still write into what the norm reads.
    for (; !chain.empty(); chain.pop_back()) program_.graph().erase(chain.back());
  }

  ExportedProgram& program_;
  std::shared_ptr<const std::unordered_set<const Value*>> mutated_;
};

}  // namespace

void restore_batch_norms(ExportedProgram& program) {
  Restorer restorer(program);
  // Found first: what follows them is erased on the way.
  std::vector<Node*> layers;
  for (Node* node : program.graph().node_list())
    if (is_convolution(*node)) layers.push_back(node);
  for (Node* layer : layers) restorer.restore(*layer);
  program.graph().eliminate_dead_code();
  program.remove_unused_constants();
}

}  // namespace intaglio::pt2e
