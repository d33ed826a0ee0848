#include "report/html_page.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/number_text.h"
#include "report/html_assets.h"
#include "report/html_text.h"

namespace intaglio::report {
namespace {

constexpr size_t most_error_rows = 1000, most_memory_rows = 100, most_lines = 200;

std::string section(const char* id, const char* title, const std::string& note, const std::string& body) {
  return fmt::format("<section id=\"{}\" aria-labelledby=\"{}-title\"><h2 id=\"{}-title\">{}</h2>\n{}{}</section>\n", id, id, id, title,
                     note.empty() ? "" : fmt::format("<p class=\"dim\">{}</p>\n", html(note, 1000)), body);
}

std::string list(const std::vector<std::string>& lines) {
  std::string text = "<ul>\n";
  for (size_t i = 0; i < std::min(lines.size(), most_lines); ++i) text += fmt::format("<li>{}</li>\n", html(lines[i], 1000));
  if (lines.size() > most_lines) text += fmt::format("<li>and {} more</li>\n", lines.size() - most_lines);
  return text + "</ul>\n";
}

std::string summary_section(const Page& page) {
  std::string body = "<dl class=\"facts\">\n";
  for (const PageFact& fact : page.facts) {
    const std::string text = fact.is_time ? fmt::format("<time>{}</time>", html(fact.text)) : html(fact.text);
    const std::string value = fact.value && !fact.is_time ? fmt::format(" data-v=\"{}\"", *fact.value) : "";
    body += fmt::format("<div><dt>{}</dt><dd{}>{}</dd></div>\n", html(fact.name), value, text);
  }
  body += "</dl>\n";
  if (!page.notes.empty()) body += list(page.notes);
  if (!page.warnings.empty()) body += "<h3>Warnings</h3>\n" + list(page.warnings);
  return section("summary", "Summary", "", body);
}

// A table whose columns sort.
struct Column {
  const char* title;
  bool is_number = false;
};
std::string table_head(const std::vector<Column>& columns, const char* label) {
  std::string head = fmt::format("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table><thead><tr>", label);
  for (const Column& column : columns)
    head +=
        fmt::format("<th scope=\"col\"{}><button type=\"button\">{}</button></th>", column.is_number ? " class=\"n\"" : "", column.title);
  return head + "</tr></thead><tbody>\n";
}
constexpr const char* table_end = "</tbody></table></div>\n";

struct ErrorRow {
  const LayerDifference* difference = nullptr;
  const LayerSensitivity* sensitivity = nullptr;
};

// What costs most first: by what leaving the layer in float gains where that is known, then by how far its values are off.
std::vector<ErrorRow> sorted_errors(const Page& page) {
  std::unordered_map<std::string_view, const LayerDifference*> by_value;
  for (const LayerDifference& row : page.errors) by_value.emplace(row.value, &row);
  std::vector<ErrorRow> rows;
  if (page.sensitivity)
    for (const LayerSensitivity& row : page.sensitivity->layers) {
      const auto found = by_value.find(row.value);
      rows.push_back({found == by_value.end() ? nullptr : found->second, &row});
      if (found != by_value.end()) by_value.erase(found);
    }
  const size_t ranked = rows.size();
  for (const LayerDifference& row : page.errors)
    if (by_value.contains(row.value)) rows.push_back({&row, nullptr});
  std::ranges::stable_sort(rows.begin() + static_cast<std::ptrdiff_t>(ranked), rows.end(), {},
                           [](const ErrorRow& row) { return row.difference->metrics.sqnr_db; });
  return rows;
}

std::string error_row(const ErrorRow& row) {
  const auto optional = [](bool known, double value, const std::string& text) {
    return number_cell(known ? std::optional(value) : std::nullopt, text);
  };
  const auto share = [](const std::optional<double>& value) { return number_cell(value, percent_text(value.value_or(0))); };
  const auto words = [](const auto& from) {
    return fmt::format("<tr class=\"item\"><td>{}</td><td>{}</td><td>{}</td><td>{}</td>", html(from.layer), html(from.value), html(from.op),
                       html(from.source));
  };
  const LayerSensitivity cost = row.sensitivity ? *row.sensitivity : LayerSensitivity{};
  const LayerDifference seen = row.difference ? *row.difference : LayerDifference{};
  const bool is_ranked = row.sensitivity != nullptr, is_seen = row.difference != nullptr;
  return fmt::format("{}{}{}{}{}{}{}{}</tr>\n", is_seen ? words(seen) : words(cost),
                     optional(is_ranked, cost.gained_db, fmt::format("{:+.2f} dB", cost.gained_db)),
                     optional(is_ranked, cost.alone_db, decibel_text(cost.alone_db)),
                     optional(is_seen, seen.metrics.sqnr_db, decibel_text(seen.metrics.sqnr_db)),
                     optional(is_seen, seen.metrics.cosine, fmt::format("{:.6f}", seen.metrics.cosine)),
                     optional(is_seen, seen.metrics.max_abs_error, fmt::format("{:.4g}", seen.metrics.max_abs_error)), share(seen.clipped),
                     share(seen.range_used));
}

std::string errors_section(const Page& page) {
  const std::vector<ErrorRow> rows = sorted_errors(page);
  std::string body;
  if (!rows.empty()) {
    body = table_head({{"module"},
                       {"value"},
                       {"operator"},
                       {"source"},
                       {"gained in float", true},
                       {"quantized alone", true},
                       {"SQNR", true},
                       {"cosine", true},
                       {"largest error", true},
                       {"clipped", true},
                       {"range used", true}},
                      "errors by layer");
    for (size_t i = 0; i < std::min(rows.size(), most_error_rows); ++i) body += error_row(rows[i]);
    body += table_end;
    if (rows.size() > most_error_rows) body += fmt::format("<p>Not shown: the {} that cost least.</p>\n", rows.size() - most_error_rows);
  }
  return section("errors", "Errors by layer", page.errors_note, body);
}

std::string histogram_section(const char* id, const char* title, const std::string& note, const std::vector<ValueHistogram>& histograms) {
  std::string body = "<div class=\"cards\">\n";
  for (const ValueHistogram& histogram : histograms) body += histogram_figure(histogram);
  return section(id, title, note, body + "</div>\n");
}

std::string memory_section(const Page& page) {
  std::string body;
  for (const MethodContents& method : page.memory) {
    body += fmt::format("<h3>Method {}</h3>\n", html(method.name));
    for (const Arena& arena : method.arenas) body += memory_chart(method, arena);
    if (method.tensors.empty()) continue;
    body += table_head({{"value", true}, {"role"}, {"type"}, {"bytes", true}, {"offset", true}, {"first", true}, {"last", true}},
                       "planned tensors");
    for (size_t i = 0; i < std::min(method.tensors.size(), most_memory_rows); ++i) {
      const PlannedTensor& tensor = method.tensors[i];
      const auto number = [](uint64_t value, const std::string& text) { return number_cell(static_cast<double>(value), text); };
      const auto plain = [&](uint64_t value) { return number(value, fmt::format("{}", value)); };
      body += fmt::format("<tr>{}<td>{}</td><td>{} [{}]</td>{}{}{}{}</tr>\n", plain(tensor.value), html(tensor.role), html(tensor.dtype),
                          html(fmt::format("{}", fmt::join(tensor.sizes, ", "))), number(tensor.bytes, bytes_text(tensor.bytes)),
                          plain(tensor.offset), plain(tensor.first), plain(tensor.last));
    }
    body += table_end;
    if (method.tensors.size() > most_memory_rows)
      body += fmt::format("<p>Not listed: the {} smallest.</p>\n", method.tensors.size() - most_memory_rows);
  }
  return section("memory", "Memory over time", page.memory_note, body);
}

}  // namespace

std::string to_html(const Page& page) {
  std::string text = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src "
      "'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><title>{}</title>\n<style>{}</style></head>\n<body>\n"
      "<a class=\"skip\" href=\"#summary\">To the summary</a>\n<h1>{}</h1>\n<div class=\"tools\" role=\"search\"><input id=\"search\" "
      "type=\"search\" aria-label=\"search operators, modules, source lines\" placeholder=\"Search: module, operator, file (/)\" "
      "autocomplete=\"off\"><span id=\"found\" role=\"status\"></span><button type=\"button\" id=\"open\">Open all</button><button "
      "type=\"button\" "
      "id=\"close\">Close all</button></div>\n<main>\n",
      html(page.title), page_style, html(page.title));
  text += summary_section(page);
  text += section("graph", "Graph by module", page.ops_note, page.ops.empty() ? "" : module_tree(page.ops));
  text += errors_section(page);
  text += histogram_section("activations", "Activations", page.activations_note, page.activations);
  text += histogram_section("weights", "Weights", page.weights_note, page.weights);
  text += memory_section(page);
  return text + fmt::format("</main>\n<script>{}</script>\n</body></html>\n", page_script);
}

}  // namespace intaglio::report
