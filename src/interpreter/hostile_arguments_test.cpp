// Every kernel on arguments that a damaged or malicious file could hold: random tensors, numbers and lists of the types
// the schema allows. A kernel computes or throws an Error; run under the sanitizers it must not touch foreign memory.
#include <cstdlib>
#include <random>

#include "interpreter/kernel_table.h"
#include "interpreter/run_op_for_tests.h"

namespace intaglio::interp {
namespace {

class Dice {
 public:
  explicit Dice(uint32_t seed) : engine_(seed) {}
  int64_t below(int64_t count) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(count)); }
  bool one_in(int64_t count) { return below(count) == 0; }
  template <typename T, size_t N>
  T of(const T (&list)[N]) {
    return list[below(N)];
  }

 private:
  std::mt19937 engine_;
};

int64_t random_integer(Dice& dice) {
  static constexpr int64_t extremes[] = {INT64_MAX, INT64_MIN, int64_t{1} << 40, -(int64_t{1} << 40), 1 << 20};
  return dice.one_in(12) ? dice.of(extremes) : dice.below(9) - 3;
}

double random_number(Dice& dice) {
  static constexpr double numbers[] = {0, 1, -1, 0.5, 2.5, 1e-5, 1e30, INFINITY, -INFINITY, NAN};
  return dice.of(numbers);
}

Tensor random_tensor(Dice& dice) {
  static constexpr DType types[] = {DType::float32, DType::float32, DType::float32, DType::float32, DType::int64,   DType::int64,
                                    DType::int32,   DType::boolean, DType::uint8,   DType::int8,    DType::float16, DType::float64};
  static constexpr int64_t size_choices[] = {1, 2, 3, 4, 4, 6, 8, 0};
  Sizes sizes(static_cast<size_t>(dice.below(6)));
  const bool square = dice.one_in(2);
  for (int64_t& size : sizes) size = square ? 4 : dice.of(size_choices);
  Sizes order(sizes.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  for (size_t i = 1; i < order.size(); ++i)
    if (dice.one_in(3)) std::swap(order[i], order[static_cast<size_t>(dice.below(static_cast<int64_t>(i)))]);
  const Tensor values = Tensor::of<float>(test::noise(sizes, static_cast<uint32_t>(dice.below(1000))).span<float>(), sizes);
  Tensor result = converted(values, DType::float64);
  double* data = result.mutable_data<double>();
  for (int64_t i = 0; i < result.numel(); ++i) data[i] = dice.one_in(40) ? 1e12 : data[i] * 4;
  return converted(result, dice.of(types)).permuted(order);
}

struct Attempt {
  Graph graph;
  std::vector<Tensor> tensors;

  Value* tensor(Dice& dice) {
    if (!tensors.empty() && dice.one_in(3)) return graph.inputs()[static_cast<size_t>(dice.below(static_cast<int64_t>(tensors.size())))];
    tensors.push_back(random_tensor(dice));
    return graph.add_input(graph.inputs().size(), {TensorMeta::contiguous(tensors.back().dtype(), {}), "x"});
  }

  Argument argument(Dice& dice, const ArgSchema& schema) {
    const int64_t length = schema.fixed_length > 0 ? schema.fixed_length : dice.below(5);
    switch (schema.type) {
      case ArgType::tensor:
        if (dice.one_in(8)) return random_integer(dice);
        return tensor(dice);
      case ArgType::optional_tensor: return tensor(dice);
      case ArgType::tensor_list:
      case ArgType::optional_tensor_list: {
        std::vector<Value*> list;
        const bool gaps = schema.type == ArgType::optional_tensor_list;
        for (int64_t i = dice.below(4); i >= 0; --i) list.push_back(gaps && dice.one_in(3) ? nullptr : tensor(dice));
        return list;
      }
      case ArgType::integer: return random_integer(dice);
      case ArgType::integer_list: {
        std::vector<int64_t> list;
        const bool same = dice.one_in(2);
        for (int64_t i = 0; i < length; ++i) list.push_back(same && i > 0 ? list[0] : random_integer(dice));
        return list;
      }
      case ArgType::floating: return random_number(dice);
      case ArgType::floating_list: return std::vector<double>(static_cast<size_t>(length), random_number(dice));
      case ArgType::boolean: return dice.one_in(2);
      case ArgType::scalar:
        if (dice.one_in(2)) return random_number(dice);
        return random_integer(dice);
      case ArgType::string: {
        static constexpr const char* texts[] = {"none",     "tanh",         "same",  "valid", "reflect", "replicate",
                                                "circular", "constant",     "floor", "trunc", "xy",      "ij,jk->ik",
                                                "ii->i",    "bij,bjk->bik", "ab",    "->",    ",",       "zzz"};
        return dice.of(texts);
      }
      case ArgType::scalar_type: {
        static constexpr DType types[] = {DType::float32, DType::int8,    DType::uint8,   DType::int32,     DType::int64,
                                          DType::boolean, DType::float16, DType::float64, DType::complex64, DType::float8_e5m2};
        return dice.of(types);
      }
      default: return Argument();
    }
  }

  void run(Dice& dice, std::string_view name) {
    const Op op = Op::get(name);
    std::vector<NamedArgument> arguments;
    for (const ArgSchema& schema : op.schema()->arguments) {
      const bool may_lack = schema.optional || schema.default_text;
      if (!may_lack || dice.one_in(2)) arguments.push_back({schema.name, argument(dice, schema)});
    }
    std::vector<OutputSpecification> outputs(op.schema()->returns.size(),
                                             OutputSpecification{TensorMeta::contiguous(DType::float32, {}), ""});
    Node& node = graph.insert_before(nullptr, op, arguments, outputs, "", std::vector<Node::OutputGroup>(outputs.size()));
    std::vector<Tensor> used;
    for (const Value* value : node.inputs()) {
      for (size_t i = 0; i < tensors.size(); ++i)
        if (graph.inputs()[i] == value) used.push_back(tensors[i]);
    }
    evaluate_node(node, used);
  }
};

std::vector<Kernel> all_kernels() {
  std::vector<Kernel> result;
  for (const auto& family : kernel_families()) result.insert(result.end(), family.begin(), family.end());
  return result;
}

TEST(HostileArguments, KernelsComputeOrRefuse) {
  size_t computed = 0, refused = 0;
  const char* rounds_text = std::getenv("INTAGLIO_HOSTILE_ROUNDS");
  const int rounds = rounds_text != nullptr ? std::atoi(rounds_text) : 20;
  for (const Kernel& kernel : all_kernels()) {
    const OpSchema* schema = Op::get(kernel.op).schema();
    if (schema == nullptr) continue;
    for (int round = 0; round < rounds; ++round) {
      SCOPED_TRACE(std::string(kernel.op) + " round " + std::to_string(round));
      Dice dice(static_cast<uint32_t>(std::hash<std::string_view>{}(kernel.op)) + static_cast<uint32_t>(round));
      try {
        Attempt attempt;
        attempt.run(dice, kernel.op);
        ++computed;
      } catch (const Error& error) {
        ++refused;
        EXPECT_NE(error.kind(), ErrorKind::bug) << error.what();
      }
    }
  }
  EXPECT_GT(computed, 500u);
  EXPECT_GT(refused, 500u);
}

}  // namespace
}  // namespace intaglio::interp
