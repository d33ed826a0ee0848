#include "recipes/rules.h"

#include <algorithm>

#include <intaglio/xnnpack.h>

namespace intaglio {
namespace {

bool type_matches(std::string_view pattern, std::string_view type) {
  if (type == pattern) return true;
  const size_t dot = type.rfind('.');
  return dot != std::string_view::npos && type.substr(dot + 1) == pattern;
}

bool op_matches(std::string_view pattern, Op op) {
  return op.name() == pattern || op.base() == pattern || std::string(op.name_space()) + "." + std::string(op.base()) == pattern;
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

bool matches(const RuleMatch& match, const Node& node) {
  const std::vector<ModuleScope> stack = module_stack(node);
  const auto any_scope = [&](auto predicate) { return std::any_of(stack.begin(), stack.end(), predicate); };
  if (match.module_name && !any_scope([&](const ModuleScope& scope) { return glob_matches(*match.module_name, scope.path); })) return false;
  if (match.module_type && !any_scope([&](const ModuleScope& scope) { return type_matches(*match.module_type, scope.type); })) return false;
  return !match.op || op_matches(*match.op, node.op());
}

RuleQuantizer::RuleQuantizer(std::vector<RecipeRule> rules, Compat compat) : rules_(std::move(rules)), compat_(compat) {}

void RuleQuantizer::transform_for_annotation(ExportedProgram& program) const {
  xnnpack::XnnpackQuantizer(compat_).transform_for_annotation(program);
}

void RuleQuantizer::annotate(const ExportedProgram& program, Annotations& annotations) const {
  for (size_t index = 0; index < rules_.size(); ++index) {
    if (!rules_[index].config) continue;
    xnnpack::XnnpackQuantizer quantizer(compat_);
    quantizer.set_global(*rules_[index].config);
    quantizer.set_filter_function([this, index](const Node& node) {
      const auto first = std::find_if(rules_.begin(), rules_.end(), [&](const RecipeRule& rule) { return matches(rule.match, node); });
      return static_cast<size_t>(first - rules_.begin()) == index;
    });
    quantizer.annotate(program, annotations);
  }
}

void RuleQuantizer::validate(const ExportedProgram&, const Annotations&) const {}

}  // namespace intaglio
