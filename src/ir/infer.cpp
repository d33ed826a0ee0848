#include "ir/infer.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/at_node.h"
#include "ir/check_arguments.h"
#include "ir/infer_rules.h"
#include "ir/operator_names.h"

namespace intaglio {
namespace infer {

bool surely_differ(const SymInt& a, const SymInt& b) { return a.is_static() && b.is_static() && a.value() != b.value(); }

bool may_equal(std::span<const SymInt> a, std::span<const SymInt> b) {
  return std::ranges::equal(a, b, [](const SymInt& one, const SymInt& other) { return !surely_differ(one, other); });
}

DType written_dtype(const Inference& in, DType otherwise) {
  return in.node.op().schema()->find("dtype") ? in.node.optional_dtype("dtype").value_or(otherwise) : otherwise;
}

DType float_result(DType dtype) { return is_floating(dtype) || is_complex(dtype) ? dtype : DType::float32; }

void require_image(const Inference& in, const SymSizes& sizes, size_t spatial) {
  in.require(sizes.size() == spatial + 1 || sizes.size() == spatial + 2, "the input has the wrong number of dimensions");
  for (const SymInt& size : sizes.last(spatial + 1)) in.require(!size.is_static() || size.value() > 0, "the input has a size of 0");
}

void Inference::fail(const std::string& what) const {
  std::string operands;
  for (const Value* input : node.inputs())
    if (input->is_tensor()) operands += fmt::format("{}{} {}", operands.empty() ? "" : ", ", input->name(), to_string(input->meta()));
  throw_bad_input(fmt::format("{}: {} (operands: {})", describe(node), what, escaped(operands)));
}

size_t Inference::dim(int64_t written, size_t rank) const {
  const int64_t count = std::max<int64_t>(1, static_cast<int64_t>(rank));
  if (written < -count || written >= count) fail(fmt::format("dimension {} is out of range for {} dimensions", written, rank));
  return static_cast<size_t>(written < 0 ? written + count : written);
}

List<size_t> Inference::dims(const List<int64_t>& written, size_t rank) const {
  List<size_t> result;
  for (int64_t d : written) {
    const size_t normalized = dim(d, rank);
    if (std::find(result.begin(), result.end(), normalized) != result.end()) fail(fmt::format("dimension {} is named twice", d));
    result.push_back(normalized);
  }
  return result;
}

std::optional<SymInt> Inference::symbol(std::string_view argument) const {
  const Argument written = node.argument(argument);
  if (const auto* number = written.get_if<int64_t>()) return SymInt(*number);
  if (Value* const* value = written.get_if<Value*>(); value && *value) return (*value)->sym;
  return std::nullopt;
}

SymSizes Inference::symbols(std::string_view argument) {
  if (auto sizes = symbolic_sizes(node.argument(argument))) return *sizes;
  unknown();
  return {};
}

SymSizes Inference::broadcast(const SymSizes& a, const SymSizes& b) const {
  if (auto sizes = broadcast_sizes(a, b)) return *sizes;
  fail("the operands' sizes do not broadcast");
}

namespace {

using RuleMap = std::unordered_map<std::string_view, Function>;

const RuleMap& rule_map() {
  static const RuleMap map = [] {
    RuleMap rules;
    for (const auto& family : {elementwise_rules(), complex_rules(), creation_rules(), view_rules(), indexing_rules(), reduction_rules(),
                               matrix_rules(), convolution_rules(), neural_rules(), quantization_rules()})
      for (const Rule& rule : family)
        for (const std::string_view op : rule.ops) rules.emplace(op, rule.function);
    return rules;
  }();
  return map;
}

// In-place ops that change their operand's sizes rather than its elements.
bool mutates_sizes(Op op) {
  static constexpr std::string_view names[] = {"squeeze_",  "unsqueeze_", "t_",   "transpose_",  "resize_",
                                               "swapaxes_", "swapdims_",  "set_", "as_strided_", "resize_as_"};
  return std::find(std::begin(names), std::end(names), op.base()) != std::end(names);
}

void same_as_mutated(Inference& in) {
  for (const ArgSchema& argument : in.node.op().schema()->arguments)
    if (argument.mutated) return in.outputs.push_back(in.operand(argument.name));
}

// `aten.view_copy.default` follows the rule of `aten.view.default`.
std::string without_copy(Op op) {
  std::string_view base = op.base();
  if (!base.ends_with("_copy")) return "";
  return fmt::format("{}.{}.{}", op.name_space(), base.substr(0, base.size() - 5), op.overload());
}

Function find_rule(Op op) {
  const RuleMap& rules = rule_map();
  if (auto found = rules.find(op.name()); found != rules.end()) return found->second;
  if (auto found = rules.find(without_copy(op)); found != rules.end()) return found->second;
  const OpSchema* schema = op.schema();
  if (schema && schema->is_inplace() && schema->returns.size() == 1 && !mutates_sizes(op)) return same_as_mutated;
  return nullptr;
}

bool all_operands_have_metadata(const Node& node) {
  for (const Value* input : node.inputs())
    if (input->kind() == ValueKind::custom_object) return false;
  return true;
}

// Errors of arithmetic on sizes say nothing of the node.
template <typename Work>
auto inferred_at(const Node& node, const Work& work) {
  try {
    return at_node(node, work);
  } catch (const Error& error) {
    const std::string place = describe(node);
    throw std::string_view(error.what()).starts_with(place) ? error : error.with_context(place);
  }
}

}  // namespace

std::optional<SymInt> infer_symbol_at(const Node& node) {
  return inferred_at(node, [&] { return infer_symbol(node); });
}

}  // namespace infer

std::optional<std::vector<TensorMeta>> infer_outputs(const Node& node) {
  const infer::Function rule = infer::find_rule(node.op());
  if (!rule || !infer::all_operands_have_metadata(node)) return std::nullopt;
  check_integers(node);
  infer::Inference inference(node);
  infer::inferred_at(node, [&] { rule(inference); });
  if (!inference.known) return std::nullopt;
  return std::move(inference.outputs);
}

std::vector<std::string_view> inferred_operators() { return operator_names(infer::rule_map()); }
bool has_inference_rule(Op op) { return infer::find_rule(op) != nullptr; }

std::optional<size_t> infer_list_length(const Node& node) {
  auto outputs = infer_outputs(node);
  if (!outputs) return std::nullopt;
  return outputs->size();
}

bool refresh_metadata(Node& node) {
  auto inferred = infer_outputs(node);
  if (!inferred || inferred->size() != node.outputs().size()) return false;
  for (size_t i = 0; i < inferred->size(); ++i) {
    Value* output = node.output(i);
    if (!output->is_tensor()) continue;
    TensorMeta& meta = output->meta();
    meta.dtype = (*inferred)[i].dtype;
    meta.sizes = std::move((*inferred)[i].sizes);
    meta.strides = std::move((*inferred)[i].strides);
    meta.storage_offset = 0;
  }
  return true;
}

void refresh_metadata(Graph& graph) {
  for (Node* node : graph.node_list()) refresh_metadata(*node);
}

std::optional<SymSizes> broadcast_sizes(const SymSizes& a, const SymSizes& b) {
  const SymSizes& longer = a.size() >= b.size() ? a : b;
  const SymSizes& shorter = a.size() >= b.size() ? b : a;
  SymSizes result = longer;
  const size_t skipped = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    const SymInt& one = longer[skipped + i];
    const SymInt& other = shorter[i];
    const bool one_is_unit = one.is_static() && one.value() == 1;
    const bool other_is_unit = other.is_static() && other.value() == 1;
    if (infer::surely_differ(one, other) && !one_is_unit && !other_is_unit) return std::nullopt;
    // A symbol beside a number stands for that number: the exporter has guarded on it.
    if (one_is_unit || (other.is_static() && !other_is_unit)) result[skipped + i] = other;
  }
  return result;
}

SymInt size_product(std::span<const SymInt> sizes) {
  SymInt result = 1;
  for (const SymInt& size : sizes) {
    if (result.is_static() && size.is_static()) {
      int64_t product = 0;
      if (__builtin_mul_overflow(result.value(), size.value(), &product)) throw_bad_input("the product of a tensor's sizes overflows");
      result = product;
    } else {
      result = result * size;
    }
  }
  return result;
}

namespace {

// `4*s0` is the factors 4 and s0; their hints are not known.
void append_factors(const SymExprPtr& expression, SymSizes& factors) {
  if (expression->kind == SymExpr::Kind::integer) return factors.push_back(expression->integer);
  if (expression->kind == SymExpr::Kind::call && expression->name == "Mul") {
    for (const SymExprPtr& argument : expression->arguments) append_factors(argument, factors);
    return;
  }
  factors.push_back(SymInt(expression, to_string(*expression), std::nullopt));
}

struct Factors {
  int64_t number = 1;
  SymSizes symbolic;
};

Factors factors_of(std::span<const SymInt> sizes) {
  SymSizes numbers;
  Factors result;
  for (const SymInt& size : sizes) {
    SymSizes parts;
    if (size.is_static()) parts.push_back(size);
    else append_factors(size.expression(), parts);
    for (const SymInt& part : parts) (part.is_static() ? numbers : result.symbolic).push_back(part);
  }
  result.number = size_product(numbers).value();
  return result;
}

}  // namespace

SymInt size_quotient(const SymSizes& numerator, const SymSizes& denominator) {
  Factors above = factors_of(numerator), below = factors_of(denominator);
  std::erase_if(below.symbolic, [&](const SymInt& factor) {
    auto same = std::find(above.symbolic.begin(), above.symbolic.end(), factor);
    if (same == above.symbolic.end()) return false;
    above.symbolic.erase(same);
    return true;
  });
  if (below.number == 0) return 0;
  const bool divides = above.number % below.number == 0;
  above.symbolic.insert(above.symbolic.begin(), SymInt(divides ? above.number / below.number : above.number));
  if (!divides) below.symbolic.push_back(SymInt(below.number));
  const SymInt result = floor_div(size_product(above.symbolic), size_product(below.symbolic));
  if (result.is_static()) return result;
  std::optional<int64_t> hint;
  const auto total = size_product(numerator).hint(), part = size_product(denominator).hint();
  if (total && part && *part > 0) hint = *total / *part;
  return SymInt(result.expression(), result.text(), hint);
}

std::optional<SymSizes> symbolic_sizes(const Argument& argument) {
  SymSizes sizes;
  if (const auto* number = argument.get_if<int64_t>()) return SymSizes{*number};
  if (const auto* list = argument.get_if<std::vector<int64_t>>()) {
    sizes.assign(list->begin(), list->end());
    return sizes;
  }
  // Lists whose every member is a symbol arrive as values.
  if (const auto* values = argument.get_if<std::vector<Value*>>()) {
    for (const Value* value : *values) {
      if (!value || !value->sym) return std::nullopt;
      sizes.push_back(*value->sym);
    }
    return sizes;
  }
  const auto* symbols = argument.get_if<std::vector<SymArg>>();
  if (!symbols) return std::nullopt;
  for (const SymArg& symbol : *symbols) {
    if (const auto* number = std::get_if<int64_t>(&symbol)) sizes.push_back(*number);
    else if (Value* const* value = std::get_if<Value*>(&symbol); value && *value && (*value)->sym) sizes.push_back(*(*value)->sym);
    else return std::nullopt;
  }
  return sizes;
}

}  // namespace intaglio
