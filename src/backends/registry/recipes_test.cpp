#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <intaglio/error.h>
#include <intaglio/recipes.h>

namespace intaglio {
namespace {

class RecipeFile : public ::testing::Test {
 protected:
  std::string write(const std::string& text) {
    const std::string path = (std::filesystem::temp_directory_path() / ("recipe_" + std::to_string(::getpid()) + ".json"));
    std::ofstream(path) << text;
    return path;
  }
  std::string failure(const std::string& text) {
    try {
      make_recipe(write(text));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      return error.what();
    }
    return "";
  }
};

std::string usage_message(const std::string& name, const RecipeSettings& settings = {}) {
  try {
    make_recipe(name, settings);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

TEST(Recipes, KnownNames) {
  EXPECT_FALSE(make_recipe("xnnpack_fp32").quantizes());
  EXPECT_TRUE(make_recipe("xnnpack_fp32", {{"compat", "torchao"}}).steps.empty());
  const Recipe recipe = make_recipe("xnnpack_pt2e_int8_static_per_channel", {{"compat", "torchao"}});
  EXPECT_EQ(std::get<Pt2eStep>(recipe.steps.at(0)).compat, Compat::torchao);
  EXPECT_TRUE(recipe.info.needs_calibration);
  EXPECT_EQ(recipe.settings.word("compat"), "torchao");
  EXPECT_FALSE(recipe.settings.flag("is_qat"));
  EXPECT_EQ(recipe.partitioners.items().size(), 1u);
}

TEST(Recipes, DynamicNeedsNoCalibration) {
  for (const char* name : {"xnnpack_pt2e_int8_dynamic_per_channel", "xnnpack_pt2e_int8_dynamic_per_tensor"}) {
    const Recipe recipe = make_recipe(name);
    EXPECT_EQ(recipe.steps.size(), 1u);
    EXPECT_FALSE(recipe.info.needs_calibration);
  }
}

// Training is not Intaglio's job, and the refusal says so.
TEST_F(RecipeFile, QatIsRefusedWithTheReason) {
  const auto refusal = [](const std::string& name, const RecipeSettings& settings) -> std::string {
    try {
      make_recipe(name, settings);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unsupported);
      return error.what();
    }
    return "";
  };
  const std::string reason = "training";
  for (const char* name : {"xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_dynamic_per_channel"}) {
    EXPECT_NE(refusal(name, {{"is_qat", "true"}}).find(reason), std::string::npos);
    EXPECT_EQ(make_recipe(name, {{"is_qat", "false"}}).steps.size(), 1u);
  }
  const std::string head = R"({"schema": "intaglio-recipe/1", "backend": "xnnpack", "rules": [{"config": )";
  EXPECT_NE(refusal(write(head + R"({"is_qat": true}}]})"), {}).find("rules[0].config: is_qat"), std::string::npos);
  EXPECT_NE(refusal(write(head + "{}}]}"), {{"is_qat", "true"}}).find(reason), std::string::npos);
  EXPECT_NE(usage_message("xnnpack_fp32", {{"is_qat", "true"}}).find("no setting 'is_qat'"), std::string::npos);
}

TEST(Recipes, UnknownNamesAreAnswered) {
  EXPECT_NE(usage_message("xnnpack_fp23").find("did you mean 'xnnpack_fp32'"), std::string::npos);
  EXPECT_NE(usage_message("xnnpack_fp32", {{"group_size", "32"}}).find("no setting 'group_size'"), std::string::npos);
  EXPECT_NE(usage_message("xnnpack_fp32", {{"compat", "x"}}).find("must be intaglio or torchao"), std::string::npos);
}

TEST_F(RecipeFile, ReadsRules) {
  const Recipe recipe = make_recipe(write(R"({"schema": "intaglio-recipe/1", "name": "mixed", "backend": "xnnpack",
      "rules": [{"match": {"module_name": "head*"}, "config": null},
                {"match": {"module_type": "Conv2d"}, "config": {"is_per_channel": true}},
                {"config": {"scheme": "symmetric_int8", "weight_qmin": -127}}]})"));
  EXPECT_EQ(recipe.info.name, "mixed");
  EXPECT_TRUE(recipe.info.needs_calibration);
  EXPECT_EQ(recipe.steps.size(), 1u);
}

TEST_F(RecipeFile, NamesThePlaceOfAnError) {
  EXPECT_NE(failure("{").find("is not JSON"), std::string::npos);
  EXPECT_NE(failure(R"({"schema": "x", "backend": "xnnpack", "rules": []})").find("schema: must be"), std::string::npos);
  EXPECT_NE(failure(R"({"schema": "intaglio-recipe/1", "schema": "x"})").find("given twice"), std::string::npos);
  const std::string head = R"({"schema": "intaglio-recipe/1", "backend": "xnnpack", "rules": )";
  EXPECT_NE(failure(head + "3}").find("rules: must be a list"), std::string::npos);
  EXPECT_NE(failure(head + R"([{"match": {"layer": "x"}, "config": null}]})").find("rules[0].match: unknown key 'layer'"),
            std::string::npos);
  EXPECT_NE(failure(head + R"([{"match": {}}]})").find("rules[0].config: is missing"), std::string::npos);
  EXPECT_NE(failure(head + R"([{"config": {"act_qmax": 300}}]})").find("rules[0].config.act_qmax"), std::string::npos);
}

}  // namespace
}  // namespace intaglio
