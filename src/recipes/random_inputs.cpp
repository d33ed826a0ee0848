#include "recipes/random_inputs.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::recipes {
namespace {

Sizes sizes_of(const Value& input) {
  Sizes sizes;
  for (const SymInt& size : input.sizes()) {
    const auto hint = size.hint();
    if (!hint)
      throw_unsupported(
          fmt::format("no size is known for input '{}' ({}); calibrate with samples", escaped(input.name()), to_string(size)));
    sizes.push_back(*hint);
  }
  return sizes;
}

// Rows of the smallest table that an integer, as it is or moved, counted on or cast, is an index of; 2 where there is none.
class IndexLimits {
 public:
  // Readers come after what they read, so one pass from the end knows them all, but for those of a buffer before it is written: they
  // have what it held before the call.
  explicit IndexLimits(const Graph& graph) {
    const std::vector<Node*> nodes = graph.node_list();
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
      for (const Value* output : (*node)->outputs())
        if (is_index(*output)) rows_[output] = rows_behind(*output);
  }

  int64_t of(const Value& input) const {
    constexpr int64_t largest = 1 << 15;  // what a program computes of an index stays within int32
    const int64_t rows = rows_behind(input);
    return rows == INT64_MAX ? 2 : std::clamp<int64_t>(rows, 1, largest);
  }

 private:
  static bool is_index(const Value& value) { return value.is_tensor() && !is_floating(value.dtype()); }

  int64_t rows_behind(const Value& value) const {
    int64_t fewest = INT64_MAX;
    for (const Node* user : value.users()) {
      if (user->is("aten.embedding.default") && user->tensor("indices") == &value) {
        if (const auto rows = user->tensor("weight")->sizes()[0].hint()) fewest = std::min(fewest, *rows);
        continue;
      }
      // Positions of a cache, also those that go by a buffer.
      if ((user->op().base() == "index_copy" || user->op().base() == "index_copy_") && user->tensor("index") == &value) {
        const SymSizes& sizes = user->tensor("self")->sizes();
        const int64_t dim = user->integer("dim"), at = dim < 0 ? dim + static_cast<int64_t>(sizes.size()) : dim;
        if (const auto rows = sizes.at(static_cast<size_t>(at)).hint()) fewest = std::min(fewest, *rows);
        continue;
      }
      if (user->is("aten.copy_.default") && user->tensor("src") == &value) fewest = std::min(fewest, rows_behind(*user->tensor("self")));
      for (const Value* output : user->outputs())
        if (const auto known = rows_.find(output); known != rows_.end()) fewest = std::min(fewest, known->second);
    }
    return fewest;
  }

  std::unordered_map<const Value*, int64_t> rows_;
};

// The library's own distributions differ between implementations; these numbers do not.
class Draw {
 public:
  explicit Draw(const Graph& graph) : limits_(graph) {}
  double uniform() { return (static_cast<double>(engine_() >> 11) + 0.5) * 0x1p-53; }
  double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform()); }

  Tensor tensor(const Value& input) {
    const DType dtype = input.dtype();
    if (is_complex(dtype)) throw_unsupported(fmt::format("input '{}' is complex", escaped(input.name())));
    Tensor drawn = Tensor::empty(DType::float64, sizes_of(input));
    const double limit = is_floating(dtype) || dtype == DType::boolean ? 0 : static_cast<double>(limits_.of(input));
    double* values = drawn.mutable_data<double>();
    for (int64_t i = 0; i < drawn.numel(); ++i) {
      if (is_floating(dtype)) values[i] = normal();
      else if (dtype == DType::boolean) values[i] = uniform() < 0.75;
      else values[i] = std::floor(uniform() * limit);
    }
    return converted(drawn, dtype);
  }

 private:
  std::mt19937_64 engine_{1};
  IndexLimits limits_;
};

Tensor number(const Value& input) {
  switch (input.kind()) {
    case ValueKind::sym_float: return Tensor::scalar(1.0);
    case ValueKind::sym_bool: return Tensor::scalar(true);
    case ValueKind::sym_int: break;
    default: throw_unsupported(fmt::format("input '{}' is no tensor and no number", escaped(input.name())));
  }
  const auto hint = input.sym ? input.sym->hint() : std::nullopt;
  if (!hint) throw_unsupported(fmt::format("no value is known for input '{}'; calibrate with samples", escaped(input.name())));
  return Tensor::scalar(*hint);
}

}  // namespace

std::vector<Tensor> random_inputs(const ExportedProgram& program) {
  Draw draw(program.graph());
  std::vector<Tensor> inputs;
  for (const Value* input : program.user_inputs()) {
    if (input->kind() == ValueKind::literal || input->kind() == ValueKind::none) continue;
    inputs.push_back(input->is_tensor() ? draw.tensor(*input) : number(*input));
  }
  return inputs;
}

}  // namespace intaglio::recipes
