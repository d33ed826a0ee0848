#include "cli/compare_layers.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <intaglio/backend.h>
#include <intaglio/data.h>
#include <intaglio/pt2.h>
#include <intaglio/pt2e.h>
#include <intaglio/recipes.h>

#include "base/progress.h"
#include "cli/last_words.h"
#include "cli/output.h"
#include "report/layers.h"
#include "report/sensitivity.h"

namespace intaglio::cli {
namespace {

ExportedProgram load(const std::string& path, report::Numerics numerics) {
  if (path.ends_with(".pte") || find_hand_over(path) != nullptr)
    throw_usage(
        fmt::format("{}: --layers looks into .pt2 programs; give the quantized .pt2 with --numerics integer to see what the .pte "
                    "computes",
                    escaped(path)));
  ExportedProgram program = load_exported_program(path);
  if (numerics == report::Numerics::reference) to_reference_representation(program);
  return program;
}

std::string share_text(const std::optional<double>& share) { return share ? fmt::format("{:.2f} %", 100 * *share) : std::string("-"); }
Json optional_share(const std::optional<double>& share) { return share ? Json(*share) : Json(nullptr); }

void print_rows(const LayerArguments& arguments, const std::vector<report::LayerDifference>& rows, size_t samples) {
  Json result = document("intaglio.compare_layers/1");
  result["reference"] = arguments.reference;
  result["candidate"] = arguments.candidate;
  result["samples"] = samples;
  result["values"] = Json::array();
  for (const report::LayerDifference& row : rows)
    result["values"].push_back({{"value", row.value},
                                {"op", row.op},
                                {"layer", row.layer},
                                {"source", row.source},
                                {"sqnr_db", finite(row.metrics.sqnr_db)},
                                {"cosine", finite(row.metrics.cosine)},
                                {"max_abs_error", finite(row.metrics.max_abs_error)},
                                {"clipped", optional_share(row.clipped)},
                                {"range_used", optional_share(row.range_used)},
                                {"differing", optional_share(row.differing)},
                                {"most_steps", row.most_steps}});
  print(result);
}

// Of a row with a value, a layer and a source line.
template <typename Row>
std::string place_text(const Row& row) {
  const std::string& layer = row.layer.empty() ? row.value : row.layer;
  return row.source.empty() ? layer : fmt::format("{} ({})", layer, row.source);
}

void say_rows(const std::vector<report::LayerDifference>& rows, size_t samples) {
  std::vector<std::vector<std::string>> lines = {
      {"layer (source)", "operator", "SQNR", "cosine", "largest error", "clipped", "range used", "differ", "steps"}};
  for (const report::LayerDifference& row : rows) {
    lines.push_back({place_text(row), row.op, decibel_text(row.metrics.sqnr_db), fmt::format("{:.6f}", row.metrics.cosine),
                     fmt::format("{:.4g}", row.metrics.max_abs_error), share_text(row.clipped), share_text(row.range_used),
                     share_text(row.differing), row.differing ? fmt::format("{}", row.most_steps) : "-"});
  }
  say("{}", printable(table(lines, {2, 3, 4, 5, 6, 7, 8})));
  say("{} value{} over {} sample{}\n", rows.size(), rows.size() == 1 ? "" : "s", samples, samples == 1 ? "" : "s");
}

// Calibration saw other values than these samples hold.
void warn_of_other_data(const std::vector<report::LayerDifference>& rows, const CommonOptions& common) {
  constexpr double share_that_matters = 0.01;
  const report::LayerDifference* worst = nullptr;
  size_t count = 0;
  for (const report::LayerDifference& row : rows) {
    if (row.clipped.value_or(0) <= share_that_matters) continue;
    ++count;
    if (worst == nullptr || *row.clipped > *worst->clipped) worst = &row;
  }
  if (worst == nullptr || common.quiet || common.json) return;
  write_line(
      printable(fmt::format("intaglio: warning: {} of {} values leave the ranges that calibration chose, most of all {} ({:.1f} % of its "
                            "elements): calibrate on samples like these\n",
                            count, rows.size(), worst->layer.empty() ? worst->value : worst->layer, 100 * *worst->clipped)));
}

void print_sensitivity(const LayerArguments& arguments, const CommonOptions& common, const report::Sensitivity& found, size_t samples) {
  if (common.json) {
    Json result = document("intaglio.sensitivity/1");
    result["reference"] = arguments.reference;
    result["candidate"] = arguments.candidate;
    result["samples"] = samples;
    result["quantized_db"] = finite(found.quantized_db);
    result["layers"] = Json::array();
    if (found.quantized_top1) result["accuracy"] = {{"reference", *found.float_top1}, {"candidate", *found.quantized_top1}};
    for (const report::LayerSensitivity& row : found.layers) {
      Json layer = {{"value", row.value},
                    {"op", row.op},
                    {"layer", row.layer},
                    {"source", row.source},
                    {"alone_db", finite(row.alone_db)},
                    {"in_float_db", finite(row.in_float_db)},
                    {"gained_db", finite(row.gained_db)}};
      if (row.in_float_top1) layer.update({{"alone_top1", *row.alone_top1}, {"in_float_top1", *row.in_float_top1}});
      result["layers"].push_back(std::move(layer));
    }
    return print(result);
  }
  if (common.quiet) return;
  std::vector<std::vector<std::string>> lines = {{"layer (source)", "operator", "quantized alone", "left in float", "gained"}};
  if (found.quantized_top1) lines[0].insert(lines[0].end(), {"top-1 alone", "top-1 left in float"});
  for (const report::LayerSensitivity& row : found.layers) {
    lines.push_back(
        {place_text(row), row.op, decibel_text(row.alone_db), decibel_text(row.in_float_db), fmt::format("{:+.2f} dB", row.gained_db)});
    if (row.in_float_top1) lines.back().insert(lines.back().end(), {share_text(row.alone_top1), share_text(row.in_float_top1)});
  }
  say("{}", printable(table(lines, {2, 3, 4, 5, 6})));
  say("{} for the whole quantized program; {} layers over {} sample{}\n", decibel_text(found.quantized_db), found.layers.size(), samples,
      samples == 1 ? "" : "s");
  if (found.quantized_top1) say("top-1 {} in float, {} quantized\n", share_text(found.float_top1), share_text(found.quantized_top1));
}

}  // namespace

void compare_sensitivity(const LayerArguments& arguments, const CommonOptions& common) {
  ExportedProgram reference = load(arguments.reference, report::Numerics::as_written);
  ExportedProgram candidate = load(arguments.candidate, report::Numerics::as_written);
  const SampleSource source(arguments.data, input_slots(reference), arguments.preprocess);
  std::vector<std::vector<Tensor>> samples;
  for (size_t i = 0; i < source.size(); ++i) samples.push_back(source.load(i).inputs);
  std::optional<Progress> progress;
  report::SensitivityOptions options{.threads = common.threads};
  if (!arguments.labels.empty()) options.labels = read_labels(arguments.labels);
  options.begin = [&](size_t runs) { progress.emplace("comparing", runs, !common.quiet); };
  options.advance = [&] { progress->advance(); };
  const report::Sensitivity found = report::sensitivity_of(std::move(reference), std::move(candidate), samples, options);
  progress.reset();
  print_sensitivity(arguments, common, found, samples.size());
}

void compare_layers(const LayerArguments& arguments, const CommonOptions& common) {
  // The representation, or the runtime, is the candidate's: the reference stays as it is written.
  ExportedProgram reference = load(arguments.reference, report::Numerics::as_written);
  const std::vector<InputSlot> slots = input_slots(reference);
  report::LayerComparer comparer(
      std::move(reference), load(arguments.candidate, arguments.numerics),
      {.threads = common.threads, .deployed = arguments.numerics == report::Numerics::integer, .timeout = arguments.timeout});
  const SampleSource samples(arguments.data, slots, arguments.preprocess);
  Progress progress("comparing", samples.size(), !common.quiet);
  for (size_t i = 0; i < samples.size(); ++i) {
    comparer.add(samples.load(i).inputs);
    progress.advance();
  }
  const std::vector<report::LayerDifference> rows = comparer.result();
  warn_of_other_data(rows, common);
  if (common.json) return print_rows(arguments, rows, samples.size());
  if (!common.quiet) say_rows(rows, samples.size());
}

}  // namespace intaglio::cli
