// ZIP archives made in memory for tests, right ones and wrong ones.
#pragma once

#include <cstring>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <zlib.h>

#include "base/zip_format.h"

namespace intaglio::test {

struct TestEntry {
  std::string name;
  std::string data;
  bool deflate = false;
  // What the headers say; wrong on purpose in some tests.
  std::string local_name = name;
  uint16_t flags = zip::flag_utf8;
  std::optional<uint16_t> method = {};
  std::optional<uint32_t> crc = {};
  std::optional<uint64_t> size = {};
  std::optional<uint64_t> compressed_size = {};
  std::optional<uint32_t> header_offset = {};
  uint16_t disk = 0;
  bool descriptor = false;  // sizes behind the data, zeros in the local header
  bool zip64 = false;       // sizes and offset in the 64-bit field
};

struct TestZip {
  std::vector<TestEntry> entries;
  bool end64 = false;
  std::string prefix, comment, trailing;
  // Edits the directory numbers before they are written: offset, size, count.
  std::function<void(uint64_t&, uint64_t&, uint64_t&)> directory = {};

  TestEntry& add(std::string name, std::string data) {
    TestEntry entry;
    entry.name = entry.local_name = std::move(name);
    entry.data = std::move(data);
    entries.push_back(std::move(entry));
    return entries.back();
  }
  TestEntry& at(const std::string& name) {
    for (TestEntry& entry : entries)
      if (entry.name == name) return entry;
    throw std::out_of_range(name);
  }

  std::string bytes() const {
    std::string out = prefix;
    const auto put = [](std::string& text, auto value) { text.append(reinterpret_cast<const char*>(&value), sizeof value); };
    std::string central;
    for (const TestEntry& entry : entries) {
      const std::string body = entry.deflate ? deflated(entry.data) : entry.data;
      const auto* plain = reinterpret_cast<const Bytef*>(entry.data.data());
      const uint32_t crc = entry.crc.value_or(static_cast<uint32_t>(crc32(0, plain, static_cast<uInt>(entry.data.size()))));
      const uint64_t size = entry.size.value_or(entry.data.size());
      const uint64_t packed = entry.compressed_size.value_or(body.size());
      const uint16_t method = entry.method.value_or(entry.deflate ? 8 : 0);
      const uint16_t flags = entry.flags | (entry.descriptor ? zip::flag_descriptor : 0);
      const uint64_t offset = entry.header_offset.value_or(static_cast<uint32_t>(out.size() - prefix.size()));
      const auto narrow = [&](uint64_t value) { return entry.zip64 ? 0xffffffffu : static_cast<uint32_t>(value); };

      put(out, zip::local_signature);
      put(out, uint16_t{0});
      put(out, flags);
      put(out, method);
      put(out, uint32_t{0});
      put(out, entry.descriptor ? uint32_t{0} : crc);
      put(out, entry.descriptor ? uint32_t{0} : narrow(packed));
      put(out, entry.descriptor ? uint32_t{0} : narrow(size));
      put(out, static_cast<uint16_t>(entry.local_name.size()));
      // Padding to 64 bytes, as torch has it.
      const size_t padding = (64 - (out.size() - prefix.size() + 2 + entry.local_name.size() + 4) % 64) % 64;
      put(out, static_cast<uint16_t>(4 + padding));
      out += entry.local_name;
      put(out, zip::extra_padding);
      put(out, static_cast<uint16_t>(padding));
      out += std::string(padding, 'Z') + body;
      if (entry.descriptor) {
        put(out, uint32_t{0x08074b50});
        put(out, crc);
        put(out, static_cast<uint32_t>(packed));
        put(out, static_cast<uint32_t>(size));
      }

      put(central, zip::central_signature);
      put(central, uint32_t{0});
      put(central, flags);
      put(central, method);
      put(central, uint32_t{0});
      put(central, crc);
      put(central, narrow(packed));
      put(central, narrow(size));
      put(central, static_cast<uint16_t>(entry.name.size()));
      put(central, static_cast<uint16_t>(entry.zip64 ? 28 : 0));
      put(central, uint16_t{0});
      put(central, entry.disk);
      put(central, uint16_t{0});
      put(central, uint32_t{0});
      put(central, narrow(offset));
      central += entry.name;
      if (entry.zip64) {
        put(central, zip::extra_zip64);
        put(central, uint16_t{24});
        put(central, size);
        put(central, packed);
        put(central, offset);
      }
    }
    uint64_t offset = out.size() - prefix.size(), size = central.size(), count = entries.size();
    const uint64_t end64_at = offset + size;
    if (directory) directory(offset, size, count);
    out += central;
    if (end64) {
      put(out, zip::end64_signature);
      put(out, uint64_t{44});
      put(out, uint32_t{0});
      put(out, uint64_t{0});
      put(out, count);
      put(out, count);
      put(out, size);
      put(out, offset);
      put(out, zip::locator64_signature);
      put(out, uint32_t{0});
      put(out, end64_at);
      put(out, uint32_t{1});
    }
    put(out, zip::end_signature);
    put(out, uint32_t{0});
    put(out, static_cast<uint16_t>(count));
    put(out, static_cast<uint16_t>(count));
    put(out, static_cast<uint32_t>(size));
    put(out, static_cast<uint32_t>(offset));
    put(out, static_cast<uint16_t>(comment.size()));
    return out + comment + trailing;
  }

  static std::string deflated(const std::string& data) {
    std::string out(compressBound(static_cast<uLong>(data.size())) + 16, '\0');
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }
};

}  // namespace intaglio::test
