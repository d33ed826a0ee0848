#include "pte/writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include <intaglio/error.h>

#include "pte/reader.h"
#include "testing/counted_blob.h"

namespace intaglio::pte {
namespace {

std::string segment(const std::vector<std::byte>& file, const ParsedProgram& parsed, uint32_t index) {
  const DataSegment& found = parsed.program.segments.at(index);
  const auto* begin = reinterpret_cast<const char*>(file.data()) + parsed.layout.segment_base_offset + found.offset;
  return {begin, found.size};
}

TEST(Writer, ReadsEachBlobOnceForItsDigestAndOnceForTheFile) {
  int constant = 0, one = 0, same = 0, other = 0;
  Program program;
  SegmentData data;
  data.constants = {test::counted_blob("constant", constant)};
  data.named_data = {
      {"b", test::counted_blob("equal", one)}, {"a", test::counted_blob("equal", same)}, {"c", test::counted_blob("longest", other)}};
  const Blob file = assemble(program, data);
  EXPECT_EQ(constant + other, 0);  // no other entry has its size
  EXPECT_EQ(one, 1);
  EXPECT_EQ(same, 1);
  const std::vector<std::byte> bytes = file.bytes();
  EXPECT_EQ(bytes.size(), file.size());
  EXPECT_EQ(constant, 1);
  EXPECT_EQ(one + same, 3);  // they share a segment
  EXPECT_EQ(other, 1);

  const ParsedProgram parsed = parse_pte(bytes);
  EXPECT_EQ(segment(bytes, parsed, 0), "constant");
  ASSERT_EQ(parsed.program.named_data.size(), 3u);
  const std::vector<std::string> contents = {"equal", "equal", "longest"};
  for (size_t i = 0; i < contents.size(); ++i)
    EXPECT_EQ(segment(bytes, parsed, parsed.program.named_data[i].segment_index), contents[i]) << i;
  EXPECT_EQ(parsed.program.segments.size(), 3u);
}

TEST(Writer, DataLiesInTheOrderInWhichItComes) {
  const auto filled = [](char c) { return Blob(std::string(4096, c)); };
  Program program;
  SegmentData data;
  data.named_data = {{"b", filled('b')}, {"a", filled('a')}, {"c", Blob("c")}};
  const std::vector<std::byte> bytes = assemble(program, data).bytes();
  const Program written = parse_pte(bytes).program;
  std::vector<std::string> keys;
  std::vector<uint64_t> places;
  for (const NamedData& named : written.named_data) {
    keys.push_back(named.key);
    places.push_back(written.segments.at(named.segment_index).offset);
  }
  EXPECT_EQ(keys, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(places[1] < places[0] && places[0] < places[2]);
}

TEST(Writer, AKeyHasOneContent) {
  Program program;
  SegmentData data;
  data.named_data = {{"a", Blob("x")}, {"a", Blob("x")}};
  EXPECT_NO_THROW(assemble(program, data));
  EXPECT_EQ(program.named_data.size(), 1u);
  data.named_data.emplace_back("a", Blob("y"));
  try {
    assemble(program, data);
    FAIL() << "two contents under one key were written";
  } catch (const Error& error) { EXPECT_STREQ(error.what(), "delegates hold different data under the key 'a'"); }
}

}  // namespace
}  // namespace intaglio::pte
