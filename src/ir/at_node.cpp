#include "ir/at_node.h"

#include <algorithm>

namespace intaglio {
namespace {

// Products of two stay within 64 bits; sizes of the runtime within 32.
bool is_far(int64_t number) { return number > int64_t{1} << 31 || number < -(int64_t{1} << 31); }

bool counts(const OpSchema& schema, const NamedArgument& argument) {
  const ArgSchema* formal = schema.find(argument.name);
  const bool is_end = argument.name == "end" || argument.name == "high" || argument.name == "low" || argument.name.starts_with("quant_");
  return formal != nullptr && !is_end && (formal->type == ArgType::integer || formal->type == ArgType::integer_list);
}

}  // namespace

void check_integers(const Node& node) {
  const OpSchema* schema = node.op().schema();
  if (schema == nullptr || node.op().base().starts_with("slice")) return;
  for (const NamedArgument& argument : node.arguments()) {
    const auto* number = argument.value.get_if<int64_t>();
    const auto* list = argument.value.get_if<std::vector<int64_t>>();
    const bool far = (number != nullptr && is_far(*number)) || (list != nullptr && std::ranges::any_of(*list, is_far));
    if (far && counts(*schema, argument)) throw_bad_input(fmt::format("{}: argument '{}' is out of range", describe(node), argument.name));
  }
}

}  // namespace intaglio
