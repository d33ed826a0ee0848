#include "backends/exynos/enn_graph.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/number_text.h"
#include "ir/json.h"

namespace intaglio::exynos {
namespace {

constexpr DataType data_types[] = {{DType::int8, "INT8"},       {DType::uint8, "UINT8"},    {DType::int16, "INT16"},
                                   {DType::uint16, "UINT16"},   {DType::int32, "INT32"},    {DType::int64, "INT64"},
                                   {DType::float16, "FLOAT16"}, {DType::float32, "FLOAT32"}};
constexpr std::string_view kind_names[] = {"INPUT", "OUTPUT", "CONSTANT", "FEATUREMAP"};

std::string_view integer_type(int64_t low, int64_t high) {
  if (low < 0) return low >= INT32_MIN && high <= INT32_MAX ? "INT32" : "INT64";
  return high <= UINT32_MAX ? "UINT32" : "UINT64";
}

std::string text_of(const EnnParam::Value& value) {
  struct Text {
    std::string operator()(const std::string& text) const { return escaped(text); }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(double number) const { return json::float_text(number); }
    std::string operator()(const std::vector<int64_t>& numbers) const { return fmt::format("[{}]", fmt::join(numbers, ", ")); }
    std::string operator()(const std::vector<double>& numbers) const {
      std::vector<std::string> texts;
      for (const double number : numbers) texts.push_back(json::float_text(number));
      return fmt::format("[{}]", fmt::join(texts, ", "));
    }
  };
  return std::visit(Text(), value);
}

// At most four of them.
template <typename T>
std::string few(const std::vector<T>& numbers) {
  constexpr size_t most = 4;
  const auto end = numbers.begin() + static_cast<std::ptrdiff_t>(std::min(numbers.size(), most));
  return fmt::format("[{}{}]", fmt::join(numbers.begin(), end, ", "), numbers.size() > most ? fmt::format(", ... {}", numbers.size()) : "");
}

}  // namespace

std::string_view EnnParam::element_type() const {
  if (std::holds_alternative<std::string>(value)) return "CHAR";
  if (std::holds_alternative<bool>(value)) return "BOOL";
  if (const auto* number = std::get_if<int64_t>(&value)) return integer_type(*number, *number);
  const auto* numbers = std::get_if<std::vector<int64_t>>(&value);
  if (numbers == nullptr) return "FLOAT64";
  if (numbers->empty()) return "UINT32";
  const auto [low, high] = std::ranges::minmax(*numbers);
  return integer_type(low, high);
}

const EnnParam* EnnOp::find(std::string_view param) const {
  const auto found = std::ranges::find(params, param, &EnnParam::name);
  return found == params.end() ? nullptr : &*found;
}

std::string_view data_type_name(DType dtype) {
  const auto found = std::ranges::find(data_types, dtype, &DataType::dtype);
  return found == std::end(data_types) ? "" : found->name;
}

std::optional<DType> data_type_of(std::string_view name) {
  const auto found = std::ranges::find(data_types, name, &DataType::name);
  return found == std::end(data_types) ? std::nullopt : std::optional(found->dtype);
}

std::string_view kind_name(EnnKind kind) { return kind_names[static_cast<size_t>(kind)]; }

std::optional<EnnKind> kind_of(std::string_view name) {
  const auto found = std::ranges::find(kind_names, name);
  if (found == std::end(kind_names)) return std::nullopt;
  return static_cast<EnnKind>(found - std::begin(kind_names));
}

std::string to_string(const EnnGraph& graph, const EnnOp& op) {
  const auto names = [&](const std::vector<uint32_t>& ids) {
    std::vector<std::string> texts;
    for (const uint32_t id : ids) texts.push_back(fmt::format("%{}", escaped(graph.tensors.at(id).name)));
    return fmt::format("{}", fmt::join(texts, ", "));
  };
  std::string text = fmt::format("{} = {}({})", names(op.outputs), escaped(op.type), names(op.inputs));
  for (const EnnParam& param : op.params) text += fmt::format(" {}={}:{}", escaped(param.name), text_of(param.value), param.element_type());
  return text;
}

std::string to_string(const EnnGraph& graph) {
  std::string text = fmt::format("chipset {}\n", name(graph.chipset));
  for (const EnnTensor& tensor : graph.tensors) {
    text += fmt::format("{} %{}: {} [{}] {}", kind_name(tensor.kind), escaped(tensor.name), tensor.data_type, fmt::join(tensor.dims, ", "),
                        tensor.layout());
    if (tensor.quantize) {
      const EnnQuantize& quantize = *tensor.quantize;
      text += fmt::format(" quantize('{}', {}, {})", escaped(quantize.type), few(quantize.scales), few(quantize.zero_points));
    }
    text += '\n';
  }
  for (const EnnOp& op : graph.ops) text += to_string(graph, op) + '\n';
  const auto names = [&](const char* title, const std::vector<uint32_t>& ids) {
    for (const uint32_t id : ids) text += fmt::format("{} %{}\n", title, escaped(graph.tensors.at(id).name));
  };
  names("in", graph.inputs);
  names("out", graph.outputs);
  return text;
}

}  // namespace intaglio::exynos
