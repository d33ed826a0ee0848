#include "backends/exynos/backend.h"

#include <intaglio/exynos.h>

#include "backends/exynos/handover/container.h"

namespace intaglio::exynos {
namespace {

Setting is_per_channel_setting() {
  return {"is_per_channel", Setting::Type::boolean, "true", "a scale for each output channel of a weight"};
}
Setting is_qat_setting() {
  return {"is_qat", Setting::Type::boolean, "false", "`true` is refused: quantization-aware training needs a training framework"};
}

std::vector<Setting> settings() {
  return {compat_setting(),
          runtime_setting(),
          {"chipset", Setting::Type::word, "E9955", "E9955 (Exynos 2500) or E9965 (Exynos 2600)"},
          {"enn_compiler", Setting::Type::word, "", "a library that compiles graphs (intaglio/enn_compiler.h), for a .pte"},
          {"enn_binary", Setting::Type::word, "", "a file that Samsung's compiler made of the program's one graph, for a .pte"}};
}

std::vector<RecipeStep> static_steps(const SettingValues& settings) {
  const Compat compat = compat_of(settings);
  auto quantizer = std::make_shared<EnnQuantizer>(compat);
  quantizer->set_quant_params("A8W8", settings.flag("is_per_channel"), settings.flag("is_qat"));
  return {Pt2eStep{std::move(quantizer), compat}};
}

QuantizationConfig config(const SettingValues& settings) {
  EnnQuantizer().setup_quant_params(Precision::a8w8, true, settings.flag("is_qat"));
  return get_quant_config(Precision::a8w8, settings.flag("is_per_channel"));
}

std::unique_ptr<Quantizer> quantizer(const QuantizationConfig& config, Compat compat, Backend::RuleNodes wanted) {
  auto made = std::make_unique<EnnQuantizer>(compat);
  made->setup_quant_params(Precision::a8w8, config.weight && config.weight->qscheme == QScheme::per_channel_symmetric);
  made->set_filter_function(std::move(wanted));
  return made;
}

}  // namespace

Backend backend() {
  return {.name = "exynos",
          .title = "Exynos",
          .delegate_id = std::string(delegate_id),
          .settings = settings(),
          .recipes = {{.name = "exynos_pt2e_int8_static",
                       .summary = "int8 weights and activations from calibration, for Samsung's Exynos NPU",
                       .needs_calibration = true,
                       .settings = {is_per_channel_setting(), is_qat_setting()},
                       .steps = static_steps}},
          .partitioner =
              [](const SettingValues& settings) {
                return std::make_unique<EnnPartitioner>(EnnPartitionerOptions{.chipset = chipset_named(settings.word("chipset")),
                                                                              .compat = compat_of(settings),
                                                                              .compiler = settings.word("enn_compiler"),
                                                                              .binary = settings.word("enn_binary")});
              },
          .config_settings = {is_per_channel_setting(), is_qat_setting()},
          .file_settings = {is_qat_setting()},
          .config = config,
          .quantizer = quantizer,
          .hand_over = hand_over()};
}

}  // namespace intaglio::exynos
