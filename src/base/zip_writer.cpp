#include "base/zip_writer.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/crc32.h"
#include "base/zip_format.h"

namespace intaglio {
namespace {

constexpr uint64_t alignment = 64;
constexpr uint32_t saturated = 0xffffffff;
constexpr uint16_t version_needed = 45;  // 64-bit sizes
constexpr uint16_t dos_date = 0x0021;    // 1 January 1980: output has no dates

class Record {
 public:
  template <typename T>
  Record& put(T value) {
    const auto* bytes = reinterpret_cast<const char*>(&value);
    text_.append(bytes, sizeof value);
    return *this;
  }
  Record& text(std::string_view text) {
    text_ += text;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

uint32_t narrow(uint64_t value) { return value >= saturated ? saturated : static_cast<uint32_t>(value); }

// The 64-bit field, or nothing; `offset` stands in the central directory only.
std::string wide_field(uint64_t size, uint64_t offset) {
  Record body;
  if (size >= saturated) body.put<uint64_t>(size).put<uint64_t>(size);
  if (offset >= saturated) body.put<uint64_t>(offset);
  if (body.text().empty()) return "";
  return Record().put(zip::extra_zip64).put(static_cast<uint16_t>(body.text().size())).text(body.text()).text();
}

}  // namespace

void ZipWriter::add(std::string_view name, const Blob& contents) {
  Entry entry{prefix_ + std::string(name), 0, contents.size(), file_.position()};
  if (entry.name.size() > 0xffff) throw_unsupported(fmt::format("the entry name '{}' is too long for an archive", escaped(name, 60)));
  std::string extra = wide_field(entry.size, 0);
  const uint64_t unpadded = entry.offset + zip::local_size + entry.name.size() + extra.size() + 4;
  const uint64_t padding = (alignment - unpadded % alignment) % alignment;
  extra += Record().put(zip::extra_padding).put(static_cast<uint16_t>(padding)).text(std::string(padding, 'Z')).text();

  Record header;
  header.put(zip::local_signature).put(version_needed).put(zip::flag_utf8).put(zip::method_stored).put<uint16_t>(0).put(dos_date);
  const uint64_t crc_position = entry.offset + header.text().size();
  header.put(entry.crc).put(narrow(entry.size)).put(narrow(entry.size));
  header.put(static_cast<uint16_t>(entry.name.size())).put(static_cast<uint16_t>(extra.size())).text(entry.name).text(extra);
  file_.write(header.text());
  contents.write([&](std::span<const std::byte> piece) {
    entry.crc = crc32_of(piece, entry.crc);
    file_.write(piece);
  });
  file_.overwrite(crc_position, std::as_bytes(std::span(&entry.crc, 1)));  // known only now
  entries_.push_back(std::move(entry));
}

void ZipWriter::finish() {
  const uint64_t start = file_.position();
  for (const Entry& entry : entries_) {
    const std::string extra = wide_field(entry.size, entry.offset);
    Record record;
    record.put(zip::central_signature).put(version_needed).put(version_needed).put(zip::flag_utf8).put(zip::method_stored);
    record.put<uint16_t>(0).put(dos_date).put(entry.crc).put(narrow(entry.size)).put(narrow(entry.size));
    record.put(static_cast<uint16_t>(entry.name.size())).put(static_cast<uint16_t>(extra.size()));
    record.put<uint16_t>(0).put<uint16_t>(0).put<uint16_t>(0).put<uint32_t>(0).put(narrow(entry.offset));
    file_.write(record.text(entry.name).text(extra).text());
  }
  const uint64_t end = file_.position();
  const uint64_t count = entries_.size();
  Record record;
  record.put(zip::end64_signature)
      .put<uint64_t>(zip::end64_size - 12)
      .put(version_needed)
      .put(version_needed)
      .put<uint32_t>(0)
      .put<uint32_t>(0);
  record.put(count).put(count).put<uint64_t>(end - start).put(start);
  record.put(zip::locator64_signature).put<uint32_t>(0).put(end).put<uint32_t>(1);
  const auto short_count = static_cast<uint16_t>(count < 0xffff ? count : 0xffff);
  record.put(zip::end_signature).put<uint16_t>(0).put<uint16_t>(0).put(short_count).put(short_count);
  record.put(narrow(end - start)).put(narrow(start)).put<uint16_t>(0);
  file_.write(record.text());
}

}  // namespace intaglio
