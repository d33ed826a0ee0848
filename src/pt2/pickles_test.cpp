#include "pt2/pickles.h"

#include <gtest/gtest.h>

namespace intaglio::pt2 {
namespace {

using namespace std::string_view_literals;

TEST(Pickles, OfEveryProtocolAreFound) {
  EXPECT_TRUE(holds_pickle("cposix\nsystem\n(S'id'\ntR."));
  EXPECT_TRUE(holds_pickle("cposix\nsystem\n(S'id'\ntR.and more"));
  EXPECT_TRUE(holds_pickle("(S'id'\niposix\nsystem\n."));
  EXPECT_TRUE(holds_pickle("cposix\nsystem\nq\0X\2\0\0\0id\x85q\1Rq\2."sv));
  EXPECT_TRUE(holds_pickle("\x80\4\x95\x1d\0\0\0\0\0\0\0\x8c\5posix\x94"sv));
  EXPECT_TRUE(holds_pickle("\x8c\5posix\x8c\6system\x93\x8c\2id\x85R."sv));
  EXPECT_TRUE(holds_pickle("PK\3\4...archive/data.pkl..."));
}

TEST(Pickles, NotesAndListsAreNone) {
  EXPECT_FALSE(holds_pickle(""));
  EXPECT_FALSE(holds_pickle("cat\ndog\nbird\n"));
  EXPECT_FALSE(holds_pickle("cat\ndog\n"));
  EXPECT_FALSE(holds_pickle("A note.\n"));
  EXPECT_FALSE(holds_pickle("{\"labels\": [1, 2]}"));
  EXPECT_FALSE(holds_pickle("PK\3\4...labels.txt..."));
  EXPECT_FALSE(holds_pickle("X\xff\xff\xff\xff."));
  EXPECT_FALSE(holds_pickle("\x8e\xff\xff\xff\xff\xff\xff\xff\xff."));
}

}  // namespace
}  // namespace intaglio::pt2
