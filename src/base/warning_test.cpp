#include <gtest/gtest.h>
#include <intaglio/warning.h>

namespace intaglio {
namespace {

using Lines = std::vector<std::string>;

TEST(Grouped, OneLineOfWhatIsSaidOfManyPlaces) {
  const std::vector<Warning> warnings = {
      Warning::at("conv", "it was 0.5 in every sample"),
      Warning("plan entry 'a1' is not used"),
      Warning::at("fc", "3 of 8 scales raised"),
      Warning::at("bn", "it was 0 in every sample"),
      Warning("plan entry 'b' is not used"),
      Warning::at("relu", "it was -1.5e-05 in every sample"),
      Warning("the program stays in float"),
      Warning::at("add", "it was 12 in every sample"),
  };
  EXPECT_EQ(grouped(warnings),
            (Lines{"conv: it was 0.5 in every sample; likewise bn, relu and 1 more", "plan entry 'a1' is not used; and 1 more like it",
                   "fc: 3 of 8 scales raised", "the program stays in float"}));
}

TEST(Grouped, PlacesAreNamedWhileThereAreFew) {
  const std::vector<Warning> warnings = {Warning::at("a", "lost"), Warning::at("b", "lost"), Warning::at("c", "lost")};
  EXPECT_EQ(grouped(warnings), (Lines{"a: lost; likewise b, c"}));
  EXPECT_EQ(grouped({warnings.data(), 1}), (Lines{"a: lost"}));
  EXPECT_TRUE(grouped({}).empty());
}

}  // namespace
}  // namespace intaglio
