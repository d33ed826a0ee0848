#include <gtest/gtest.h>

#include <intaglio/recipes.h>

#include "backends/registry/idle_backend_for_tests.h"
#include "report/explanation.h"
#include "report/pte_explanation.h"
#include "testing/errors.h"
#include "testing/program_builder.h"

namespace intaglio {
namespace {

std::vector<Backend> with_idle() {
  std::vector<Backend> known(backends().begin(), backends().end());
  known.push_back(test::idle_backend());
  return known;
}

ExportedProgram relu_and_exp() {
  test::ProgramBuilder b;
  Value* x = b.input("x", {2});
  Value* positive = b.call("aten.relu.default", {{"self", x}}, {2}, "positive");
  return b.finish({b.call("aten.exp.default", {{"self", positive}}, {2}, "grown")});
}

std::vector<std::byte> idle_file() {
  PartitionerList partitioners;
  add_backend(partitioners, "idle", {}, with_idle());
  return to_edge_transform_and_lower(relu_and_exp(), partitioners).to_executorch().bytes();
}

TEST(Registry, NamesAndDelegateIdsAreUnique) {
  for (const Backend& backend : backends()) {
    EXPECT_EQ(find_backend(backends(), backend.name), &backend);
    EXPECT_EQ(find_delegate_backend(backends(), backend.delegate_id), backend.delegate_id.empty() ? nullptr : &backend);
  }
  EXPECT_EQ(find_backend(backends(), "idle"), nullptr);
}

TEST(Registry, EveryRecipeCanBeMade) {
  for (const RecipeInfo& info : list_recipes()) EXPECT_EQ(make_recipe(info.name).info.backend, info.backend);
}

TEST(Registry, OneRowMakesABackendKnownToRecipes) {
  const std::vector<Backend> known = with_idle();
  EXPECT_EQ(list_recipes(known).back().name, "idle_fp32");
  const Recipe recipe = make_recipe("idle_fp32", {{"naps", "3"}}, known);
  EXPECT_EQ(recipe.settings.integer("naps"), 3);
  EXPECT_EQ(recipe.partitioners.items().at(0)->backend_id(), "IdleBackend");
  EXPECT_EQ(test::refusal_of(ErrorKind::usage, [&] { make_recipe("idle_fp32", {{"naps", "10"}}, known); }),
            "setting naps=10: must be an integer from 0 to 9");
  EXPECT_EQ(test::refusal_of(ErrorKind::usage, [] { make_recipe("idle_fp32"); }).substr(0, 26), "unknown recipe 'idle_fp32'");
}

TEST(Registry, OneRowMakesABackendKnownToLowerAndInspect) {
  const Recipe recipe = make_recipe("idle_fp32", {}, with_idle());
  const report::Explanation explanation = report::explain(relu_and_exp(), recipe, recipe.partitioners, 1);
  EXPECT_EQ(explanation.delegation->delegates.at(0).backend, "IdleBackend");
  EXPECT_EQ(explanation.delegation->outside.at(0).rule, "only relu");

  const report::PteContents contents = report::read_pte_contents(idle_file(), with_idle());
  const report::DelegateContents& delegate = contents.methods.at(0).delegates.at(0);
  EXPECT_EQ(delegate.backend, "IdleBackend");
  EXPECT_EQ(delegate.kinds, (report::Counts{{"Nap", 1}}));
  EXPECT_EQ(delegate.work, 2u);
  // Without the row its payload is bytes.
  EXPECT_FALSE(report::read_pte_contents(idle_file()).methods.at(0).delegates.at(0).payload.has_value());
}

TEST(Registry, OneRowMakesABackendKnownToVerification) {
  std::vector<std::byte> file = idle_file();
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  file[text.rfind(test::idle_payload)] = std::byte{'x'};
  EXPECT_NO_THROW(report::read_pte_contents(file));
  const std::string message = test::refusal_of(ErrorKind::bad_input, [&] { report::read_pte_contents(file, with_idle()); });
  EXPECT_NE(message.find("an idle payload is not idle"), std::string::npos) << message;
}

}  // namespace
}  // namespace intaglio
