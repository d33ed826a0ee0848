// x / 2 (1 + erf(x / sqrt(2))) and x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), however they are written.
//
// Everything around the erf (the "bend") is arithmetic, and is computed here as a polynomial in x and in the bend's result: spellings
// that mean the same have the same coefficients.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>

#include "decompose/builder.h"
#include "decompose/decompose.h"
#include "decompose/rewrite.h"
#include "ir/memory.h"
#include "ir/mutations.h"

namespace intaglio::decompose {
namespace {

constexpr size_t degrees = 4;  // of x: 1, x, x^2, x^3

// of_x[i] x^i + of_bend[i] x^i bend
struct Polynomial {
  std::array<double, degrees> of_x{}, of_bend{};

  bool is_number() const { return *this == Polynomial{{of_x[0]}, {}}; }
  bool operator==(const Polynomial&) const = default;
};
using Known = std::optional<Polynomial>;

Known sum(const Known& a, const Known& b, double factor) {
  if (!a || !b) return std::nullopt;
  Polynomial result = *a;
  for (size_t i = 0; i < degrees; ++i) {
    result.of_x[i] += factor * b->of_x[i];
    result.of_bend[i] += factor * b->of_bend[i];
  }
  return result;
}

// Nothing where a power is beyond those kept.
Known product(const Known& a, const Known& b) {
  if (!a || !b) return std::nullopt;
  Polynomial result;
  for (size_t i = 0; i < degrees; ++i)
    for (size_t j = 0; j < degrees; ++j) {
      const double plain = a->of_x[i] * b->of_x[j], bent = a->of_x[i] * b->of_bend[j] + a->of_bend[i] * b->of_x[j];
      if (a->of_bend[i] * b->of_bend[j] != 0 || (i + j >= degrees && (plain != 0 || bent != 0))) return std::nullopt;
      if (i + j >= degrees) continue;
      result.of_x[i + j] += plain;
      result.of_bend[i + j] += bent;
    }
  return result;
}

Known quotient(const Known& a, const Known& b) {
  if (!b || !b->is_number() || b->of_x[0] == 0) return std::nullopt;
  return product(a, Polynomial{{1 / b->of_x[0]}, {}});
}

Known power(const Known& base, const Known& exponent) {
  if (!base || !exponent || !exponent->is_number()) return std::nullopt;
  const double times = exponent->of_x[0];
  if (base->is_number()) return Polynomial{{std::pow(base->of_x[0], times)}, {}};
  if (times != 1 && times != 2 && times != 3) return std::nullopt;
  Known result = base;
  for (int i = 1; i < times; ++i) result = product(result, base);
  return result;
}

// What bends: op(a x + b x^3) = at_zero + slope * bend, and the bend is odd.
struct Bend {
  std::string_view op;
  double linear, cubic, at_zero, slope;
  const char* approximate;
};
constexpr double tanh_linear = 2 / std::numbers::sqrt2 * std::numbers::inv_sqrtpi, tanh_cubic = 0.044715 * tanh_linear;
constexpr Bend bends[] = {
    {"aten.erf.default", 1 / std::numbers::sqrt2, 0, 0, 1, "none"},
    {"aten.special_erf.default", 1 / std::numbers::sqrt2, 0, 0, 1, "none"},
    {"aten.erfc.default", 1 / std::numbers::sqrt2, 0, 1, -1, "none"},
    {"aten.special_erfc.default", 1 / std::numbers::sqrt2, 0, 1, -1, "none"},
    {"aten.special_ndtr.default", 1, 0, 0.5, 0.5, "none"},
    {"aten.tanh.default", tanh_linear, tanh_cubic, 0, 1, "tanh"},
    {"aten.sigmoid.default", 2 * tanh_linear, 2 * tanh_cubic, 0.5, 0.5, "tanh"},
    {"aten.special_expit.default", 2 * tanh_linear, 2 * tanh_cubic, 0.5, 0.5, "tanh"},
};

// Six digits of a constant are taken for it: the result then agrees to as many.
bool is_near(double value, double wanted, double scale) { return std::abs(value - wanted) <= 5e-6 * std::abs(scale); }

class Search {
 public:
  Search(ExportedProgram& program, const LastingConstants& constants, const Bend& bend, Node& node)
      : program_(program), constants_(constants), bend_(bend), node_(node) {}

  bool run() {
    if (node_.inputs().empty()) return false;  // of a number
    const Value* argument = node_.inputs().front();
    std::vector<Value*> candidates = {node_.inputs().front()};
    for (size_t i = 0; i < candidates.size() && candidates.size() < most_values; ++i) {
      if (is_source(candidates[i], argument) && replace()) return true;
      if (const Node* producer = candidates[i]->producer(); producer != nullptr && is_arithmetic(*producer))
        for (Value* input : producer->inputs()) candidates.push_back(input);
    }
    return false;
  }

 private:
  static constexpr size_t most_values = 16;
  static constexpr int most_steps = 8;

  static bool is_arithmetic(const Node& node) {
    for (const std::string_view base : {"add", "sub", "rsub", "mul", "div", "neg", "pow", "square"})
      if (node.op().name_space() == "aten" && node.op().base() == base) return true;
    return false;
  }

  // The polynomial of an operand, which may be a number.
  Known of(const Argument& argument, int steps) const {
    if (const auto* number = argument.get_if<double>()) return Polynomial{{*number}, {}};
    if (const auto* number = argument.get_if<int64_t>()) return Polynomial{{static_cast<double>(*number)}, {}};
    const auto* value = argument.get_if<Value*>();
    return value == nullptr || !(*value)->is_tensor() ? std::nullopt : of(*value, steps);
  }

  Known of(const Value* value, int steps) const {
    if (value == x_) return Polynomial{{0, 1}, {}};
    if (value == node_.output()) return Polynomial{{bend_.at_zero}, {sign_ * bend_.slope}};
    if (value->producer() != nullptr) return of(*value->producer(), steps);
    const Tensor* tensor = constants_.find(value);
    if (tensor == nullptr || tensor->numel() != 1 || tensor->rank() > 1) return std::nullopt;
    return Polynomial{{tensor->item_as_double()}, {}};
  }

  Known of(const Node& node, int steps) const {
    if (steps == 0) return std::nullopt;
    const auto operand = [&](std::string_view name) { return of(node.argument(name), steps - 1); };
    const std::string_view base = node.op().base();
    if (node.op().name_space() != "aten") return std::nullopt;
    if (base == "lift_fresh_copy" || base == "detach" || base == "detach_") return operand("self");
    if (base == "sqrt") return power(constant(operand("self")), Polynomial{{0.5}, {}});
    if (!is_arithmetic(node) || node.op().overload() == "Tensor_mode" || node.op().overload() == "Scalar_mode") return std::nullopt;
    if (base == "neg") return product(operand("self"), Polynomial{{-1}, {}});
    if (base == "square") return product(operand("self"), operand("self"));
    if (base == "mul") return product(operand("self"), operand("other"));
    if (base == "div") return quotient(operand("self"), operand("other"));
    if (base == "pow") return power(operand("self"), operand("exponent"));
    const double alpha = node.number("alpha");
    if (base == "rsub") return sum(operand("other"), operand("self"), -alpha);
    return sum(operand("self"), operand("other"), base == "add" ? alpha : -alpha);
  }

  static Known constant(const Known& value) { return value && value->is_number() ? value : std::nullopt; }

  // Is the bend that of a gelu of x? Then of(value) speaks of it.
  bool is_source(Value* x, const Value* argument) {
    if (!x->is_tensor() || !is_floating(x->dtype()) || x->dtype() == DType::float64 || !is_unwritten(x)) return false;
    x_ = x;
    const Known inner = of(argument, most_steps);
    if (!inner) return false;
    const auto& c = inner->of_x;
    sign_ = c[1] < 0 ? -1 : 1;
    return inner->of_bend == std::array<double, degrees>{} && is_near(sign_ * c[1], bend_.linear, bend_.linear) &&
           is_near(sign_ * c[3], bend_.cubic, bend_.cubic) && is_near(c[0], 0, 1) && is_near(c[2], 0, 1);
  }

  // What is written in place has one value here and another there.
  bool is_unwritten(const Value* x) const {
    if (!program_.graph().has_in_place_nodes()) return true;
    const auto names = [&](const Node* user) { return memory_operand(*user) == x; };
    const std::vector<Node*> users = x->users();
    return x->producer() != nullptr && memory_operand(*x->producer()) == nullptr && std::ranges::none_of(users, names);
  }

  // From the bend to the value that is a multiple of gelu(x): the last one, where factors follow one by one.
  bool replace() {
    Value* found = nullptr;
    double factor = 0;
    std::vector<Value*> reached = {node_.output()};
    for (size_t i = 0; i < reached.size() && reached.size() < most_values; ++i) {
      const Known known = of(reached[i], most_steps);
      if (!known) continue;
      if (const double half = known->of_bend[1]; half != 0 && is_gelu(*known, half) && (found == nullptr || is_near(half, 0.5, 0.5))) {
        found = reached[i];
        factor = 2 * half;
      }
      const std::vector<Node*> users = reached[i]->users();
      for (Node* user : users)
        if (is_arithmetic(*user) && user->outputs().size() == 1) reached.push_back(user->output());
    }
    if (found == nullptr || found->dtype() != x_->dtype() || found->sizes() != x_->sizes()) return false;
    GraphBuilder build(program_, *found->producer());
    Value* result = build.call("aten.gelu.default", {x_}, {{"approximate", bend_.approximate}});
    if (!is_near(factor, 1, 1)) result = build("aten.mul.Tensor", result, factor);
    replace_result(program_.graph(), found, result);
    return true;
  }

  static bool is_gelu(const Polynomial& value, double half) {
    for (size_t i = 0; i < degrees; ++i)
      if (!is_near(value.of_x[i], i == 1 ? half : 0, half) || !is_near(value.of_bend[i], i == 1 ? half : 0, half)) return false;
    return true;
  }

  ExportedProgram& program_;
  const LastingConstants& constants_;
  const Bend& bend_;
  Node& node_;
  Value* x_ = nullptr;
  double sign_ = 1;
};

}  // namespace

void recognize_gelu(ExportedProgram& program) {
  bool changed = false;
  const LastingConstants constants(program);
  for (Node* node : program.graph().node_list())
    for (const Bend& bend : bends)
      if (node->is(bend.op)) changed = Search(program, constants, bend, *node).run() || changed;
  if (changed) program.graph().eliminate_dead_code();
}

}  // namespace intaglio::decompose
