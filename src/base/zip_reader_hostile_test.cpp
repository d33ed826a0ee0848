#include "base/zip_reader.h"

#include <gtest/gtest.h>

#include "testing/errors.h"
#include "testing/zip.h"

namespace intaglio {
namespace {

using test::failure;
using test::TestZip;

TestZip two_entries() {
  TestZip zip;
  zip.add("r/a", "first");
  zip.add("r/b", std::string(300, 'x'));
  return zip;
}

std::string opened(const std::string& bytes) {
  return failure([&] {
    const ZipReader reader(std::as_bytes(std::span(bytes.data(), bytes.size())));
    for (const ZipEntry& entry : reader.entries()) {
      if (entry.deflated) check_crc(entry, reader.inflated(entry));
      else check_crc(entry, reader.stored(entry));
    }
  });
}

std::string contents(const std::string& bytes, std::string_view name) {
  const ZipReader reader(std::as_bytes(std::span(bytes.data(), bytes.size())));
  const ZipEntry* entry = reader.find(name);
  if (entry == nullptr) return "nothing";
  const std::vector<std::byte> copy =
      entry->deflated ? reader.inflated(*entry) : std::vector<std::byte>(reader.stored(*entry).begin(), reader.stored(*entry).end());
  return std::string(reinterpret_cast<const char*>(copy.data()), copy.size());
}

TEST(ZipReaderHostile, ReadsWhatArchiversWrite) {
  const std::function<void(TestZip&)> forms[] = {
      [](TestZip&) {},
      [](TestZip& zip) { zip.end64 = true; },
      [](TestZip& zip) { zip.comment = "a comment"; },
      [](TestZip& zip) { zip.trailing = std::string(100, 'j'); },
      [](TestZip& zip) {
        for (auto& entry : zip.entries) entry.descriptor = true;
      },
      [](TestZip& zip) {
        for (auto& entry : zip.entries) entry.deflate = true;
      },
      [](TestZip& zip) {
        for (auto& entry : zip.entries) entry.zip64 = true;
      },
      [](TestZip& zip) {
        for (auto& entry : zip.entries) entry.flags = 0;
      },
      [](TestZip& zip) { zip.add("r/", ""); },
      [](TestZip& zip) { zip.add("r/folder/", ""); },
      [](TestZip& zip) { zip.add("r/empty", ""); },
      [](TestZip& zip) { zip.add("r/é", "unicode"); },
  };
  int number = 0;
  for (const auto& form : forms) {
    TestZip zip = two_entries();
    form(zip);
    EXPECT_EQ(opened(zip.bytes()), "no error") << number;
    EXPECT_EQ(contents(zip.bytes(), "r/a"), "first") << number;
    EXPECT_EQ(contents(zip.bytes(), "r/b"), std::string(300, 'x')) << number++;
  }
}

TEST(ZipReaderHostile, FoldersAreNoEntries) {
  TestZip zip = two_entries();
  zip.add("r/folder/", "");
  EXPECT_EQ(contents(zip.bytes(), "r/folder/"), "nothing");
}

TEST(ZipReaderHostile, RefusesHostileArchives) {
  const std::pair<std::function<void(TestZip&)>, const char*> rows[] = {
      {[](TestZip& zip) { zip.entries[0].crc = 1; }, "is damaged: its checksum"},
      {[](TestZip& zip) { zip.add("r/a", "again"); }, "stands in the archive twice"},
      {[](TestZip& zip) {
         zip.entries[1].header_offset = 0;
         zip.entries[1].local_name = "r/a";
       },
       "overlaps"},
      {[](TestZip& zip) { zip.entries[0].local_name = "r/c"; }, "another name"},
      {[](TestZip& zip) { zip.entries[0].flags |= zip::flag_encrypted; }, "encrypted"},
      {[](TestZip& zip) { zip.entries[0].flags |= zip::flag_masked; }, "encrypted"},
      {[](TestZip& zip) { zip.entries[0].disk = 1; }, "another disk"},
      {[](TestZip& zip) { zip.entries[0].method = 12; }, "compression method 12"},
      {[](TestZip& zip) { zip.entries[0].method = 8; }, "cannot be inflated"},
      {[](TestZip& zip) { zip.entries[0].size = 6; }, "two sizes differ"},
      {[](TestZip& zip) { zip.entries[0].size = zip.entries[0].compressed_size = 200; }, "overlaps"},
      {[](TestZip& zip) { zip.entries[1].size = zip.entries[1].compressed_size = 100000; }, "more than the archive has"},
      {[](TestZip& zip) {
         zip.entries[0].zip64 = true;
         zip.entries[0].size = zip.entries[0].compressed_size = uint64_t{1} << 50;
       },
       "more than the archive has"},
      {[](TestZip& zip) {
         zip.entries[0].zip64 = zip.entries[0].deflate = true;
         zip.entries[0].size = uint64_t{1} << 50;
       },
       "more than 64 times the archive"},
      {[](TestZip& zip) {
         zip.entries[0].deflate = true;
         zip.entries[0].size = 100;
       },
       "cannot be inflated"},
      {[](TestZip& zip) {
         zip.entries[0].deflate = true;
         zip.entries[0].size = 2;
       },
       "cannot be inflated"},
      {[](TestZip& zip) { zip.add("r/bomb", std::string(8 << 20, '\0')).deflate = true; }, "more than 64 times the archive"},
      {[](TestZip& zip) { zip.prefix = "#!/bin/sh\n"; }, "foreign bytes in front"},
      {[](TestZip& zip) {
         zip.prefix = "#!/bin/sh\n";
         zip.end64 = true;
       },
       "do not belong there"},
      {[](TestZip& zip) { zip.entries[0].header_offset = 7; }, "foreign bytes in front"},
      {[](TestZip& zip) { zip.entries[0].header_offset = 1 << 30; }, "foreign bytes in front"},
      {[](TestZip& zip) { zip.entries[1].header_offset = 1 << 30; }, "lies outside the archive"},
      {[](TestZip& zip) { zip.entries[1].header_offset = 100; }, "no local header"},
      {[](TestZip& zip) { zip.directory = [](auto& offset, auto&, auto&) { offset += 1; }; }, "does not end where"},
      {[](TestZip& zip) { zip.directory = [](auto&, auto& size, auto&) { size += 1; }; }, "does not end where"},
      {[](TestZip& zip) {
         zip.directory = [](auto& offset, auto& size, auto&) {
           offset += 1;
           size -= 1;
         };
       },
       "record 0 of the central directory"},
      {[](TestZip& zip) { zip.directory = [](auto&, auto&, auto& count) { count = 1; }; }, "bytes more than its 1 entries"},
      {[](TestZip& zip) { zip.directory = [](auto&, auto&, auto& count) { count = 3; }; }, "cannot hold 3 entries"},
      {[](TestZip& zip) { zip.directory = [](auto&, auto&, auto& count) { count = 1000; }; }, "cannot hold 1000 entries"},
      {[](TestZip& zip) {
         zip.end64 = true;
         zip.directory = [](auto&, auto&, auto& count) { count = uint64_t{1} << 60; };
       },
       "disagree"},
      {[](TestZip& zip) { zip.directory = [](auto&, auto&, auto& count) { count = 0xffff; }; }, "needs a 64-bit end record"},
      {[](TestZip& zip) {
         zip.comment = "x";
         zip.trailing = std::string(70000, 'j');
       },
       "there is no end record"},
  };
  int number = 0;
  for (const auto& [change, message] : rows) {
    TestZip zip = two_entries();
    change(zip);
    const std::string found = opened(zip.bytes());
    EXPECT_NE(found.find("bad input: "), std::string::npos) << number << ": " << found;
    EXPECT_NE(found.find(message), std::string::npos) << number << ": " << found;
    ++number;
  }
}

TEST(ZipReaderHostile, RefusesNamesThatAreNoPlainPaths) {
  const std::string names[] = {"",       "/etc/passwd",    "r/../../x", "..", "r/./x", "r//x", "r\\x", std::string("r/a\0b", 5),
                               "r/\xff", "r/\xed\xa0\x80", "//",        "r//"};
  for (const std::string& name : names) {
    TestZip zip = two_entries();
    zip.add(name, "");
    EXPECT_NE(opened(zip.bytes()).find("bad input: entry name"), std::string::npos) << name;
  }
}

TEST(ZipReaderHostile, RefusesWhatIsNoArchive) {
  EXPECT_NE(opened("").find("the file is empty"), std::string::npos);
  EXPECT_NE(opened("PK").find("only 2 bytes"), std::string::npos);
  EXPECT_NE(opened(std::string(1000, 'x')).find("there is no end record"), std::string::npos);
  const std::string whole = two_entries().bytes();
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_NE(opened(whole.substr(0, size)), "no error") << size;
}

TEST(ZipReaderHostile, ChecksumsMatchTheStandard) {
  const std::string text = "123456789";
  EXPECT_EQ(crc32_of(std::as_bytes(std::span(text.data(), text.size()))), 0xcbf43926u);
  EXPECT_EQ(crc32_of({}), 0u);
  // Any length and any alignment agree with zlib.
  std::string bytes(5000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 13);
  for (size_t start = 0; start < 40; start += 3)
    for (size_t size = 0; start + size < bytes.size(); size += 1 + size / 7) {
      const auto expected =
          static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(bytes.data() + start), static_cast<uInt>(size)));
      ASSERT_EQ(crc32_of(std::as_bytes(std::span(bytes.data() + start, size))), expected) << start << " " << size;
    }
}

}  // namespace
}  // namespace intaglio
