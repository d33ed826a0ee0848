#include "data/token_file.h"

#include <gtest/gtest.h>

#include <intaglio/error.h>

namespace intaglio::data {
namespace {

TEST(TokenFile, NumbersApartByWhatever) {
  EXPECT_EQ(parse_tokens("1,15043 7\n\n 0\t,2,"), (std::vector<int64_t>{1, 15043, 7, 0, 2}));
  EXPECT_TRUE(parse_tokens(" ,\n").empty());
}

TEST(TokenFile, RefusesWhatIsNoId) {
  for (const char* text : {"1 -2", "1.5", "seven", "99999999999999999999", "0x10"}) EXPECT_THROW(parse_tokens(text), Error) << text;
}

}  // namespace
}  // namespace intaglio::data
