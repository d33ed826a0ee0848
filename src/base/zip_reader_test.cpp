#include "base/zip_reader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>

#include <intaglio/error.h>

namespace intaglio {
namespace {

void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

struct Part {
  std::string name, data;
  uint32_t size = 0;  // of the contents; 0: those of `data`
  uint16_t method = 0;
  uint32_t crc = 0;
};

// A plain archive; `change` may damage it before it is read.
std::string archive(std::vector<Part> parts) {
  std::string out, directory;
  for (auto& part : parts) {
    if (part.size == 0) part.size = static_cast<uint32_t>(part.data.size());
    if (part.crc == 0) part.crc = crc32_of({reinterpret_cast<const std::byte*>(part.data.data()), part.data.size()});
    const auto common = [&](std::string& to) {
      put(to, 20, 2), put(to, 0, 2), put(to, part.method, 2), put(to, 0x00210000, 4), put(to, part.crc, 4);
      put(to, part.data.size(), 4), put(to, part.size, 4), put(to, part.name.size(), 2), put(to, 0, 2);
    };
    const uint64_t offset = out.size();
    put(out, 0x04034b50, 4), common(out);
    out += part.name + part.data;
    put(directory, 0x02014b50, 4), put(directory, 20, 2), common(directory);
    put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 4), put(directory, offset, 4);
    directory += part.name;
  }
  const uint64_t at = out.size();
  out += directory;
  put(out, 0x06054b50, 4), put(out, 0, 4), put(out, parts.size(), 2), put(out, parts.size(), 2);
  put(out, directory.size(), 4), put(out, at, 4), put(out, 0, 2);
  return out;
}

std::span<const std::byte> bytes_of(const std::string& text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }

std::string message_about(const std::string& text) {
  try {
    ZipReader reader(bytes_of(text));
    return "accepted";
  } catch (const Error& error) { return error.what(); }
}

// "hello hello hello hello" by zlib's raw deflate.
const std::string deflated_bytes("\xcb\x48\xcd\xc9\xc9\x57\xc8\x40\x27\x01", 10);

TEST(ZipReader, StoredAndDeflated) {
  const std::string text = archive({{"a.npy", "contents"}, {"b/c", deflated_bytes, 23, 8, crc32_of(bytes_of("hello hello hello hello"))}});
  const ZipReader reader(bytes_of(text));
  ASSERT_EQ(reader.entries().size(), 2u);
  const ZipEntry& a = reader.entries()[0];
  EXPECT_EQ(std::memcmp(reader.stored(a).data(), "contents", 8), 0);
  check_crc(a, reader.stored(a));
  const ZipEntry* c = reader.find("b/c");
  ASSERT_NE(c, nullptr);
  const auto inflated = reader.inflated(*c);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(inflated.data()), inflated.size()), "hello hello hello hello");
  check_crc(*c, inflated);
  EXPECT_EQ(reader.find("d"), nullptr);
}

TEST(ZipReader, RefusesWhatIsNoArchive) {
  EXPECT_NE(message_about("").find("the file is empty"), std::string::npos);
  EXPECT_NE(message_about(std::string(100, 'x')).find("there is no end record"), std::string::npos);
  EXPECT_NE(message_about("x" + archive({{"a", "1"}})).find("foreign bytes"), std::string::npos);
  EXPECT_NE(message_about(archive({{"a", "1"}, {"a", "2"}})).find("twice"), std::string::npos);
  EXPECT_NE(message_about(archive({{"../a", "1"}})).find("component"), std::string::npos);
  EXPECT_NE(message_about(archive({{"/a", "1"}})).find("absolute"), std::string::npos);
  EXPECT_NE(message_about(archive({{"a", "1", 1, 12}})).find("compression method 12"), std::string::npos);
  EXPECT_NE(message_about(archive({{"a", "12", 1, 0}})).find("two sizes differ"), std::string::npos);
  EXPECT_NE(message_about(archive({{"a", "1", 0x7fffffff, 8}})).find("inflate to"), std::string::npos);
}

TEST(ZipReader, EveryTruncationAndByteChange) {
  const std::string good = archive({{"a", "1234"}, {"b", deflated_bytes, 23, 8, 1}});
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(message_about(good.substr(0, size)), "accepted") << size;
  for (size_t at = 0; at < good.size(); ++at)
    for (int value : {0, 1, 0x7f, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(value);
      try {
        const ZipReader reader(bytes_of(bad));
        for (const auto& entry : reader.entries()) {
          if (!entry.deflated) continue;
          EXPECT_LE(reader.inflated(entry).size(), size_t{1} << 20);
        }
      } catch (const Error& error) { EXPECT_EQ(error.kind(), ErrorKind::bad_input); }
    }
}

}  // namespace
}  // namespace intaglio
