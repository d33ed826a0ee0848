// `quantize_`: which layers, what they become, and the nodes that say so.
#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "decompose/builder.h"
#include "decompose/recognize_linear.h"
#include "decompose/regions.h"
#include "quantize_api/check.h"
#include "quantize_api/layers.h"
#include "quantize_api/weights.h"

namespace intaglio {

namespace quantize_api {
namespace {

using decompose::GraphBuilder;

struct Work {
  Layer layer;
  const QuantizeConfig* config = nullptr;  // null: stays in float
  Decision decision;
  std::optional<QuantizeConfig> settled;  // the configuration as it is for this layer
};

// The configuration as it turned out for a layer of these sizes.
QuantizeConfig settled(QuantizeConfig config, const WeightForm& settled_form, const Layer& layer) {
  const auto* form = std::get_if<IntxForm>(&settled_form);
  if (form == nullptr) return config;
  const auto type = static_cast<IntxType>(form->bits);
  const bool is_row = form->group_size == layer.weight->sizes().back().value();
  const WeightGranularity granularity = is_row ? WeightGranularity(PerAxis{}) : PerGroup{form->group_size};
  if (auto* only = std::get_if<IntxWeightOnlyConfig>(&config)) {
    only->weight_dtype = type;
    only->granularity = granularity;
  } else if (auto* dynamic = std::get_if<Int8DynamicActivationIntxWeightConfig>(&config)) {
    dynamic->weight_dtype = type;
    dynamic->weight_granularity = granularity;
  }
  return config;
}

bool takes_any(const std::vector<Work>& all) {
  return std::ranges::any_of(all, [](const Work& work) { return work.config != nullptr; });
}

// Types are told where a filter may have looked for others.
std::string why_untaken(const Layer& layer) {
  const QuantizableLayer asked = layer.asked();
  if (is_linear(asked) || is_embedding(asked)) return "no filter takes them";
  return fmt::format("no filter takes modules of type '{}'", escaped(layer.module_type.substr(layer.module_type.rfind('.') + 1)));
}

// Fitted scales are symmetric whatever is asked, as torchao's are.
void warn_of_unused_mappings(const std::vector<QuantizeRule>& rules, const WarningSink& warn) {
  const auto is_unused = [](const auto& config, MappingType mapping) {
    return config.intx_choose_qparams_algorithm == IntxChooseQParamsAlgorithm::hqq_scale_only && mapping != MappingType::symmetric;
  };
  const auto has_unused = [&](const QuantizeRule& rule) {
    if (!rule.config) return false;
    if (const auto* only = std::get_if<IntxWeightOnlyConfig>(&*rule.config)) return is_unused(*only, only->mapping_type);
    const auto* dynamic = std::get_if<Int8DynamicActivationIntxWeightConfig>(&*rule.config);
    return dynamic != nullptr && is_unused(*dynamic, dynamic->weight_mapping_type);
  };
  if (warn && std::ranges::any_of(rules, has_unused))
    warn({"hqq_scale_only fits symmetric scales: the other mapping type that is asked for beside it is not used", false});
}

// The decided layers, in the order of the program. Nothing is changed before all of them are decided.
std::vector<Work> decide_all(const ExportedProgram& program, const std::vector<QuantizeRule>& rules, const QuantizeOptions& options) {
  std::vector<Work> all;
  std::vector<bool> is_idle(rules.size(), true);
  for (Layer& layer : layers_of(program)) {
    Work work{std::move(layer), nullptr, {}, std::nullopt};
    const auto rule = std::ranges::find_if(rules, [&](const QuantizeRule& r) { return r.filter(work.layer.asked()); });
    if (rule != rules.end()) is_idle[static_cast<size_t>(rule - rules.begin())] = false;
    if (rule != rules.end() && rule->config) {
      work.config = &*rule->config;
      work.decision = decide(*work.config, work.layer, options.when_indivisible);
      if (work.decision.form) work.settled = settled(*work.config, *work.decision.form, work.layer);
    } else {
      work.decision.why_float = rule == rules.end() ? why_untaken(work.layer) : "a rule says so";
    }
    all.push_back(std::move(work));
  }
  if (!takes_any(all)) return all;  // which is told at once
  for (size_t i = 0; i < rules.size(); ++i)
    if (is_idle[i] && !rules[i].name.empty() && options.warn)
      options.warn({fmt::format("{}: there is no linear or embedding layer that this rule is the first to take", rules[i].name), true});
  return all;
}

// Writes torchao's nodes and parameters, as they are after `unwrap_tensor_subclass`.
class Rewriter {
 public:
  Rewriter(ExportedProgram& program, int threads) : program_(program), threads_(threads) {}

  // torchao's parameters are of a module inside the layer's, `parametrizations`: they stand behind all that the layer has.
  void order_parameters() const {
    std::unordered_map<std::string_view, size_t> last_of;  // by layer: the place of its last parameter
    std::vector<InputSpec>& specs = program_.input_specs;
    std::vector<std::pair<size_t, bool>> places(specs.size());
    for (size_t i = 0; i < specs.size(); ++i) {
      if (specs[i].kind != InputSpec::Kind::parameter || layer_of_.contains(specs[i].value)) continue;
      for (std::string_view module = specs[i].target; module.find('.') != std::string_view::npos;)
        last_of[module = module.substr(0, module.rfind('.'))] = i;
    }
    for (size_t i = 0; i < specs.size(); ++i) {
      const auto layer = layer_of_.find(specs[i].value);
      const auto last = layer == layer_of_.end() ? last_of.end() : last_of.find(layer->second);
      places[i] = last == last_of.end() ? std::pair(i, false) : std::pair(last->second, true);
    }
    std::vector<size_t> order(specs.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t i) { return places[i]; });
    std::vector<InputSpec> sorted;
    std::vector<Value*> inputs;
    for (const size_t i : order) {
      sorted.push_back(specs[i]);
      inputs.push_back(specs[i].value);
    }
    specs = std::move(sorted);
    program_.graph().order_inputs(std::move(inputs));
  }

  void quantize(const Work& work) {
    const Quantized& weight = quantized_weight(work);
    for (Node* call : work.layer.calls) {
      GraphBuilder build(program_, *call);
      if (std::holds_alternative<Int8DynamicActivationIntxWeightConfig>(*work.config))
        program_.graph().set_argument(*call, "input", quantized_input(build, *call));
      program_.graph().set_argument(*call, "weight", dequantized(build, weight, work.layer.weight->dtype()));
    }
  }

 private:
  struct Quantized {
    WeightForm form;
    std::vector<Value*> parameters;
  };

  // One for each form that a weight is read in.
  const Quantized& quantized_weight(const Work& work) {
    std::vector<Quantized>& known = weights_[work.layer.weight];
    const auto same = std::ranges::find(known, *work.decision.form, &Quantized::form);
    if (same != known.end()) return *same;
    Quantized made{*work.decision.form, {}};
    const std::vector<Tensor> tensors = quantized(*program_.constant(work.layer.weight), made.form, work.layer, program_.files(), threads_);
    const std::string prefix = work.layer.fqn.empty() ? "" : work.layer.fqn + ".";
    for (size_t i = 0; i < tensors.size(); ++i) {
      made.parameters.push_back(program_.add_parameter(fmt::format("{}parametrizations.weight.original{}", prefix, i), tensors[i]));
      layer_of_.emplace(made.parameters.back(), work.layer.fqn);
    }
    return known.emplace_back(std::move(made));
  }

  static std::vector<Argument> with_dtype(std::vector<Argument> arguments, DType dtype) {
    if (dtype != DType::float32) arguments.push_back(dtype);
    return arguments;
  }

  // Int8 with a range for each row, found at run time.
  static Value* quantized_input(GraphBuilder& build, const Node& call) {
    Value* x = call.tensor("input");
    std::vector<int64_t> row(std::max<size_t>(1, x->sizes().size()), 1);
    row.back() = call.tensor("weight")->sizes().at(1).value();
    const Node& chosen = build.node("torchao.choose_qparams_affine.default",
                                    {x, "ASYMMETRIC", row, DType::int8, -128, 127, Argument(), Argument(), DType::int8});
    Value *scale = chosen.output(0), *zero_point = chosen.output(1);
    Value* q = build("torchao.quantize_affine.default", x, row, scale, zero_point, DType::int8, -128, 127);
    return build.call("torchao.dequantize_affine.default", with_dtype({q, row, scale, zero_point, DType::int8, -128, 127}, x->dtype()));
  }

  static Value* dequantized(GraphBuilder& build, const Quantized& weight, DType dtype) {
    const std::vector<Value*>& p = weight.parameters;
    if (const auto* intx = std::get_if<IntxForm>(&weight.form)) {
      const quant::QuantRange range = quant::intx_range(intx->bits);
      return build.call(
          "torchao.dequantize_affine.default",
          with_dtype({p[0], std::vector<int64_t>{1, intx->group_size}, p[1], p[2], DType::int8, range.min, range.max}, dtype));
    }
    const auto& book = std::get<CodebookForm>(weight.form);
    Node& check = build.graph().insert_before(nullptr, Op::get("aten._assert_tensor_metadata.default"),
                                              {{"a", p[0]},
                                               {"dtype", DType::uint8, ArgKind::keyword},
                                               {"device", Device{}, ArgKind::keyword},
                                               {"layout", Layout::strided, ArgKind::keyword}},
                                              {});
    Value* codes = build("aten.to.dtype", p[0], DType::int32);
    check.metadata = codes->producer()->metadata;
    build.graph().move_before(&check, codes->producer());
    return build.call("quant.dequantize_codebook.default", with_dtype({codes, p[1], int64_t{book.bits}, book.block_size}, dtype));
  }

  ExportedProgram& program_;
  int threads_;
  std::map<const Value*, std::vector<Quantized>> weights_;
  std::unordered_map<const Value*, std::string> layer_of_;  // of the new parameters
};

// A weight that its readers want in more than one form, or that something else reads in float.
void warn_of_splits(const ExportedProgram& program, const std::vector<Work>& all, const WarningSink& warn) {
  if (!warn) return;
  std::unordered_map<const Value*, std::vector<const Work*>> readers;
  for (const Work& work : all) readers[work.layer.weight].push_back(&work);
  for (const Work& first : all) {
    const std::vector<const Work*>& same = readers[first.layer.weight];
    if (same.front() != &first) continue;
    std::vector<std::string> forms;
    std::unordered_set<const Node*> calls;
    bool is_split = false;
    for (const Work* work : same) {
      is_split |= !(work->decision.form == first.decision.form);
      calls.insert(work->layer.calls.begin(), work->layer.calls.end());
      forms.push_back(fmt::format("{} '{}' reads it {}", name(work->layer.kind), escaped(work->layer.fqn),
                                  work->decision.form ? "as " + to_string(*work->decision.form) : "in float"));
    }
    for (const Node* user : first.layer.weight->users())
      if (first.decision.form && !calls.contains(user)) {
        is_split = true;
        forms.push_back(fmt::format("{} reads it in float", intaglio::describe(*user)));
      }
    if (is_split)
      warn({fmt::format("tied weight '{}' is split: {}; ask for the same to keep one copy", escaped(*program.target_of(first.layer.weight)),
                        fmt::join(forms, ", "))});
  }
}

// "1 left in float: why", the reasons in the order of their text.
std::string left_text(const std::vector<const Work*>& left) {
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const Work* work : left) by_reason[work->decision.why_float].push_back(work->layer.fqn);
  std::vector<std::string> parts;
  for (const auto& [reason, names] : by_reason) {
    constexpr size_t most = 2;
    std::vector<std::string> shown;
    for (size_t i = 0; i < std::min(most, names.size()); ++i) shown.push_back(fmt::format("'{}'", escaped(names[i])));
    parts.push_back(fmt::format("{} ({}{})", reason, fmt::join(shown, ", "),
                                names.size() > most ? fmt::format(" and {} more", names.size() - most) : ""));
  }
  return fmt::format("{} left in float: {}", left.size(), fmt::join(parts, "; "));
}

QuantizeSummary summary_of(const std::vector<Work>& all) {
  QuantizeSummary summary;
  std::vector<std::string> lines;
  for (const LayerKind kind : {LayerKind::linear, LayerKind::embedding}) {
    std::vector<const Work*> left;
    size_t count = 0;
    for (const Work& work : all) {
      if (work.layer.kind != kind) continue;
      ++count;
      if (!work.decision.form) left.push_back(&work);
      else summary.layers.push_back({work.layer.fqn, work.layer.calls.front()->name(), *work.settled});
    }
    summary.quantized += count - left.size();
    if (count == 0) continue;
    lines.push_back(
        fmt::format("{} of {} {}s quantized{}", count - left.size(), count, name(kind), left.empty() ? "" : ", " + left_text(left)));
  }
  summary.text = lines.empty() ? "no linear or embedding layers in float" : fmt::format("{}", fmt::join(lines, "; "));
  return summary;
}

// Why nothing is taken; "" where something is.
std::string why_nothing(const ExportedProgram& program, const std::vector<Work>& all, const std::vector<QuantizeRule>& rules) {
  if (takes_any(all)) return "";
  const std::string decomposed = why_decomposed(program);
  if (!decomposed.empty()) return decomposed;
  const std::vector<HiddenLayers> hidden = hidden_layers_of(program);
  if (all.empty() && !hidden.empty())
    return fmt::format("{}: {}", decompose::describe_region(*hidden.front().node), why_unreached(hidden.front()));
  if (all.empty()) return why_no_layers(program);
  std::vector<std::string> some;
  for (size_t i = 0; i < std::min<size_t>(3, all.size()); ++i)
    some.push_back(
        fmt::format("{} '{}' of type {}", name(all[i].layer.kind), escaped(all[i].layer.fqn), escaped(all[i].layer.module_type)));
  std::vector<std::string> names;
  for (const QuantizeRule& rule : rules)
    if (rule.config && !rule.name.empty()) names.push_back(rule.name);
  return fmt::format("{} none of the {} linear and embedding layers: {}{}",
                     names.empty() ? "the filter takes" : fmt::format("{} take{}", fmt::join(names, " and "), names.size() > 1 ? "" : "s"),
                     all.size(), fmt::join(some, ", "), all.size() > some.size() ? ", ..." : "");
}

}  // namespace
}  // namespace quantize_api

QuantizeSummary quantize_(ExportedProgram& program, const std::vector<QuantizeRule>& rules, const QuantizeOptions& options) {
  using namespace quantize_api;
  for (const QuantizeRule& rule : rules)
    if (rule.config) check(*rule.config);
  decompose::inline_regions(program);
  decompose::recognize_linear(program, is_in_linear_module);  // Falcon's
  const std::vector<Work> all = decide_all(program, rules, options);
  if (const std::string why = why_nothing(program, all, rules); !why.empty()) {
    if (!options.may_match_nothing) throw_bad_input(why);
    if (options.warn) options.warn({"quantize_ takes no layer: " + why, true});
  } else if (options.warn) {
    for (const HiddenLayers& hidden : hidden_layers_of(program))
      options.warn(Warning::at(decompose::describe_region(*hidden.node), why_unreached(hidden), true));
  }
  warn_of_unused_mappings(rules, options.warn);
  warn_of_splits(program, all, options.warn);
  Rewriter rewriter(program, options.threads);
  for (const Work& work : all)
    if (work.decision.form) rewriter.quantize(work);
  rewriter.order_parameters();
  program.remove_unused_constants();
  verify(program);
  return summary_of(all);
}

QuantizeSummary quantize_(ExportedProgram& program, const QuantizeConfig& config, const LayerFilter& filter,
                          const QuantizeOptions& options) {
  return quantize_(program, {QuantizeRule{filter, config}}, options);
}

}  // namespace intaglio
