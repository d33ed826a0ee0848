#include "report/html_graph.h"

#include <algorithm>
#include <memory>
#include <unordered_map>

#include <fmt/format.h>

#include "report/html_text.h"

namespace intaglio::report {
namespace {

constexpr size_t most_rows = 20'000;
constexpr size_t most_levels = 8;          // of modules: names below stand together
constexpr size_t most_rows_at_once = 500;  // behind one triangle

struct Module {
  std::string name;
  std::vector<std::unique_ptr<Module>> children;
  std::unordered_map<std::string, Module*> by_name;
  std::vector<const OpRow*> ops;
  uint64_t work = 0, quantized_work = 0, delegated_work = 0;
  size_t count = 0;

  void add(const OpRow& op) {
    ++count;
    work = saturating_add(work, op.work.amount);
    if (op.quantized) quantized_work = saturating_add(quantized_work, op.work.amount);
    if (!op.delegate.empty()) delegated_work = saturating_add(delegated_work, op.work.amount);
  }
  Module& child(const std::string& child_name) {
    Module*& place = by_name[child_name];
    if (place == nullptr) {
      children.push_back(std::make_unique<Module>());
      place = children.back().get();
      place->name = child_name;
    }
    return *place;
  }
};

double part(uint64_t share, uint64_t whole) { return whole == 0 ? 0 : static_cast<double>(share) / static_cast<double>(whole); }

class TreeWriter {
 public:
  explicit TreeWriter(const Module& root) : whole_(root.work) {}

  void write(const Module& module, const std::string& title, size_t level) {
    text_ += fmt::format(
        "<details class=\"module\"{}><summary><b>{}</b> <span class=\"dim\">{} operator{}, {} of the work</span> {} {}</summary>\n",
        level == 0 ? " open" : "", html(title), module.count, module.count == 1 ? "" : "s", percent_text(part(module.work, whole_)),
        bar("q", "quantized", part(module.quantized_work, module.work)), bar("d", "delegated", part(module.delegated_work, module.work)));
    write_ops(module.ops);
    for (const auto& child : module.children) {
      // A module that only holds another one is a part of its name.
      const Module* shown = child.get();
      std::string name = shown->name;
      while (shown->ops.empty() && shown->children.size() == 1) {
        shown = shown->children.front().get();
        name += "." + shown->name;
      }
      write(*shown, name, level + 1);
    }
    text_ += "</details>\n";
  }
  std::string take() { return std::move(text_); }

 private:
  static std::string bar(const char* kind, const char* word, double share) {
    return fmt::format("<span class=\"bar {}\" style=\"--p:{:.1f}%\" role=\"img\" aria-label=\"{} {}\" title=\"{} {}\"></span>", kind,
                       100 * share, word, percent_text(share), word, percent_text(share));
  }

  void write_ops(const std::vector<const OpRow*>& ops) {
    for (size_t from = 0; from < ops.size(); from += most_rows_at_once) {
      const size_t to = std::min(ops.size(), from + most_rows_at_once);
      const bool in_parts = ops.size() > most_rows_at_once;
      if (in_parts) text_ += fmt::format("<details class=\"module\"><summary>operators {} to {}</summary>\n", from + 1, to);
      text_ +=
          "<div class=\"scroll\"><table><thead><tr><th>operator</th><th>module</th><th>source</th><th "
          "class=\"n\">work</th><th>runs</th></tr></thead><tbody>\n";
      for (size_t i = from; i < to; ++i) write_op(*ops[i]);
      text_ += "</tbody></table></div>\n";
      if (in_parts) text_ += "</details>\n";
    }
  }

  void write_op(const OpRow& op) {
    const double share = part(op.work.amount, whole_);
    text_ += fmt::format(
        "<tr class=\"item op {}\"><td>{} <span class=\"dim\">{}</span></td><td>{}</td><td>{}</td>{}<td><span class=\"chip {}\">{}</span>",
        !op.quantized         ? "f"
        : op.delegate.empty() ? "q"
                              : "d",
        html(op.op), html(op.name), html(op.layer), html(op.source), number_cell(share, percent_text(share)), op.quantized ? "q" : "f",
        op.quantized ? "quantized" : "float");
    if (!op.delegate.empty()) text_ += fmt::format(" <span class=\"chip d\">{}</span>", html(op.delegate));
    if (!op.rule.empty()) text_ += fmt::format(" {}", html(op.rule));
    text_ += "</td></tr>\n";
  }

  uint64_t whole_;
  std::string text_;
};

}  // namespace

std::string module_tree(const std::vector<OpRow>& ops) {
  Module root;
  for (size_t i = 0; i < std::min(ops.size(), most_rows); ++i) {
    Module* module = &root;
    module->add(ops[i]);
    std::string_view path = ops[i].layer;
    for (size_t level = 1; !path.empty(); ++level) {
      const size_t dot = level == most_levels ? std::string_view::npos : path.find('.');
      module = &module->child(std::string(path.substr(0, dot)));
      module->add(ops[i]);
      path.remove_prefix(dot == std::string_view::npos ? path.size() : dot + 1);
    }
    module->ops.push_back(&ops[i]);
  }
  TreeWriter writer(root);
  writer.write(root, "the whole program", 0);
  std::string text = writer.take();
  if (ops.size() > most_rows) text += fmt::format("<p>Not shown: {} operators behind these.</p>\n", ops.size() - most_rows);
  return text;
}

}  // namespace intaglio::report
