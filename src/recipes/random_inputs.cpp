#include "recipes/random_inputs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numbers>
#include <random>
#include <unordered_set>

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

// Rows of the smallest table that an integer input, as it is or moved, counted on or cast, is an index of; 2 where there is none.
int64_t index_limit(const Value& input) {
  int64_t limit = INT64_MAX;
  std::deque<const Value*> open = {&input};
  std::unordered_set<const Value*> seen(open.begin(), open.end());
  for (; !open.empty(); open.pop_front())
    for (const Node* user : open.front()->users()) {
      if (user->is("aten.embedding.default") && user->tensor("indices") == open.front()) {
        if (const auto rows = user->tensor("weight")->sizes()[0].hint()) limit = std::min(limit, *rows);
        continue;
      }
      for (const Value* output : user->outputs())
        if (output->is_tensor() && !is_floating(output->dtype()) && seen.insert(output).second) open.push_back(output);
    }
  constexpr int64_t largest = 1 << 15;  // what a program computes of an index stays within int32
  return limit == INT64_MAX ? 2 : std::clamp<int64_t>(limit, 1, largest);
}

// The library's own distributions differ between implementations; these numbers do not.
class Draw {
 public:
  double uniform() { return (static_cast<double>(engine_() >> 11) + 0.5) * 0x1p-53; }
  double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform()); }

  Tensor tensor(const Value& input) {
    const DType dtype = input.dtype();
    if (is_complex(dtype)) throw_unsupported(fmt::format("input '{}' is complex", escaped(input.name())));
    Tensor drawn = Tensor::empty(DType::float64, sizes_of(input));
    const double limit = is_floating(dtype) || dtype == DType::boolean ? 0 : static_cast<double>(index_limit(input));
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
  Draw draw;
  std::vector<Tensor> inputs;
  for (const Value* input : program.user_inputs()) {
    if (input->kind() == ValueKind::literal || input->kind() == ValueKind::none) continue;
    inputs.push_back(input->is_tensor() ? draw.tensor(*input) : number(*input));
  }
  return inputs;
}

}  // namespace intaglio::recipes
