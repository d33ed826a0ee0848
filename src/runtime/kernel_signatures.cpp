#include <algorithm>
#include <unordered_map>
#include <utility>

#include <intaglio/error.h>

#include "runtime/kernel_registry.h"

namespace intaglio::runtime {
namespace {

struct Row {
  std::string_view name, functional, signature;
};
constexpr Row kRows[] = {
#define KERNEL(name, functional, signature) {name, functional, signature},
#include "runtime/kernel_schemas.inc"
#undef KERNEL
};

bool take(std::string_view& text, char wanted) {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(1);
  return true;
}

// "i[2]? dim": a letter, then `?` of the items, the list, `?` of the whole.
KernelParameter parse_parameter(std::string_view text) {
  KernelParameter parameter;
  parameter.kind = text.front();
  text.remove_prefix(1);
  parameter.optional = take(text, '?');
  if (take(text, '[')) {
    parameter.list = true;
    parameter.optional_items = std::exchange(parameter.optional, false);
    while (!take(text, ']')) {
      parameter.fixed_length = parameter.fixed_length * 10 + (text.front() - '0');
      text.remove_prefix(1);
    }
    parameter.optional = take(text, '?');
  }
  parameter.name = text.substr(1);
  return parameter;
}

std::vector<KernelParameter> parse_list(std::string_view text) {
  std::vector<KernelParameter> parameters;
  while (!text.empty()) {
    const size_t end = text.find(", ");
    parameters.push_back(parse_parameter(text.substr(0, end)));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 2);
  }
  return parameters;
}

struct Table {
  std::vector<KernelSignature> signatures;
  std::unordered_map<std::string_view, const KernelSignature*> by_name, by_functional;

  Table() {
    signatures.reserve(std::size(kRows));
    for (const Row& row : kRows) {
      const size_t arrow = row.signature.find(" > ");
      signatures.push_back(
          {row.name, row.functional, parse_list(row.signature.substr(0, arrow)), parse_list(row.signature.substr(arrow + 3))});
    }
    for (const auto& signature : signatures) {
      by_name.emplace(signature.name, &signature);
      if (!signature.functional.empty()) by_functional.emplace(signature.functional, &signature);
    }
  }
};

const Table& table() {
  static const Table instance;
  return instance;
}

}  // namespace

const KernelSignature* kernel_signature(std::string_view name) {
  const auto found = table().by_name.find(name);
  return found == table().by_name.end() ? nullptr : found->second;
}

const KernelSignature* kernel_serving(std::string_view functional) {
  const auto found = table().by_functional.find(functional);
  return found == table().by_functional.end() ? nullptr : found->second;
}

}  // namespace intaglio::runtime
