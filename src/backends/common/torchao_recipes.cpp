#include "backends/common/torchao_recipes.h"

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::common {
namespace {
constexpr int64_t largest_group = int64_t{1} << 30;
}

Setting group_size_setting(int64_t smallest) {
  return {"group_size", Setting::Type::integer,
          "32",         smallest == 0 ? "elements of a row that share a scale, 0 is a whole row" : "elements of a row that share a scale",
          {},           smallest,
          largest_group};
}

std::vector<Setting> torchao_settings() {
  return {{"embedding", Setting::Type::word, "int8", "embedding tables, `none` leaves them in float", {"int8", "int4", "int2", "none"}},
          {"embedding_group_size",
           Setting::Type::integer,
           "0",
           "elements that share a scale in a table, 0 is a whole row",
           {},
           0,
           largest_group},
          when_indivisible_setting(),
          algorithm_setting()};
}

QuantizeStep torchao_step(const SettingValues& settings, QuantizeConfig linears) {
  const int64_t table_group = settings.integer("embedding_group_size");
  if (table_group == 1) throw_usage("setting embedding_group_size=1: a group has two elements or more, and 0 is a whole row");
  if (table_group != 0 && settings.word("embedding") == "none")
    throw_usage(
        fmt::format("setting embedding_group_size={}: embedding=none leaves tables in float; leave one of the two out", table_group));
  QuantizeStep step{.rules = {}, .when_indivisible = when_indivisible_of(settings), .widened_types = {DType::bfloat16}};
  step.rules.push_back({is_linear, std::move(linears)});
  if (const std::string& type = settings.word("embedding"); type != "none")
    step.rules.push_back({is_embedding, IntxWeightOnlyConfig{.weight_dtype = static_cast<IntxType>(type.back() - '0'),
                                                             .granularity = granularity_of(table_group),
                                                             .intx_choose_qparams_algorithm = algorithm_of(settings)}});
  return step;
}

}  // namespace intaglio::common
