#include "backends/coreml/quantizing_recipes.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/common/torchao_recipes.h"
#include "backends/coreml/mil/program.h"

namespace intaglio::coreml {
namespace {

constexpr const char *no_target = "unset", *ios16 = "iOS16", *ios18 = "iOS18";

Version version_named(std::string_view target) {
  const auto row = std::ranges::find(versions, target, &VersionRow::target);
  return row == std::end(versions) ? Version::ios15 : row->version;
}

std::vector<RecipeStep> steps(const SettingValues& settings, IntxType type, WeightGranularity granularity) {
  const std::string& table = settings.word("embedding");
  if (table != "none" && (table != "int8" || settings.integer("embedding_group_size") != 0))
    require_target(settings, ios18, "tables of fewer than 8 bits, or with a scale for each group,");
  return {common::torchao_step(
      settings, IntxWeightOnlyConfig{
                    .weight_dtype = type, .granularity = std::move(granularity), .intx_choose_qparams_algorithm = algorithm_of(settings)})};
}
template <IntxType type>
std::vector<RecipeStep> channel_steps(const SettingValues& settings) {
  require_target(settings, type == IntxType::int8 ? ios16 : ios18, type == IntxType::int8 ? "int8 weights" : "int4 weights");
  return steps(settings, type, PerAxis{});
}
template <IntxType type>
std::vector<RecipeStep> group_steps(const SettingValues& settings) {
  require_target(settings, ios18, "weights with a scale for each group");
  return steps(settings, type, PerGroup{settings.integer("group_size")});
}

[[noreturn]] void refuse_block_size(const std::string& text) {
  throw_usage(fmt::format("setting block_size={}: two sizes of a block, rows and columns, as in [16,-1]; -1 is all of them", text));
}

// "[16, -1]", or the same without brackets.
std::vector<int64_t> block_size_of(const SettingValues& settings) {
  const std::string& given = settings.word("block_size");
  std::string text = given;
  std::erase_if(text, [](char c) { return c == ' ' || c == '[' || c == ']'; });
  std::vector<int64_t> sizes;
  for (const char *at = text.data(), *end = at + text.size(); at < end; ++at) {
    int64_t size = 0;
    const auto [next, error] = std::from_chars(at, end, size);
    if (error != std::errc() || (size < 1 && size != -1) || (next != end && *next != ',')) refuse_block_size(given);
    sizes.push_back(size);
    at = next;
  }
  if (sizes.size() != 2) refuse_block_size(given);
  return sizes;
}

std::vector<RecipeStep> codebook_steps(const SettingValues& settings) {
  const std::vector<int64_t> block_size = block_size_of(settings);
  const bool is_one_table = block_size == std::vector<int64_t>{-1, -1};
  require_target(settings, is_one_table ? ios16 : ios18, is_one_table ? "weights with a table" : "weights with a table for each block");
  const CodebookWeightOnlyConfig config{.dtype = static_cast<UintxType>(settings.integer("bits")), .block_size = block_size};
  return {QuantizeStep{.rules = {{is_linear, config}, {is_embedding, config}},
                       .when_indivisible = when_indivisible_of(settings),
                       .widened_types = {DType::bfloat16}}};
}

// Tables stay as they are unless asked for.
std::vector<Setting> torchao_settings(const char* target, bool in_groups) {
  std::vector<Setting> list = common::torchao_settings();
  std::ranges::find(list, "embedding", &Setting::name)->default_value = "none";
  list.push_back(target_setting(target));
  if (in_groups) list.push_back(common::group_size_setting(1));
  return list;
}

}  // namespace

Setting target_setting(std::string value) {
  std::vector<std::string> words = {no_target};
  for (const VersionRow& row : versions) words.emplace_back(row.target);
  return {"minimum_deployment_target", Setting::Type::word, std::move(value), "the oldest system that is to run the model; unset: iOS15",
          std::move(words)};
}

void require_target(const SettingValues& settings, std::string_view target, std::string_view what) {
  const std::string& given = settings.word("minimum_deployment_target");
  if (version_named(given) < version_named(target))
    throw_usage(fmt::format("setting minimum_deployment_target={}: {} need {} or later", given, what, target));
}

std::vector<BackendRecipe> quantizing_recipes() {
  return {{"coreml_torchao_int4_weight_only_per_channel", "int4 linears with a scale per channel: no calibration", false,
           torchao_settings(ios18, false), channel_steps<IntxType::int4>},
          {"coreml_torchao_int4_weight_only_per_group", "int4 linears with a scale per group: no calibration", false,
           torchao_settings(ios18, true), group_steps<IntxType::int4>},
          {"coreml_torchao_int8_weight_only_per_channel", "int8 linears with a scale per channel: no calibration", false,
           torchao_settings(ios16, false), channel_steps<IntxType::int8>},
          {"coreml_torchao_int8_weight_only_per_group", "int8 linears with a scale per group: no calibration", false,
           torchao_settings(ios18, true), group_steps<IntxType::int8>},
          {"coreml_codebook_weight_only",
           "linears and embeddings as tables of 2^bits values, one for each block: no calibration",
           false,
           {target_setting(ios18),
            when_indivisible_setting(),
            {"bits", Setting::Type::integer, "4", "bits of a weight", {}, 1, 8},
            {"block_size", Setting::Type::word, "[8,-1]", "rows and columns that share a table; -1: all of them"}},
           codebook_steps}};
}

}  // namespace intaglio::coreml
