#include "cli/explanation_text.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

namespace intaglio::cli {
namespace {

// What a brief list shows before it says how many more there are.
constexpr size_t brief_rows = 5;

using Rows = std::vector<std::vector<std::string>>;

// Descriptions of nodes and calls name many sizes; names from files are kept short by `escaped` itself.
constexpr size_t longest_text = 2000;
std::string text(const Json& object, const char* key) { return escaped(object[key].get<std::string>(), longest_text); }

std::string plural(size_t count, const char* what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }

// The rule without the operator's name in front, which stands beside it.
std::string rule(const Json& op) {
  const std::string text = op["rule"].get<std::string>(), name = op["op"].get<std::string>() + ": ";
  return escaped(text.starts_with(name) ? text.substr(name.size()) : text, longest_text);
}

std::string place(const Json& op) {
  const std::string layer = text(op, "layer"), source = text(op, "source");
  if (layer.empty()) return source;
  return source.empty() ? layer : fmt::format("{} ({})", layer, source);
}

std::string counts_text(const Json& counts, const char* key) {
  std::vector<std::string> parts;
  for (const Json& entry : counts) parts.push_back(fmt::format("{} {}", entry["count"].get<size_t>(), text(entry, key)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

double sum_of_shares(const Json& list) {
  double sum = 0;
  for (const Json& entry : list) sum += entry.value("share", 0.0);
  return sum;
}

// All rows, or the first ones and a line that says how many there are.
std::string cut_table(Rows rows, const std::vector<size_t>& right, bool verbose, const char* what, size_t headings = 0) {
  const size_t all = rows.size();
  const size_t kept = brief_rows + headings;
  if (!verbose && all > kept + 1) rows.resize(kept);
  std::string result = table(rows, right);
  if (rows.size() < all) result += fmt::format("    and {} {} more; --verbose lists them\n", all - rows.size(), what);
  return result;
}

std::string sizes_text(const Json& sizes) {
  std::vector<std::string> parts;
  for (const Json& size : sizes) parts.push_back(size.dump());
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

std::string delegates_text(const Json& delegates, bool verbose) {
  std::string result;
  size_t index = 0;
  for (const Json& delegate : delegates) {
    if (!verbose && index == brief_rows && delegates.size() > brief_rows + 1) {
      result += fmt::format("    and {} delegates more; --verbose lists them\n", delegates.size() - index);
      break;
    }
    result += fmt::format("  delegate {} {}, payload {}", index++, text(delegate, "backend"),
                          bytes_text(delegate["payload_bytes"].get<uint64_t>()));
    if (!delegate["decoded"].get<bool>()) {
      result += "\n";
      continue;
    }
    result += fmt::format(", {} of the work\n    {}: {}\n    results: {}; {}\n", percent(delegate["share"].get<double>()),
                          plural(delegate["nodes"].size(), "node"), counts_text(delegate["kinds"], "kind"),
                          counts_text(delegate["dtypes"], "dtype"), plural(delegate["fused_clamps"].get<size_t>(), "fused clamp"));
    if (!verbose) continue;
    for (const Json& node : delegate["nodes"])
      result += fmt::format("    {:>7}  {}\n", percent(node["share"].get<double>()), text(node, "text"));
  }
  return result;
}

std::string memory_text(const Json& memory, const Json& chain, bool verbose) {
  std::string result;
  for (const Json& arena : memory["arenas"]) {
    const size_t at = arena["peak_instruction"].get<size_t>();
    result += fmt::format("  arena {}: {} for {}", arena["id"].get<size_t>(), bytes_text(arena["bytes"].get<uint64_t>()),
                          plural(arena["tensors"].get<size_t>(), "tensor"));
    if (arena["tensors"].get<size_t>() > 0)
      result += fmt::format("; at most {} at once, in instruction {} ({})", bytes_text(arena["peak_bytes"].get<uint64_t>()), at,
                            at < chain.size() ? text(chain[at], "name") : "");
    result += "\n";
  }
  Rows rows;
  for (const Json& tensor : memory["tensors"])
    rows.push_back({"    v" + std::to_string(tensor["value"].get<size_t>()), text(tensor, "role"),
                    text(tensor, "dtype") + sizes_text(tensor["sizes"]), bytes_text(tensor["bytes"].get<uint64_t>()),
                    fmt::format("arena {} at {}", tensor["arena"].get<size_t>(), tensor["offset"].get<uint64_t>()),
                    fmt::format("instructions {} to {}", tensor["first"].get<size_t>(), tensor["last"].get<size_t>())});
  return result + cut_table(std::move(rows), {3}, verbose, "tensors");
}

size_t calls_of(const Json& operators) {
  size_t calls = 0;
  for (const Json& op : operators) calls += op["count"].get<size_t>();
  return calls;
}

struct Group {
  const Json* first = nullptr;
  size_t count = 0;
  double share = 0;
};

}  // namespace

std::string percent(double share) {
  if (share > 0 && share < 0.0005) return "<0.1 %";
  return fmt::format("{:.1f} %", 100 * share);
}

std::string ops_text(const Json& ops, bool verbose) {
  if (ops.empty()) return "";
  Rows rows;
  if (verbose) {
    rows.push_back({"  share", "operator", "layer (source)", "rule it breaks"});
    for (const Json& op : ops) rows.push_back({"  " + percent(op["share"].get<double>()), text(op, "op"), place(op), rule(op)});
    return table(rows, {0});
  }
  std::vector<Group> groups;  // ops come largest first
  for (const Json& op : ops) {
    auto group =
        std::ranges::find_if(groups, [&](const Group& g) { return (*g.first)["op"] == op["op"] && (*g.first)["rule"] == op["rule"]; });
    if (group == groups.end()) group = groups.insert(groups.end(), Group{&op, 0, 0});
    ++group->count;
    group->share += op["share"].get<double>();
  }
  std::ranges::stable_sort(groups, std::greater(), &Group::share);
  rows.push_back({"  share", "count", "operator", "layer (source)", "rule it breaks"});
  for (const Group& group : groups) {
    const std::string where = place(*group.first);
    rows.push_back({"  " + percent(group.share), std::to_string(group.count), text(*group.first, "op"),
                    group.count > 1 && !where.empty() ? where + ", ..." : where, rule(*group.first)});
  }
  return cut_table(std::move(rows), {0, 1}, false, "kinds", 1);
}

std::string delegation_text(const Json& delegation, bool verbose) {
  const std::string backend = text(delegation, "backend");
  const std::string error = delegation["error"].is_null() ? "" : fmt::format("  no .pte can be written: {}\n", text(delegation, "error"));
  if (!delegation.contains("outside")) return fmt::format("lowering to {}\n{}", backend, error);
  const Json &delegates = delegation["delegates"], &outside = delegation["outside"];
  return fmt::format("lowering to {}: {} with {} of the work, {} outside\n", backend, plural(delegates.size(), "delegate"),
                     percent(sum_of_shares(delegates)), plural(outside.size(), "operator")) +
         ops_text(outside, verbose) + (delegation.contains("runtime") ? fmt::format("  {}\n", text(delegation["runtime"], "text")) : error);
}

std::string quantization_text(const Json& quantization, bool verbose) {
  const Json& in_float = quantization["in_float"];
  const std::string by = quantization["recipe"].is_null() ? "quantized" : text(quantization, "recipe") + " would quantize";
  return fmt::format("{}: {} of the work, {} in float\n", by, percent(quantization["quantized_share"].get<double>()),
                     plural(in_float.size(), "operator")) +
         ops_text(in_float, verbose);
}

std::string lowering_text(const Json& methods, const std::string& hint) {
  std::string result;
  bool any = false;
  for (const Json& method : methods) {
    const Json &delegates = method["delegates"], &outside = method["leftover_ops"];
    any |= !outside.empty();
    result += fmt::format("{}: {}", text(method, "name"), plural(delegates.size(), "delegate"));
    if (!delegates.empty()) result += fmt::format(" with {} of the work", percent(sum_of_shares(delegates)));
    result += outside.empty() ? ", nothing outside\n" : fmt::format(", {} on portable kernels\n", plural(outside.size(), "operator"));
    result += ops_text(outside, false);
  }
  return any ? result + fmt::format("  `{}` lists them one by one\n", hint) : result;
}

std::string pte_method_text(const Json& method, bool verbose) {
  std::string result = delegates_text(method["delegates"], verbose);
  const Json& chain = method["chain"];
  result += memory_text(method["memory"], chain, verbose);
  Rows rows;
  for (const Json& op : method["operators"])
    rows.push_back({"    " + percent(op["share"].get<double>()), std::to_string(op["count"].get<size_t>()), text(op, "op")});
  result += fmt::format("  {} of kernels outside the delegates\n", plural(calls_of(method["operators"]), "call"));
  result += table(rows, {0, 1});
  if (!verbose) return result;
  result += "instructions\n";
  rows.clear();
  for (size_t i = 0; i < chain.size(); ++i)
    rows.push_back({"  " + std::to_string(i), percent(chain[i]["share"].get<double>()), text(chain[i], "kind"), text(chain[i], "name"),
                    text(chain[i], "text")});
  return result + table(rows, {0, 1});
}

std::string weights_text(const Json& weights, bool verbose) {
  if (weights.empty()) return "";
  Rows rows;
  for (const Json& weight : weights) {
    const std::string key = weight["key"].is_null() ? "(constant)" : "#" + text(weight, "key").substr(0, verbose ? std::string::npos : 8);
    const bool known = !weight["dtype"].get<std::string>().empty();
    rows.push_back({"  " + bytes_text(weight["bytes"].get<uint64_t>()), key,
                    known ? text(weight, "dtype") + sizes_text(weight["sizes"]) : "", text(weight, "used_by")});
  }
  return "weights, largest first (a .pte has no names of layers: keys and readers stand for them)\n" +
         cut_table(std::move(rows), {0}, verbose, "weights");
}

}  // namespace intaglio::cli
