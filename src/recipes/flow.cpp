#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/recipes.h>

#include "ir/infer.h"
#include "pt2e/passes.h"
#include "pt2e/uncalibrated.h"
#include "qdq/op_table.h"
#include "recipes/breaches.h"
#include "recipes/quantize_rules.h"

namespace intaglio {

using namespace recipes;
namespace {

// What a program is refused for is its own fault: errors name its file.
template <typename Body>
auto naming_file(const std::string& source, const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    if (source.empty()) throw;
    throw error.with_context(escaped(source));
  }
}

class Flow {
 public:
  Flow(ExportedProgram program, const Recipe& recipe, const FlowOptions& options)
      : recipe_(recipe), options_(options), breaches_(options.warn, options.strict) {
    result_.program = std::move(program);
  }

  FlowResult run() && {
    if (recipe_.steps.empty()) return std::move(result_);
    const std::string source = result_.program.source;
    naming_file(result_.program.files(), [&] { check_metadata(result_.program.graph()); });
    for (const RecipeStep& step : recipe_.steps) std::visit(*this, step);
    for (const Node* node : result_.program.graph().node_list()) result_.quantized_tensors += qdq::is_dequantize(*node);
    if (result_.quantized_tensors == 0 && recipe_.quantizes() && !breaches_.any())
      breaches_.sink()({fmt::format("recipe '{}' quantized nothing in {}; `inspect` with it says why of each operator", recipe_.info.name,
                                    escaped(source)),
                        true});
    breaches_.settle();
    // Last: what is quantized has no quantize nodes afterwards.
    if (options_.use_reference_representation) to_reference_representation(result_.program, compat_);
    return std::move(result_);
  }

  void operator()(const TransformStep& step) {
    const std::string said = naming_file(result_.program.files(), [&] { return step.run(result_.program); });
    if (said.empty()) return;
    result_.notes.push_back(said);
    done(step.name);
  }

  void operator()(const Pt2eStep& step) {
    const std::string files = result_.program.files();
    PreparedProgram prepared = prepare(step);
    done("prepare");
    if (options_.calibrate) options_.calibrate(prepared);
    result_.calibration_samples += prepared.calibrated_samples();
    if (result_.first_sample.empty()) result_.first_sample = prepared.first_sample();
    done("calibrate");
    result_.program = naming_file(files, [&] {
      return options_.allow_uncalibrated ? pt2e::convert_uncalibrated(std::move(prepared)) : convert_pt2e(std::move(prepared));
    });
    compat_ = step.compat;
    done("convert");
  }

  void operator()(const QuantizeStep& step) {
    naming_file(result_.program.files(), [&] {
      if (pt2e::compute_in_float32(result_.program, step.widened_types))
        result_.notes.emplace_back("the program is in bfloat16 and is quantized as one in float32; inputs and outputs keep their types");
      QuantizeSummary summary = quantize_(
          result_.program, rules_for(step),
          {.when_indivisible = step.when_indivisible, .may_match_nothing = true, .threads = options_.threads, .warn = breaches_.sink()});
      result_.notes.push_back(std::move(summary.text));
      for (const QuantizedLayer& layer : summary.layers) result_.layers.push_back(plan_layer(layer));
    });
    done("quantize_");
  }

 private:
  PreparedProgram prepare(const Pt2eStep& step) {
    const std::string files = result_.program.files();
    return naming_file(files, [&] {
      return prepare_pt2e(std::move(result_.program), *step.quantizer,
                          {.compat = step.compat,
                           .threads = options_.threads,
                           .warn = breaches_.sink(),
                           .in_float = options_.in_float,
                           .per_channel = options_.per_channel});
    });
  }

  // The plan's decisions, then the recipe's.
  std::vector<QuantizeRule> rules_for(const QuantizeStep& step) const {
    std::unordered_set<std::string> named(options_.in_float.begin(), options_.in_float.end());
    for (const PlanLayer& layer : options_.layers) named.insert(layer.node);
    for (const std::string& name : named)
      if (result_.program.graph().find_value(name) == nullptr)
        throw_bad_input(
            fmt::format("the plan names the operator '{}', and the program has none; the plan belongs to another model", escaped(name)));
    std::vector<QuantizeRule> rules;
    if (!options_.in_float.empty())
      rules.push_back({[in_float = std::unordered_set<std::string>(options_.in_float.begin(), options_.in_float.end())](
                           const QuantizableLayer& layer) { return in_float.contains(layer.node->name()); },
                       std::nullopt, ""});
    for (QuantizeRule& rule : rules_of(options_.layers)) rules.push_back(std::move(rule));
    rules.insert(rules.end(), step.rules.begin(), step.rules.end());
    return rules;
  }

  void done(std::string_view step) const {
    if (options_.observe) options_.observe(step);
  }

  const Recipe& recipe_;
  const FlowOptions& options_;
  Breaches breaches_;
  Compat compat_ = Compat::intaglio;
  FlowResult result_;
};

DType scalar_dtype(ValueKind kind) {
  switch (kind) {
    case ValueKind::sym_float: return DType::float64;
    case ValueKind::sym_bool: return DType::boolean;
    default: return DType::int64;
  }
}

std::pair<int64_t, int64_t> size_range(const SymInt& size, const SymRanges& ranges) {
  if (size.is_static()) return {size.value(), size.value()};
  const SymRange range = bounds(*size.expression(), ranges);
  return {range.min.value_or(0), range.max.value_or(INT64_MAX)};
}

}  // namespace

std::vector<InputSlot> input_slots(const ExportedProgram& program) {
  std::vector<InputSlot> slots;
  for (const Value* input : program.user_inputs()) {
    if (input->kind() == ValueKind::literal || input->kind() == ValueKind::none) continue;
    InputSlot slot;
    slot.name = input->name();
    slot.scalar = !input->is_tensor();
    slot.dtype = slot.scalar ? scalar_dtype(input->kind()) : input->dtype();
    if (!slot.scalar)
      for (const SymInt& size : input->sizes()) slot.sizes.push_back(size_range(size, program.range_constraints));
    slots.push_back(std::move(slot));
  }
  return slots;
}

void calibrate(PreparedProgram& prepared, const SampleSource& samples, const std::function<void()>& advance) {
  for (size_t i = 0; i < samples.size(); ++i) {
    const Sample sample = samples.load(i);
    try {
      prepared(sample.inputs);
    } catch (const Error& error) {
      // What cannot be run at all is no fault of the sample.
      const std::string& program = prepared.program().source;
      if (error.kind() != ErrorKind::unsupported) throw error.with_context(escaped(sample.file.string()));
      if (program.empty()) throw;
      throw error.with_context(escaped(program));
    }
    if (advance) advance();
  }
}

FlowResult run_recipe(ExportedProgram program, const Recipe& recipe, const FlowOptions& options) {
  return Flow(std::move(program), recipe, options).run();
}

}  // namespace intaglio
