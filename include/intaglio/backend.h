// A backend is one row: what recipes, `lower`, `inspect` and the check of a file need to know of it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <intaglio/partitioner.h>
#include <intaglio/pattern_quantizer.h>
#include <intaglio/pt2e.h>
#include <intaglio/quantize_api.h>
#include <intaglio/runtime_version.h>
#include <intaglio/settings.h>

#pragma GCC visibility push(default)

namespace intaglio {

// ---- recipes: a list of steps from the float program to the one that is lowered

struct TransformStep {
  std::string name;
  std::function<std::string(ExportedProgram&)> run;  // what is to be said of it, in one line; "" for nothing
};
// prepare, calibrate, convert.
struct Pt2eStep {
  std::shared_ptr<const Quantizer> quantizer;
  Compat compat = Compat::intaglio;
};
// `quantize_`.
struct QuantizeStep {
  std::vector<QuantizeRule> rules;
  WhenIndivisible when_indivisible = WhenIndivisible::error;
  std::vector<DType> widened_types = {};  // a program that computes in these is quantized as one that computes in float32
};
using RecipeStep = std::variant<TransformStep, Pt2eStep, QuantizeStep>;

struct BackendRecipe {
  std::string name;
  std::string summary;
  bool needs_calibration = false;                                           // samples or a plan
  std::vector<Setting> settings = {};                                       // beside the backend's own
  std::function<std::vector<RecipeStep>(const SettingValues&)> steps = {};  // none: the program stays in float
  std::string alias = {};                                                   // another name that it goes by
};

// ---- what a delegate's payload holds, for `inspect`

struct DecodedValue {
  std::string dtype;  // in the backend's words
  Sizes sizes;
  std::string key;  // of the named data that it is; "" for anything else
};

struct DecodedNode {
  std::string kind;                  // in the backend's words: "Conv2d"
  std::string text;                  // all of it, on one line
  std::vector<DecodedValue> inputs;  // without those that are absent
  DecodedValue output;
  std::optional<std::pair<float, float>> range;  // that its results are clamped to
  // What its work is counted as: an op of ATen with a contraction ("convolution", "linear", "bmm"), else its elements.
  std::string op;
  bool transposed = false;  // of convolutions
  Sizes weight;             // of convolutions: [output channels, ...] for one group
};

struct DecodedPayload {
  std::vector<DecodedNode> nodes;  // in execution order
  size_t fused_clamps = 0;         // nodes that took in an activation
  RuntimeNeeds needs;              // `from_file` as if the payload were freed once it is compiled
};

// ---- a backend whose compiler is elsewhere: its graphs, with the rest of the program, in a file of their own

class EdgeProgram;

struct HandOverGraph {
  size_t ops = 0;
  std::string text;  // a line for each tensor and operator
  std::string json;  // all of it but the data of constants
};
struct HandOverMethod {
  std::string name;
  std::vector<std::string> outside;  // operators that are in no graph
  std::vector<HandOverGraph> graphs;
};
struct HandOverContents {
  std::string title;  // what it is, and of which version
  std::vector<HandOverMethod> methods;
};

struct HandOver {
  using Inspect = std::function<void(const std::filesystem::path& written)>;
  std::string extension;  // ".enn"
  bool (*recognizes)(std::span<const std::byte> file);
  // Beside its target, which is replaced once `inspect` has returned.
  void (*write)(const EdgeProgram&, const std::filesystem::path&, const Inspect& inspect);
  // Bad-input errors on damage. A method as a program again, as it computes on the device.
  ExportedProgram (*load)(const std::filesystem::path&, std::string_view method);
  HandOverContents (*inspect)(const std::filesystem::path&);
};

// ---- the row

struct Backend {
  std::string name;               // as `--backend` says
  std::string title;              // in texts
  std::string delegate_id;        // in the runtime; "" for one without delegates
  std::vector<Setting> settings;  // of its partitioner: taken by each of its recipes; `compat` is one of them
  std::vector<BackendRecipe> recipes = {};
  std::function<std::unique_ptr<Partitioner>(const SettingValues&)> partitioner = {};  // none: portable kernels run everything

  // Rules of a user's recipe file: what a rule's configuration may say, and the quantizer that is given it.
  std::vector<Setting> config_settings = {};
  std::vector<Setting> file_settings = {};  // of the whole file, beside `settings`: a default for the rules' of that name
  std::function<QuantizationConfig(const SettingValues&)> config = {};
  // Annotates with the configuration the nodes that `wanted` says yes to.
  using RuleNodes = std::function<bool(const Node&)>;
  std::function<std::unique_ptr<Quantizer>(const QuantizationConfig&, Compat, RuleNodes wanted)> quantizer = {};

  // Bytes from a file. Bad-input errors on damage; `check` looks at no more than the runtime does before it trusts them.
  std::function<void(std::span<const std::byte> payload)> check = {};
  std::function<DecodedPayload(std::span<const std::byte> payload)> decode = {};  // none: `inspect` shows sizes only

  std::optional<HandOver> hand_over = {};
};

// Every backend there is, in the order in which they are named; the first is the default.
std::span<const Backend> backends();

// Null when there is none of that name, or that delegate id.
const Backend* find_backend(std::span<const Backend> known, std::string_view name);
const Backend* find_delegate_backend(std::span<const Backend> known, std::string_view delegate_id);

// The backend whose hand-over a file is, by its first bytes or, where these say nothing, by its name; null for any other.
const Backend* find_hand_over(const std::filesystem::path& file, std::span<const Backend> known = backends());

// Has each payload of a file checked by its backend: what verification asks. `known` outlives it.
std::function<void(std::string_view delegate_id, std::span<const std::byte> payload)> payload_check(
    std::span<const Backend> known = backends());

// `Backend::quantizer` of a backend whose quantizer is a table of patterns.
template <class BackendQuantizer>
std::unique_ptr<Quantizer> pattern_quantizer_rule(const QuantizationConfig& config, Compat compat, Backend::RuleNodes wanted) {
  auto quantizer = std::make_unique<BackendQuantizer>(compat);
  quantizer->set_global(config);
  if (wanted) quantizer->set_filter_function(std::move(wanted));
  return quantizer;
}

// `compat=intaglio|torchao`, which every backend has.
inline Setting compat_setting() {
  return {"compat",
          Setting::Type::word,
          "intaglio",
          "`torchao` reproduces torchao's and ExecuTorch's choices exactly, bugs included",
          {"intaglio", "torchao"}};
}
inline Compat compat_of(const SettingValues& settings) { return settings.word("compat") == "torchao" ? Compat::torchao : Compat::intaglio; }

// A `group_size` setting: 0 is a scale for each row.
inline WeightGranularity granularity_of(int64_t group_size) {
  return group_size == 0 ? WeightGranularity(PerAxis{}) : WeightGranularity(PerGroup{group_size});
}
// `when_indivisible=error|float|int8|nearest` and `intx_choose_qparams_algorithm=affine|hqq_scale_only`, of recipes that
// take `quantize_`.
inline Setting when_indivisible_setting() {
  return {"when_indivisible",
          Setting::Type::word,
          "error",
          "layers whose rows the group size does not divide: float, int8 per row, or the nearest group size that does",
          {"error", "float", "int8", "nearest"}};
}
inline WhenIndivisible when_indivisible_of(const SettingValues& settings) {
  const std::string& word = settings.word("when_indivisible");
  return word == "float"     ? WhenIndivisible::float_
         : word == "int8"    ? WhenIndivisible::int8
         : word == "nearest" ? WhenIndivisible::nearest
                             : WhenIndivisible::error;
}
inline Setting algorithm_setting() {
  return {"intx_choose_qparams_algorithm",
          Setting::Type::word,
          "affine",
          "how scales are found; `hqq_scale_only` fits them, as ExecuTorch's exporters of language models do",
          {"affine", "hqq_scale_only"}};
}
inline IntxChooseQParamsAlgorithm algorithm_of(const SettingValues& settings) {
  return settings.word("intx_choose_qparams_algorithm") == "affine" ? IntxChooseQParamsAlgorithm::affine
                                                                    : IntxChooseQParamsAlgorithm::hqq_scale_only;
}

// `runtime=1.0|...|1.5`: the oldest release that must run the file.
inline Setting runtime_setting() {
  return {"runtime", Setting::Type::word, name(newest_runtime), "the oldest ExecuTorch that is to run the file", runtime_version_names()};
}
// The newest one where there is no such setting.
inline RuntimeVersion runtime_of(const SettingValues& settings) {
  return settings.has("runtime") ? runtime_version(settings.word("runtime")) : newest_runtime;
}

}  // namespace intaglio

#pragma GCC visibility pop
