#include <intaglio/settings.h>

#include <gtest/gtest.h>

#include <functional>

#include <intaglio/error.h>

namespace intaglio {
namespace {

const std::vector<Setting> known = {{"compat", Setting::Type::word, "a", "", {"a", "b"}},
                                    {"file", Setting::Type::word, "", ""},
                                    {"fast", Setting::Type::boolean, "false", ""},
                                    {"group_size", Setting::Type::integer, "32", "", {}, 1, 1024}};

std::string refusal(const RecipeSettings& given) {
  try {
    SettingValues(known, given, "recipe 'x'");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

TEST(Settings, DefaultsStandWhereNothingIsGiven) {
  const SettingValues values(known, {{"group_size", "64"}, {"fast", "true"}, {"file", "a b.so"}}, "recipe 'x'");
  EXPECT_EQ(values.word("compat"), "a");
  EXPECT_EQ(values.word("file"), "a b.so");
  EXPECT_TRUE(values.flag("fast"));
  EXPECT_EQ(values.integer("group_size"), 64);
}

TEST(Settings, WhatASettingCannotTakeIsRefused) {
  EXPECT_EQ(refusal({{"colour", "red"}}), "recipe 'x' has no setting 'colour'; it has: compat, file, fast, group_size");
  EXPECT_EQ(refusal({{"compat", "c"}}), "setting compat=c: must be a or b");
  EXPECT_EQ(refusal({{"fast", "1"}}), "setting fast=1: must be false or true");
  for (const char* text : {"0", "1025", "3.5", "", "32 "})
    EXPECT_EQ(refusal({{"group_size", text}}), std::string("setting group_size=") + text + ": must be an integer from 1 to 1024");
}

}  // namespace
}  // namespace intaglio
