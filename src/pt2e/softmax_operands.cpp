#include "pt2e/passes.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_map>

#include "pt2e/passes.h"

namespace intaglio::pt2e {
namespace {

using Names = std::span<const std::string_view>;

// Operators by the middle of their names, for every overload; all but softmaxes in the in-place form too.
constexpr std::string_view softmaxes[] = {"softmax",         "_softmax",    "_safe_softmax", "_masked_softmax",
                                          "special_softmax", "log_softmax", "_log_softmax",  "special_log_softmax"};
// Where a step of int8 is too much as well: ratios count, or what is left of whole turns.
constexpr std::string_view fine[] = {"exp", "log", "log2", "log10", "logsumexp", "logcumsumexp", "sqrt", "rsqrt", "sin", "cos", "tan"};
// What scales, shifts, clips and selects: a mask's number stays one.
constexpr std::string_view arithmetic[] = {
    "add",     "sub",       "rsub",      "mul",      "div",   "neg",   "where", "masked_fill", "masked_scatter", "maximum",
    "minimum", "clamp_min", "clamp_max", "hardtanh", "relu",  "relu6", "tanh",  "nan_to_num",  "amax",           "max",
    "clamp",   "ceil",      "floor",     "round",    "trunc", "sign",  "abs",   "fmod",        "remainder"};
// What moves values and fills in others, beside views.
constexpr std::string_view moves[] = {
    "dropout", "native_dropout",  "to",   "type_as", "clone", "lift_fresh", "_unsafe_view", "repeat", "tile",   "cat",  "concat", "stack",
    "pad",     "constant_pad_nd", "roll", "flip",    "tril",  "triu",       "index_select", "index",  "gather", "topk", "sort",   "copy"};
constexpr std::string_view fills[] = {"scatter", "slice_scatter", "select_scatter", "index_put", "index_fill", "repeat_interleave"};
// What makes a boolean mask of a numeric one, or one of others.
constexpr std::string_view logic[] = {"eq",          "ne",          "gt",          "lt",          "ge",         "le",
                                      "isinf",       "isneginf",    "logical_not", "logical_and", "logical_or", "logical_xor",
                                      "bitwise_not", "bitwise_and", "bitwise_or",  "__and__",     "__or__"};

// Readers that take scores or masks in one argument alone.
struct ArgumentRow {
  std::string_view op;
  std::string_view argument;
  bool ends;  // in a softmax of its own
};
constexpr ArgumentRow argument_rows[] = {
    {"scaled_dot_product_attention", "attn_mask", true},
    {"_scaled_dot_product_attention_math", "attn_mask", true},
    {"_scaled_dot_product_flash_attention_for_cpu", "attn_mask", true},
    {"_scaled_dot_product_efficient_attention", "attn_bias", true},
    {"baddbmm", "self", false},
    {"addmm", "self", false},
};

// Where a value goes. Nowhere: it is returned, compared or counted, for which it needs no range.
enum class Reach : uint8_t { nowhere, softmax, elsewhere };

Reach joined(Reach a, Reach b) { return std::max(a, b); }

bool names(Names list, std::string_view base) { return std::ranges::find(list, base) != list.end(); }

bool passes_on(Op op) {
  std::string_view base = op.base();
  if ((op.schema() != nullptr && op.schema()->is_view()) || base.ends_with("_copy")) return true;
  if (base.ends_with('_')) base.remove_suffix(1);
  return names(arithmetic, base) || names(moves, base) || names(fills, base) || names(logic, base);
}

class Search {
 public:
  explicit Search(const Graph& graph) : graph_(graph) {}

  // Readers come after what they read, so one pass from the end knows them all.
  std::unordered_set<const Value*> run() {
    std::unordered_set<const Value*> found;
    const std::vector<Node*> nodes = graph_.node_list();
    const auto visit = [&](const Value* value) {
      if ((reach_[value] = of_readers(*value)) == Reach::softmax && is_real(value)) found.insert(value);
    };
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
      for (const Value* output : (*node)->outputs()) visit(output);
    for (const Value* input : graph_.inputs()) visit(input);
    return found;
  }

 private:
  Reach of_readers(const Value& value) const {
    Reach reach = Reach::nowhere;
    for (const Node* reader : value.users()) reach = joined(reach, through(*reader, value));
    return reach;
  }

  Reach through(const Node& reader, const Value& value) const {
    if (&reader == &graph_.output_node()) return Reach::nowhere;
    if (is_cast(reader) && is_integer(reader.output())) return Reach::softmax;
    if (std::ranges::none_of(reader.outputs(), carries_values)) return Reach::nowhere;
    const Reach reach = through_op(reader, value);
    // Being compared is no reason for a range, unless it is a mask that is made.
    const bool is_compared = is_real(&value) && std::ranges::none_of(reader.outputs(), is_real);
    return is_compared && reach == Reach::elsewhere ? Reach::nowhere : reach;
  }

  Reach through_op(const Node& reader, const Value& value) const {
    const std::string_view base = reader.op().base();
    for (const ArgumentRow& row : argument_rows)
      if (row.op == base)
        return !reads_only_as(reader, value, row.argument) ? Reach::elsewhere : row.ends ? Reach::softmax : of_results(reader);
    if (names(softmaxes, base) || names(fine, base)) return Reach::softmax;
    return passes_on(reader.op()) ? of_results(reader) : Reach::elsewhere;
  }

  static bool is_integer(const Value* output) {
    return output->is_tensor() && !is_floating(output->dtype()) && !is_complex(output->dtype()) && output->dtype() != DType::boolean;
  }
  static bool is_real(const Value* output) { return output->is_tensor() && is_floating(output->dtype()); }
  static bool carries_values(const Value* output) { return is_real(output) || (output->is_tensor() && output->dtype() == DType::boolean); }

  static bool reads_only_as(const Node& reader, const Value& value, std::string_view argument) {
    return std::ranges::all_of(reader.arguments(), [&](const NamedArgument& named) {
      const auto* read = named.value.get_if<Value*>();
      return read == nullptr || *read != &value || named.name == argument;
    });
  }

  Reach of_results(const Node& node) const {
    Reach reach = Reach::nowhere;
    for (const Value* output : node.outputs())
      if (carries_values(output)) reach = joined(reach, reach_.at(output));
    return reach;
  }

  const Graph& graph_;
  std::unordered_map<const Value*, Reach> reach_;
};

}  // namespace

std::unordered_set<const Value*> softmax_operands(const Graph& graph) { return Search(graph).run(); }

}  // namespace intaglio::pt2e
