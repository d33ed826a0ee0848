#include "cli/flow.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/data.h>
#include <intaglio/error.h>
#include <intaglio/language_model.h>
#include <intaglio/pt2.h>
#include <intaglio/weights.h>

#include "base/progress.h"
#include "cli/files.h"
#include "cli/inspect_json.h"
#include "cli/page.h"
#include "cli/step_dump.h"
#include "cli/text_input.h"
#include "report/accuracy_bound.h"
#include "report/emitted_folders.h"
#include "report/html_contents.h"

namespace intaglio::cli {
SampleSource calibration_samples(const FlowArguments& arguments, const ExportedProgram& program) {
  std::optional<Preprocess> preprocess;
  if (!arguments.preprocess.empty()) preprocess = parse_preprocess(arguments.preprocess);
  return SampleSource(arguments.calibrate, input_slots(program), preprocess);
}

namespace {

// Recipes that need no samples ignore those that are given, whatever is wrong with them; good ones serve to check the file.
std::vector<Tensor> sample_at_hand(const FlowArguments& arguments, const ExportedProgram& program) {
  try {
    return calibration_samples(arguments, program).load(0).inputs;
  } catch (const Error&) { return {}; }
}

void calibrate(PreparedProgram& prepared, const FlowArguments& arguments, const CommonOptions& common) {
  const SampleSource samples = calibration_samples(arguments, prepared.program());
  Progress progress("calibrating", samples.size(), !common.quiet);
  intaglio::calibrate(prepared, samples, [&] { progress.advance(); });
}

}  // namespace

RecipeSettings parse_settings(const std::vector<std::string>& pairs) {
  RecipeSettings settings;
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) throw_usage(fmt::format("--set {}: give key=value", escaped(pair)));
    std::string value = pair.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (!settings.emplace(pair.substr(0, equals), value).second)
      throw_usage(fmt::format("--set {}: the setting is given twice", escaped(pair)));
  }
  return settings;
}

void add_weights_option(CLI::App& command, std::string& weights) {
  reading(command.add_option("--weights", weights, "weights in place of the program's: a .safetensors file, or a folder of them"));
}

ExportedProgram load_program(const std::string& model, const std::string& weights) {
  ExportedProgram program = load_exported_program(model);
  if (!weights.empty()) replace_weights(program, weights);
  return program;
}

Methods load_methods(const std::vector<std::string>& models, const std::string& weights) {
  Methods methods;
  for (const std::string& model : models) {
    // A path may hold `=`; a method's name is an identifier in front of the first one.
    const size_t equals = model.find('=');
    const bool named = equals != std::string::npos && equals > 0 &&
                       model.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == equals;
    const std::string name = named ? model.substr(0, equals) : "forward";
    for (const auto& [other, program] : methods)
      if (other == name) throw_usage(fmt::format("two programs are the method '{}': name them, as in prefill=A.pt2 decode=B.pt2", name));
    const std::string path = named ? model.substr(equals + 1) : model;
    methods.emplace_back(name, load_program(path, weights));
  }
  return methods;
}

void add_flow_options(CLI::App& command, FlowArguments& arguments) {
  writing(command.add_option("-o,--output", arguments.out, "where to write"))->required();
  reading(command.add_option("--recipe", arguments.recipe, "a name (`intaglio recipes`) or a recipe file (.json)"))->required();
  key_and_value(command.add_option("--set", arguments.settings, "a recipe's setting, key=value"))->allow_extra_args(false);
  reading(command.add_option("--calibrate", arguments.calibrate, "a sample (.npy, .npz, image) or a folder of them"));
  command.add_option("--preprocess", arguments.preprocess, "how images become tensors: resize=256,crop=224,mean=..,std=..");
  reading(command.add_option("--plan", arguments.plan, "use the decisions of this plan instead of calibrating"));
  add_weights_option(command, arguments.weights);
  add_report_option(command, arguments.report_file);
  writing(command.add_option("--save-plan", arguments.save_plan, "write what was observed and decided"));
  CLI::Option* bound = command.add_option(
      "--max-loss", arguments.max_loss,
      "leave the fewest layers in float, or per channel, that it takes: points of top-1 accuracy lost with --labels, percent of perplexity "
      "gained with --tokens or --text, else dB of SQNR that the outputs keep");
  bound->check(a_number());
  reading(command.add_option("--labels", arguments.labels, "of --max-loss: class numbers (.npy), one for each row of the first output"))
      ->needs(bound);
  reading(command.add_option("--evaluate", arguments.evaluate, "of --max-loss: samples to judge by (default: those of --calibrate)"))
      ->needs(bound);
  reading(command.add_option("--tokens", arguments.tokens, "of --max-loss, for language models: a file of token ids to judge by"))
      ->needs(bound);
  reading(command.add_option("--text", arguments.text, "the same with a text"))->needs(bound);
  reading(command.add_option("--tokenizer", arguments.tokenizer, "for --text: tokenizer.json or a .model (default: beside the model)"))
      ->needs(bound);
  command.add_option("--window", arguments.window, "of --tokens and --text: tokens read at a time (default: what the model looks back to)")
      ->needs(bound)
      ->check(CLI::Range(2, 1 << 24));
  command.add_flag("--strict", arguments.strict, "what is not as asked for is an error, and nothing is written");
}

void require_extension(const std::string& path, const char* extension, const char* what) {
  if (!path.ends_with(extension)) throw_usage(fmt::format("{}: {} ends in {}", escaped(path), what, extension));
}

const HandOver* hand_over_of(const std::string& path, const std::vector<std::string>& names, const char* command) {
  for (const Backend& backend : backends()) {
    if (!backend.hand_over || !path.ends_with(backend.hand_over->extension)) continue;
    if (names.size() != 1 || names.front() != backend.name)
      throw_usage(fmt::format("{}: a hand-over of {} is made with that backend alone", escaped(path), backend.name));
    return &*backend.hand_over;
  }
  require_extension(path, ".pte", command);
  return nullptr;
}

std::string warnings_text(const std::vector<Warning>& warnings, const CommonOptions& common) {
  std::string text;
  if (common.json || common.quiet) return text;
  for (const std::string& line : grouped(warnings)) text += printable(fmt::format("intaglio: warning: {}\n", line));
  return text;
}

Json warnings_json(const std::vector<Warning>& warnings) {
  Json list = Json::array();
  for (const Warning& warning : warnings) list.push_back(warning.text);
  return list;
}

namespace {

// What the plan says; samples say the rest, where there are any.
void decide(PreparedProgram& prepared, const Plan& plan, const FlowArguments& arguments, const CommonOptions& common) {
  prepared.apply_plan(plan);
  if (!arguments.calibrate.empty() && prepared.needs_samples()) calibrate(prepared, arguments, common);
}

FlowOptions options_of(const Plan& plan, const CommonOptions& common) {
  return {.threads = common.threads, .in_float = plan.in_float, .per_channel = plan.per_channel, .layers = plan.layers};
}

std::vector<std::vector<Tensor>> samples_to_judge_by(const FlowArguments& arguments, const ExportedProgram& program) {
  FlowArguments chosen = arguments;
  if (!arguments.evaluate.empty()) chosen.calibrate = arguments.evaluate;
  if (chosen.calibrate.empty()) throw_usage("--max-loss judges by samples: give --evaluate or --calibrate");
  const SampleSource source = calibration_samples(chosen, program);
  std::vector<std::vector<Tensor>> samples;
  for (size_t i = 0; i < source.size(); ++i) samples.push_back(source.load(i).inputs);
  return samples;
}

report::AccuracyBound bound_of(const FlowArguments& arguments, const ExportedProgram& program) {
  report::AccuracyBound bound{*arguments.max_loss, std::nullopt, std::nullopt};
  if (!arguments.labels.empty()) bound.labels = read_labels(arguments.labels);
  const int judges = !arguments.tokens.empty() + !arguments.text.empty() + !(arguments.labels + arguments.evaluate).empty();
  if (judges > 1) throw_usage("--max-loss judges by one of --tokens, --text, and samples with or without --labels");
  if (!arguments.text.empty())
    bound.text = {TextInput(arguments.tokenizer, program.source, std::nullopt, true).encode(read_text(arguments.text)), arguments.window};
  else if (!arguments.tokens.empty()) bound.text = {token_list(arguments.tokens), arguments.window};
  return bound;
}

// Runs the recipe again and again with what the samples said of the first run, other layers being in float. Returns the plan that
// says so.
Plan meet_bound(FlowResult& result, const Recipe& recipe, const ExportedProgram& floats, const Plan& plan, const FlowArguments& arguments,
                const CommonOptions& common) {
  const report::AccuracyBound bound = bound_of(arguments, floats);
  const auto samples = bound.text ? std::vector<std::vector<Tensor>>() : samples_to_judge_by(arguments, floats);
  Plan bounded;  // of the last run
  const auto quantize = [&](const report::LayerChoice& choice) {
    bounded = plan;
    // What a plan already leaves in float stays so.
    bounded.in_float.insert(bounded.in_float.end(), choice.in_float.begin(), choice.in_float.end());
    bounded.per_channel.insert(bounded.per_channel.end(), choice.per_channel.begin(), choice.per_channel.end());
    FlowOptions options = options_of(bounded, common);
    options.calibrate = [&](PreparedProgram& prepared) {
      decide(prepared, bounded, arguments, common);
      bounded = prepared.plan();
    };
    FlowResult variant = run_recipe(floats.clone(), recipe, options);
    bounded.layers = std::move(variant.layers);
    result.quantized_tensors = variant.quantized_tensors;
    return std::move(variant.program);
  };
  report::BoundedProgram found = report::within_bound(floats, samples, bound, common.threads, quantize);
  result.program = std::move(found.program);
  std::string note = std::isinf(found.after)
                         ? fmt::format("outputs equal to the float program's (the bound is {:.4g} {})", bound.limit, bound.unit())
                         : fmt::format("{:.4g} {} (the bound is {:.4g})", found.after, bound.unit(), bound.limit);
  if (!(found.in_float.empty() && found.per_channel.empty())) note += fmt::format(", after {:.4g} as the recipe says", found.before);
  for (const auto& [layers, how] : {std::pair{&found.in_float, "in float"}, std::pair{&found.per_channel, "per channel"}})
    if (!layers->empty())
      note += fmt::format("; {} {}: {}", layers->size() == 1 ? "1 layer" : fmt::format("{} layers", layers->size()), how,
                          fmt::join(*layers, ", "));
  result.notes.push_back(std::move(note));
  return bounded;
}

// The bounded plan's decisions, with what the samples said of the first run.
Plan with_statistics_of(const Plan& first, Plan bounded) {
  std::map<std::pair<std::string, std::string>, const PlanEntry*> known;
  for (const PlanEntry& entry : first.entries) known.emplace(std::pair{entry.tensor, entry.used_by}, &entry);
  for (PlanEntry& entry : bounded.entries) {
    const auto before = known.find({entry.tensor, entry.used_by});
    if (before == known.end() || entry.observer != "plan") continue;
    entry.observer = before->second->observer;
    entry.statistics = before->second->statistics;
  }
  return bounded;
}

}  // namespace

Flow begin_flow(const FlowArguments& arguments) {
  Flow flow;
  flow.recipe = make_recipe(arguments.recipe, parse_settings(arguments.settings));
  if (!arguments.report_file.empty()) require_extension(arguments.report_file, ".html", "a report");
  if (flow.recipe.info.needs_calibration && arguments.calibrate.empty() && arguments.plan.empty())
    throw_usage(fmt::format("recipe '{}' is static: give samples with --calibrate, or decisions with --plan", flow.recipe.info.name));
  return flow;
}

ExportedProgram run_flow(Flow& flow, ExportedProgram program, const std::string& method, const FlowArguments& arguments,
                         const CommonOptions& common, StepClock& clock) {
  const bool is_reported = !arguments.report_file.empty();
  if (arguments.max_loss || is_reported) flow.floats = program.clone();
  Plan plan;
  if (!arguments.plan.empty()) plan = load_plan(arguments.plan);
  FlowOptions options = options_of(plan, common);
  options.use_reference_representation = arguments.representation == "reference" && !arguments.max_loss;
  options.strict = arguments.strict;
  options.calibrate = [&](PreparedProgram& prepared) {
    if (!arguments.plan.empty()) decide(prepared, plan, arguments, common);
    else if (flow.recipe.info.needs_calibration) calibrate(prepared, arguments, common);
    if (!arguments.save_plan.empty() || arguments.max_loss || (is_reported && arguments.plan.empty())) plan = prepared.plan();
    // Before what conversion refuses, which the plan explains.
    if (!arguments.save_plan.empty() && !arguments.max_loss) save_plan(plan, arguments.save_plan);
  };
  options.warn = [&](const Warning& warning) { flow.warnings.push_back(warning); };
  options.observe = [&](std::string_view step) { clock.step(std::string(step)); };
  FlowResult result = run_recipe(std::move(program), flow.recipe, options);
  if (arguments.max_loss) {
    plan = with_statistics_of(plan, meet_bound(result, flow.recipe, *flow.floats, plan, arguments, common));
    if (arguments.representation == "reference") to_reference_representation(result.program);
    clock.step("bound");
  } else {
    plan.layers = std::move(result.layers);
  }
  if (!arguments.save_plan.empty()) save_plan(plan, arguments.save_plan);
  flow.calibration_samples += result.calibration_samples;
  flow.quantized_tensors += result.quantized_tensors;
  for (const std::string& note : result.notes) flow.notes.push_back(method.empty() ? note : fmt::format("{}: {}", method, note));
  flow.first_sample = std::move(result.first_sample);
  if (flow.first_sample.empty() && !arguments.calibrate.empty()) flow.first_sample = sample_at_hand(arguments, result.program);
  flow.plan = std::move(plan);
  if (is_reported && arguments.representation == "reference") {
    // Integer arithmetic has lost which layers it came from.
    FlowOptions again = options_of(flow.plan, common);
    again.calibrate = [&](PreparedProgram& prepared) { prepared.apply_plan(flow.plan); };
    flow.qdq = run_recipe(flow.floats->clone(), flow.recipe, again).program;
  }
  return std::move(result.program);
}

std::string quantization_text(const FlowArguments& arguments, const Flow& flow) {
  if (!flow.recipe.quantizes()) return flow.notes.empty() ? "" : fmt::format("{}\n", fmt::join(flow.notes, "\n"));
  std::string text = fmt::format("{} tensors quantized by {}", flow.quantized_tensors, flow.recipe.info.name);
  const size_t samples = flow.calibration_samples;
  if (!arguments.plan.empty()) text += fmt::format(" as {} says", escaped(arguments.plan));
  else if (!flow.recipe.info.needs_calibration) text += ", without calibration";
  else text += fmt::format(" from {} sample{}", samples, samples == 1 ? "" : "s");
  return fmt::format("{}\n{}{}", text, fmt::join(flow.notes, "\n"), flow.notes.empty() ? "" : "\n");
}

Json flow_json(const char* schema, const FlowArguments& arguments, const Flow& flow, uint64_t bytes, const StepClock& clock) {
  Json result = document(schema);
  result["model"] = arguments.model;
  result["output"] = arguments.out;
  result["bytes"] = bytes;
  result["recipe"] = flow.recipe.info.name;
  result["calibration_samples"] = flow.calibration_samples;
  result["quantized_tensors"] = flow.quantized_tensors;
  result["steps"] = clock.to_json();
  result["notes"] = flow.notes;
  result["warnings"] = warnings_json(flow.warnings);
  return result;
}

namespace {

// A line of what a written file needs; "" when every runtime has it.
std::string runtime_text(const RuntimeNeeds& needs) { return needs.since_from_file() == oldest_runtime ? "" : to_string(needs) + "\n"; }

// What a lowered program consists of.
Json lowering_json(const EdgeProgram& edge) {
  Json methods = Json::array();
  for (const EdgeMethod& method : edge.methods) {
    const report::DelegationExplanation explained = report::explain_delegation(method);
    Json delegates = Json::array(), leftovers = Json::array();
    for (size_t i = 0; i < method.delegates.size(); ++i) {
      const Delegate& delegate = method.delegates[i];
      size_t named_bytes = 0;
      for (const NamedData& named : delegate.named_data) named_bytes += named.data.size();
      delegates.push_back({{"backend", delegate.backend_id},
                           {"nodes", explained.delegates[i].nodes},
                           {"payload_bytes", delegate.payload.size()},
                           {"weight_bytes", named_bytes},
                           {"share", explained.delegates[i].share}});
    }
    for (const report::ExplainedOp& op : explained.outside) leftovers.push_back(op_json(op));
    methods.push_back({{"name", method.name}, {"delegates", delegates}, {"leftover_ops", leftovers}, {"work", explained.work}});
  }
  return methods;
}

Json wrong_layer_json(const std::optional<WrongLayer>& wrong) {
  if (!wrong) return nullptr;
  return {{"layer", wrong->layer}, {"sqnr_db", finite(wrong->sqnr_db)}, {"bound_db", finite(wrong->bound_db)}, {"share", wrong->share}};
}

Json agreement_json(const std::vector<Agreement>& agreements) {
  Json methods = Json::array();
  for (const Agreement& agreement : agreements) {
    Json outputs = Json::array();
    for (const OutputAgreement& output : agreement.outputs)
      outputs.push_back({{"index", output.index},
                         {"identical", output.max_abs_error == 0},
                         {"sqnr_db", finite(output.sqnr_db)},
                         {"bound_db", finite(output.bound_db)},
                         {"max_abs_error", finite(output.max_abs_error)}});
    methods.push_back({{"name", agreement.method},
                       {"checked", agreement.skipped.empty()},
                       {"skipped", agreement.skipped},
                       {"inputs", agreement.inputs},
                       {"within_bounds", agreement.breach.empty()},
                       {"first_wrong", wrong_layer_json(agreement.first_wrong)},
                       {"outputs", std::move(outputs)}});
  }
  return methods;
}

// One line for each method; its name where there are several.
std::string agreement_text(const std::vector<Agreement>& agreements) {
  std::string text;
  for (const Agreement& agreement : agreements)
    text += fmt::format("agreement{}: {}\n", agreements.size() == 1 ? "" : fmt::format(" of {}", escaped(agreement.method)),
                        to_string(agreement));
  return text;
}

}  // namespace

std::vector<ConstantMethod> constant_methods(const Methods& methods, const SaveArguments& arguments) {
  std::vector<ConstantMethod> given;
  for (const std::string& pair : arguments.constants) given.push_back(parse_constant_method(pair));
  if (arguments.llm.empty()) return given;
  const auto forward = std::ranges::find(methods, "forward", [](const auto& method) -> const std::string& { return method.first; });
  if (forward == methods.end()) throw_usage("--llm: the text runner calls the method 'forward', and none is called so");
  return overridden(text_runner_methods(forward->second, arguments.llm), std::move(given));
}

void add_save_options(CLI::App& command, SaveArguments& arguments) {
  command.add_option("--dump", arguments.dump, "a folder for the program after each step of lowering, as text");
  reading(command.add_option(
      "--llm", arguments.llm,
      "a language model's folder (config.json, generation_config.json, tokenizer.json): checks the program for ExecuTorch's "
      "text runner, and tells that what it asks"));
  command
      .add_option("--method-constant", arguments.constants,
                  "NAME=VALUE: a method that returns a number, a boolean, a text or a list of these; before what --llm finds")
      ->allow_extra_args(false);
  command.add_flag("--no-check", arguments.no_check, "do not run the file to see whether it agrees with the program");
  std::string help = "folders beside the file:";
  std::vector<std::string> formats;
  for (const auto& [name, title] : report::emitted_formats()) {
    formats.push_back(name);
    help += fmt::format(" {} ({}),", name, title);
  }
  help.pop_back();
  command.add_option("--emit", arguments.emit, help)->check(CLI::IsMember(formats));
  add_timeout_option(command, arguments.timeout);
}

void save(Methods methods, const PartitionerList& partitioners, const std::string& out, const SaveArguments& arguments, SaveOptions options,
          std::vector<Warning>& warnings, StepClock& clock, const std::function<std::string(const SavedFile&)>& describe,
          const CommonOptions& common) {
  SavedFile saved;
  Report report;
  StepDump dump(arguments.dump);
  options.compare = !arguments.no_check;
  options.timeout = arguments.timeout;
  options.warn = [&](const Warning& warning) { warnings.push_back(warning); };
  options.observe_lowering = dump.observer();
  const report::ModuleOrder order = arguments.page ? report::module_order(methods.front().second) : report::ModuleOrder();
  options.inspect = [&](const EdgeProgram& edge) {
    saved.methods = lowering_json(edge);
    if (arguments.page) report::add_operators(*arguments.page, edge.methods.front(), order);
  };
  options.inspect_needs = [&](const RuntimeNeeds& needs) {
    saved.runtime = runtime_json(needs);
    saved.runtime_text = runtime_text(needs);
  };
  options.observe = [&](std::string_view step) { clock.step(std::string(step)); };
  options.inspect_written = [&](const std::filesystem::path& written, const std::vector<Agreement>& agreements) {
    saved.bytes = std::filesystem::file_size(written);
    saved.agreement = agreement_json(agreements);
    saved.agreement_text = agreement_text(agreements);
    if (arguments.float_bytes != 0 && saved.bytes > arguments.float_bytes && options.hand_over == nullptr)
      warnings.push_back(
          {fmt::format("quantized, the file has {} and the float model {}: what is quantized is stored beside the floats that "
                       "other layers read; `inspect --verbose` lists weights by size",
                       bytes_text(saved.bytes), bytes_text(arguments.float_bytes)),
           true});
    if (arguments.page && options.hand_over != nullptr) arguments.page->memory_note = "A hand-over has no memory plan.";
    else if (arguments.page) report::add_memory(*arguments.page, written);
    if (!arguments.emit.empty()) report::emit_folders(written, out, arguments.emit);
    report = {warnings_text(warnings, common), describe(saved)};
    saved = {};  // the destructor of a document takes memory
  };
  lower_and_save(std::move(methods), partitioners, out, options);
  report.print();
}

}  // namespace intaglio::cli
