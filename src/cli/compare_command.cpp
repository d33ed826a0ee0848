#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>
#include <intaglio/backend.h>
#include <intaglio/data.h>
#include <intaglio/error.h>
#include <intaglio/pt2.h>
#include <intaglio/recipes.h>

#include "base/atomic_file.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "cli/compare_layers.h"
#include "cli/files.h"
#include "cli/output.h"
#include "cli/page.h"
#include "cli/text_input.h"
#include "report/cached_pair.h"
#include "report/comparison.h"
#include "report/executable.h"
#include "report/html_contents.h"
#include "report/perplexity.h"

namespace intaglio::cli {
namespace {

struct CompareArguments {
  std::string reference;
  std::string candidate;
  std::string data;
  std::string labels;
  std::string preprocess;
  std::string title;
  std::string tokens;
  std::string text;
  std::string tokenizer;
  std::string report_file;
  int64_t window = 0;
  report::Numerics numerics = report::Numerics::as_written;
  bool layers = false;
  bool sensitivity = false;
  int repetitions = 0;
  std::chrono::milliseconds timeout{300'000};
};

// One side: the file and what its runs took.
struct Side {
  std::string file;
  std::unique_ptr<report::Executable> program;
  std::vector<double> milliseconds;

  double median() {
    if (milliseconds.empty()) return 0;
    const auto middle = milliseconds.begin() + static_cast<std::ptrdiff_t>(milliseconds.size() / 2);
    std::nth_element(milliseconds.begin(), middle, milliseconds.end());
    return *middle;
  }
  std::vector<Tensor> run(const Sample& sample) {
    std::vector<Tensor> outputs = program->run(sample.inputs);
    milliseconds.push_back(program->milliseconds());
    return outputs;
  }
  Json json() {
    return {{"file", file}, {"engine", program->engine()}, {"bytes", std::filesystem::file_size(file)}, {"milliseconds", median()}};
  }
};

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }
std::string percent(const std::optional<double>& value) { return value ? fmt::format("{:.2f} %", 100 * *value) : "-"; }

std::string json_text(const report::Comparison& comparison, Side& reference, Side& candidate) {
  Json result = document("intaglio.compare/1");
  result["reference"] = reference.json();
  result["candidate"] = candidate.json();
  result["samples"] = comparison.samples;
  result["rows"] = comparison.rows;
  result["outputs"] = Json::array();
  for (const report::OutputComparison& output : comparison.outputs)
    result["outputs"].push_back({{"index", output.index},
                                 {"identical", output.metrics.max_abs_error == 0},
                                 {"sqnr_db", finite(output.metrics.sqnr_db)},
                                 {"cosine", finite(output.metrics.cosine)},
                                 {"max_abs_error", finite(output.metrics.max_abs_error)},
                                 {"mean_abs_error", finite(output.metrics.mean_abs_error)}});
  result["top1_agreement"] = optional_json(comparison.top1_agreement);
  if (comparison.reference_accuracy)
    result["accuracy"] = {{"reference", *comparison.reference_accuracy}, {"candidate", *comparison.candidate_accuracy}};
  if (comparison.reference_top5) {
    result["accuracy"]["reference_top5"] = *comparison.reference_top5;
    result["accuracy"]["candidate_top5"] = *comparison.candidate_top5;
  }
  return to_text(result);
}

std::string text_of(const CompareArguments& arguments, const report::Comparison& comparison, Side& reference, Side& candidate) {
  std::string text = arguments.title.empty() ? "" : arguments.title + '\n';
  std::vector<std::vector<std::string>> rows = {{"", "file", "engine", "size", "ms per call"}};
  if (comparison.reference_accuracy) rows[0].push_back("accuracy");
  if (comparison.reference_top5) rows[0].push_back("top-5");
  const auto add = [&](const char* label, Side& side, const std::optional<double>& accuracy, const std::optional<double>& top5) {
    rows.push_back({label, escaped(std::filesystem::path(side.file).filename().string()), side.program->engine(),
                    bytes_text(std::filesystem::file_size(side.file)), fmt::format("{:.2f}", side.median())});
    if (accuracy) rows.back().push_back(percent(accuracy));
    if (top5) rows.back().push_back(percent(top5));
  };
  add("reference", reference, comparison.reference_accuracy, comparison.reference_top5);
  add("candidate", candidate, comparison.candidate_accuracy, comparison.candidate_top5);
  text += table(rows, {3, 4, 5, 6});
  text += fmt::format("{} samples, {} rows, top-1 agreement {}\n", comparison.samples, comparison.rows, percent(comparison.top1_agreement));
  rows = {{"output", "SQNR", "cosine", "largest error", "mean error"}};
  for (const report::OutputComparison& output : comparison.outputs)
    rows.push_back({fmt::format("arr_{}", output.index), decibel_text(output.metrics.sqnr_db), fmt::format("{:.6f}", output.metrics.cosine),
                    fmt::format("{:.4g}", output.metrics.max_abs_error), fmt::format("{:.4g}", output.metrics.mean_abs_error)});
  return printable(text + table(rows, {1, 2, 3, 4}));
}

report::ExecutableOptions executable_options(const CompareArguments& arguments, const CommonOptions& common) {
  report::ExecutableOptions options{
      .threads = common.threads, .numerics = arguments.numerics, .repetitions = arguments.repetitions, .timeout = arguments.timeout};
  return options;
}

// The page of two programs; the candidate's operators as they are once it is lowered to the default backend.
void write_report(const CompareArguments& arguments, const CommonOptions& common, const report::Comparison& comparison, Side& reference,
                  Side& candidate) {
  const ExportedProgram floats = report::load_program_of(arguments.reference), quantized = report::load_program_of(arguments.candidate);
  std::optional<Preprocess> preprocess;
  if (!arguments.preprocess.empty()) preprocess = parse_preprocess(arguments.preprocess);
  const SampleSource source(arguments.data, input_slots(floats), preprocess);
  report::Page page;
  page.title = arguments.title.empty() ? fmt::format("{} against {}", std::filesystem::path(arguments.candidate).filename().string(),
                                                     std::filesystem::path(arguments.reference).filename().string())
                                       : arguments.title;
  page.facts.push_back({"samples", fmt::format("{}", comparison.samples), static_cast<double>(comparison.samples)});
  for (const auto& [label, side] : {std::pair("reference", &reference), std::pair("candidate", &candidate)}) {
    const uint64_t bytes = std::filesystem::file_size(side->file);
    page.facts.push_back({label, side->file, {}});
    page.facts.push_back({fmt::format("size of the {}", label), bytes_text(bytes), static_cast<double>(bytes)});
    page.facts.push_back({fmt::format("time of the {} for a call", label), fmt::format("{:.2f} ms", side->median()), {}, true});
  }
  report::add_outputs(page, comparison);
  PartitionerList partitioners;
  add_backend(partitioners, backend_names().front());
  report::add_operators(page, quantized, partitioners, common.threads);
  report::add_errors(page, floats, quantized, source.size(), [&](size_t i) { return source.load(i).inputs; },
                     {.threads = common.threads, .numerics = arguments.numerics, .timeout = arguments.timeout});
  report::add_histograms(page, {}, quantized, common.threads);
  page.activations_note = "Histograms of activations are those of calibration: `intaglio quantize --report` shows them.";
  page.memory_note = "A .pt2 has no memory plan: `intaglio build --report` shows it.";
  write_file_atomically(arguments.report_file, report::to_html(page));
}

void compare_samples(const CompareArguments& arguments, const CommonOptions& common) {
  const report::ExecutableOptions options = executable_options(arguments, common);
  Side reference{arguments.reference, report::Executable::open(arguments.reference, options), {}};
  Side candidate{arguments.candidate, report::Executable::open(arguments.candidate, options), {}};
  std::optional<Preprocess> preprocess;
  if (!arguments.preprocess.empty()) preprocess = parse_preprocess(arguments.preprocess);
  // Names come from the side that has them: a `.pte` only numbers its inputs.
  const bool names_from_candidate = arguments.reference.ends_with(".pte") && !arguments.candidate.ends_with(".pte");
  const std::vector<InputSlot>& slots = names_from_candidate ? candidate.program->slots() : reference.program->slots();
  const SampleSource samples(arguments.data, slots, preprocess);
  std::optional<std::vector<int64_t>> labels;
  if (!arguments.labels.empty()) labels = read_labels(arguments.labels);

  report::Comparer comparer(std::move(labels));
  Progress progress("comparing", samples.size(), !common.quiet);
  for (size_t i = 0; i < samples.size(); ++i) {
    Sample sample = samples.load(i);
    (names_from_candidate ? candidate : reference).program->complete(sample.inputs);
    comparer.add(reference.run(sample), candidate.run(sample));
    progress.advance();
  }
  const report::Comparison comparison = comparer.result();
  Report report;
  if (common.json) report.text = json_text(comparison, reference, candidate);
  else if (!common.quiet) report.text = text_of(arguments, comparison, reference, candidate);
  if (!arguments.report_file.empty()) write_report(arguments, common, comparison, reference, candidate);
  report.print();
}

// What both look back to; a file that does not say leaves it to the other.
int64_t common_window(const CompareArguments& arguments, const report::LanguageModel& reference, const report::LanguageModel& candidate) {
  const auto a = reference.context_length(), b = candidate.context_length();
  int64_t window = arguments.window;
  for (const auto& length : {a, b})
    if (length && (window == 0 || *length < window)) window = *length;
  if (window == 0) throw_usage("neither file says how many tokens it looks back to; give --window N");
  return window;
}

void print_language(const CompareArguments& arguments, const CommonOptions& common, const report::LanguageComparison& comparison,
                    int64_t window, const report::LanguageModel& reference, const report::LanguageModel& candidate) {
  struct Row {
    const char* label;
    const report::LanguageModel& model;
    double perplexity;
  };
  const Row sides[] = {{"reference", reference, comparison.reference_perplexity},
                       {"candidate", candidate, comparison.candidate_perplexity}};
  if (common.json) {
    Json result = document("intaglio.compare_language_models/1");
    for (const Row& row : sides)
      result[row.label] = {{"file", row.model.file()},
                           {"engine", row.model.engine()},
                           {"bytes", std::filesystem::file_size(row.model.file())},
                           {"milliseconds", row.model.milliseconds()},
                           {"perplexity", finite(row.perplexity)}};
    result["tokens"] = comparison.tokens;
    result["window"] = window;
    result["mean_kl"] = finite(comparison.mean_kl);
    result["top1_agreement"] = comparison.top1_agreement;
    return print(result);
  }
  if (common.quiet) return;
  if (!arguments.title.empty()) say("{}\n", arguments.title);
  std::vector<std::vector<std::string>> rows = {{"", "file", "engine", "size", "seconds", "perplexity"}};
  for (const Row& row : sides)
    rows.push_back({row.label, escaped(std::filesystem::path(row.model.file()).filename().string()), row.model.engine(),
                    bytes_text(std::filesystem::file_size(row.model.file())), fmt::format("{:.2f}", row.model.milliseconds() / 1000),
                    fmt::format("{:.4f}", row.perplexity)});
  say("{}", table(rows, {3, 4, 5}));
  say("{} tokens in windows of {}: mean KL divergence {:.6f}, top-1 agreement {}\n", comparison.tokens, window, comparison.mean_kl,
      percent(comparison.top1_agreement));
}

void compare_language(const CompareArguments& arguments, const CommonOptions& common) {
  const report::ExecutableOptions options = executable_options(arguments, common);
  report::LanguageModel reference(report::open_language_model(arguments.reference, options), arguments.reference);
  report::LanguageModel candidate(report::open_language_model(arguments.candidate, options), arguments.candidate);
  std::vector<int64_t> text;
  if (!arguments.text.empty())
    text = TextInput(arguments.tokenizer, arguments.candidate, candidate.vocab_size(), true).encode(read_text(arguments.text));
  else text = token_list(arguments.tokens);
  const int64_t window = common_window(arguments, reference, candidate);
  Progress progress("comparing", text.size(), !common.quiet);
  const report::LanguageComparison comparison =
      report::compare_language_models(reference, candidate, text, window, [&](size_t tokens) { progress.advance(tokens); });
  print_language(arguments, common, comparison, window, reference, candidate);
}

void compare(const CompareArguments& arguments, const CommonOptions& common) {
  const int sources = !arguments.data.empty() + !arguments.tokens.empty() + !arguments.text.empty();
  if (sources != 1) throw_usage("`compare` takes one of --data SAMPLES, --tokens FILE and --text FILE");
  if (!arguments.report_file.empty()) {
    if (arguments.data.empty() || arguments.reference.ends_with(".pte") || arguments.candidate.ends_with(".pte"))
      throw_usage("--report looks into two programs, .pt2 or hand-overs, on samples: give both, and --data");
    require_extension(arguments.report_file, ".html", "a report");
  }
  if (arguments.layers || arguments.sensitivity) {
    if (arguments.data.empty()) throw_usage("--layers and --sensitivity take samples: give --data");
    LayerArguments layers{arguments.reference, arguments.candidate, arguments.data,   arguments.labels,
                          std::nullopt,        arguments.numerics,  arguments.timeout};
    if (!arguments.preprocess.empty()) layers.preprocess = parse_preprocess(arguments.preprocess);
    return arguments.sensitivity ? compare_sensitivity(layers, common) : compare_layers(layers, common);
  }
  return arguments.data.empty() ? compare_language(arguments, common) : compare_samples(arguments, common);
}

}  // namespace

void add_compare(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("compare", "how far a candidate's outputs are from a reference's");
  const auto arguments = std::make_shared<CompareArguments>();
  reading(command->add_option("REFERENCE", arguments->reference, "a .pt2 or .pte"))->required();
  reading(command->add_option("CANDIDATE", arguments->candidate, "a .pt2 or .pte"))->required();
  reading(command->add_option("--data", arguments->data, "a sample or a folder of samples"));
  reading(
      command->add_option("--tokens", arguments->tokens, "of language models: a file of token ids; gives perplexity and KL divergence"));
  reading(command->add_option("--text", arguments->text, "the same with a text"));
  reading(
      command->add_option("--tokenizer", arguments->tokenizer, "for --text: tokenizer.json or a .model (default: beside the candidate)"));
  command->add_option("--window", arguments->window, "tokens read at a time (default: what the models look back to)")
      ->check(CLI::Range(2, 1 << 24));
  reading(command->add_option("--labels", arguments->labels, "class numbers (.npy), one for each row of the first output"));
  command->add_option("--preprocess", arguments->preprocess, "how images become tensors");
  command->add_flag("--layers", arguments->layers, "of two .pt2: value by value inside; --numerics or --representation is the candidate's");
  command
      ->add_flag("--sensitivity", arguments->sensitivity,
                 "of a float .pt2 and what `quantize` made of it: what each layer's quantization costs")
      ->excludes("--layers");
  add_report_option(*command, arguments->report_file);
  command->get_option("--report")->excludes("--layers")->excludes("--sensitivity");  // it holds both
  add_numerics_options(*command, arguments->numerics);
  command->add_option("--repeat", arguments->repetitions, "time each sample this many more times")->check(CLI::Range(0, 1000000));
  command->add_option("--title", arguments->title, "a line above the tables");
  add_timeout_option(*command, arguments->timeout);
  command->callback([arguments, &common] { compare(*arguments, common); });
}

}  // namespace intaglio::cli
