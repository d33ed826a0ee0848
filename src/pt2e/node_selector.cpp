#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/pattern_quantizer.h>

#include "decompose/regions.h"
#include "pt2e/pattern_table.h"

namespace intaglio {

using namespace pt2e;
namespace {

bool type_matches(std::string_view pattern, std::string_view type) {
  if (glob_matches(pattern, type)) return true;
  const size_t dot = type.rfind('.');
  return dot != std::string_view::npos && glob_matches(pattern, type.substr(dot + 1));
}

bool op_matches(std::string_view pattern, Op op) {
  const std::string without_overload = std::string(op.name_space()) + "." + std::string(op.base());
  return glob_matches(pattern, op.name()) || glob_matches(pattern, op.base()) || glob_matches(pattern, without_overload);
}

// `aten.add` of `aten.add_.Tensor`.
std::string_view family(std::string_view op) {
  const size_t space = op.find('.');
  const size_t overload = space == std::string_view::npos ? space : op.find('.', space + 1);
  std::string_view base = op.substr(0, overload);
  if (base.ends_with('_')) base.remove_suffix(1);
  return base;
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  // The last `*` and where its match began: on a mismatch it takes one character more.
  size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool NodeSelector::matches(const Node& node) const {
  if (op && !op_matches(*op, node.op())) return false;
  if (op_family && family(*op_family) != family(node.op().name())) return false;
  const auto is_of_source = [&](const ModuleScope& scope) { return scope.type == *source_type; };
  if (source_type && std::ranges::none_of(source_stack(node), is_of_source)) return false;
  if (!module_name && !module_glob && !module_type) return true;
  const std::vector<ModuleScope> stack = module_stack(node);
  const auto in_module = [&](const std::optional<std::string>& wanted, auto fits) {
    return !wanted || std::ranges::any_of(stack, [&](const ModuleScope& scope) { return fits(*wanted, scope); });
  };
  return in_module(module_name, [](const std::string& name, const ModuleScope& scope) { return scope.path == name; }) &&
         in_module(module_glob, [](const std::string& glob, const ModuleScope& scope) { return glob_matches(glob, scope.path); }) &&
         in_module(module_type, [](const std::string& type, const ModuleScope& scope) { return type_matches(type, scope.type); });
}

std::string to_string(const NodeSelector& selector) {
  std::string modules;
  if (selector.module_name) modules = fmt::format("module '{}'", escaped(*selector.module_name));
  else if (selector.module_glob) modules = fmt::format("module '{}'", escaped(*selector.module_glob));
  if (const auto& type = selector.module_type ? selector.module_type : selector.source_type)
    modules += fmt::format("{}type '{}'", modules.empty() ? "every module of " : " of ", escaped(*type));
  const auto& op = selector.op ? selector.op : selector.op_family;
  if (!op) return modules.empty() ? "every operator" : modules;
  return fmt::format("every operator '{}'{}{}", escaped(*op), modules.empty() ? "" : " in ", modules);
}

std::vector<const Node*> matching_nodes(const Graph& graph, const NodeSelector& selector) {
  std::vector<const Node*> nodes;
  for (const Node* node : graph.node_list()) {
    if (selector.matches(*node)) nodes.push_back(node);
    for (const Graph* inside : decompose::subgraphs_of(*node))
      std::ranges::copy(matching_nodes(*inside, selector), std::back_inserter(nodes));
  }
  return nodes;
}

}  // namespace intaglio
