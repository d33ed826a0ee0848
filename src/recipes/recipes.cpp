#include <intaglio/recipes.h>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>
#include <intaglio/xnnpack.h>

#include "recipes/recipe_file.h"
#include "recipes/settings.h"

namespace intaglio {
namespace {

const RecipeSetting kCompat = {"compat", "intaglio", "`torchao` reproduces torchao's and ExecuTorch's choices exactly, bugs included"};

const RecipeSetting kIsQat = {"is_qat", "false", "`true` is refused: quantization-aware training needs a training framework"};

enum class Activations { none, calibrated, dynamic };

struct XnnpackRow {
  const char* name;
  const char* summary;
  Activations activations;
  bool per_channel;
};
constexpr XnnpackRow kXnnpack[] = {
    {"xnnpack_fp32", "float32, delegated to XNNPACK", Activations::none, false},
    {"xnnpack_pt2e_int8_static_per_channel", "int8 weights per channel, int8 activations from calibration", Activations::calibrated, true},
    {"xnnpack_pt2e_int8_static_per_tensor", "int8 weights per tensor, int8 activations from calibration", Activations::calibrated, false},
    {"xnnpack_pt2e_int8_dynamic_per_channel", "int8 weights per channel, activations quantized at run time: no calibration",
     Activations::dynamic, true},
    {"xnnpack_pt2e_int8_dynamic_per_tensor", "int8 weights per tensor, activations quantized at run time: no calibration",
     Activations::dynamic, false},
};

struct BackendRow {
  const char* name;
  void (*add)(PartitionerList&, Compat);
};
constexpr BackendRow kBackends[] = {
    {"xnnpack",
     [](PartitionerList& list, Compat compat) {
       list.add(std::make_unique<xnnpack::XnnpackPartitioner>(xnnpack::XnnpackPartitionerOptions{.compat = compat}));
     }},
    {"portable", [](PartitionerList&, Compat) {}},
};

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

[[noreturn]] void unknown_recipe(const std::string& name) {
  const std::vector<RecipeInfo>& known = list_recipes();
  const auto nearest = std::min_element(known.begin(), known.end(), [&](const RecipeInfo& a, const RecipeInfo& b) {
    return edit_distance(name, a.name) < edit_distance(name, b.name);
  });
  throw_usage(fmt::format("unknown recipe '{}'; did you mean '{}'? `intaglio recipes` lists them, and a recipe file ends in .json",
                          escaped(name), nearest->name));
}

}  // namespace

TakenSettings take_settings(const RecipeSettings& settings, const std::string& recipe, bool quantizes) {
  TakenSettings taken;
  for (const auto& [key, value] : settings) {
    const bool is_qat = quantizes && key == kIsQat.name;
    if (key != kCompat.name && !is_qat)
      throw_usage(fmt::format("recipe '{}' has no setting '{}'; it has: {}{}", recipe, escaped(key), kCompat.name,
                              quantizes ? ", " + kIsQat.name : ""));
    const std::string_view off = is_qat ? "false" : "intaglio", on = is_qat ? "true" : "torchao";
    if (value != off && value != on) throw_usage(fmt::format("setting {}={}: must be {} or {}", key, escaped(value), off, on));
    if (is_qat) taken.is_qat = value == on;
    else if (value == on) taken.compat = Compat::torchao;
  }
  return taken;
}

const std::vector<RecipeInfo>& list_recipes() {
  static const std::vector<RecipeInfo> recipes = [] {
    std::vector<RecipeInfo> list;
    for (const XnnpackRow& row : kXnnpack) {
      std::vector<RecipeSetting> settings = {kCompat};
      if (row.activations != Activations::none) settings.push_back(kIsQat);
      list.push_back({row.name, row.summary, "xnnpack", row.activations == Activations::calibrated, std::move(settings)});
    }
    return list;
  }();
  return recipes;
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const BackendRow& row : kBackends) names.push_back(row.name);
  return names;
}

void add_backend(PartitionerList& partitioners, const std::string& backend, Compat compat) {
  for (const BackendRow& row : kBackends)
    if (row.name == backend) return row.add(partitioners, compat);
  throw_usage(fmt::format("unknown backend '{}'; known: {}", escaped(backend), fmt::join(backend_names(), ", ")));
}

Recipe make_recipe(const std::string& name_or_path, const RecipeSettings& settings) {
  if (name_or_path.ends_with(".json")) return load_recipe_file(name_or_path, settings);
  const std::vector<RecipeInfo>& known = list_recipes();
  for (size_t i = 0; i < known.size(); ++i) {
    if (known[i].name != name_or_path) continue;
    const XnnpackRow& row = kXnnpack[i];
    Recipe recipe;
    recipe.info = known[i];
    const bool quantizes = row.activations != Activations::none;
    const auto [compat, is_qat] = take_settings(settings, name_or_path, quantizes);
    recipe.prepare.compat = compat;
    add_backend(recipe.partitioners, known[i].backend, compat);
    if (quantizes) {
      auto quantizer = std::make_unique<xnnpack::XnnpackQuantizer>(compat);
      quantizer->set_global(xnnpack::get_symmetric_quantization_config(
          {.is_per_channel = row.per_channel, .is_qat = is_qat, .is_dynamic = row.activations == Activations::dynamic}));
      recipe.quantizer = std::move(quantizer);
    }
    return recipe;
  }
  unknown_recipe(name_or_path);
}

}  // namespace intaglio
