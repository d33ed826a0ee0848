#include "base/zip_reader.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <zlib.h>

#include <intaglio/error.h>

#include "base/byte_reader.h"
#include "base/zip_format.h"

namespace intaglio {
namespace {

// Inflated entries may together be this many times the archive, plus a little for small ones.
constexpr uint64_t max_inflation = 64;
constexpr uint64_t small_inflation = 1 << 20;

std::string shown(std::string_view name) { return "'" + escaped(name, 80) + "'"; }

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const size_t length = byte < 0x80 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    if ((byte >= 0x80 && byte < 0xc2) || byte > 0xf4 || i + length > text.size()) return false;
    uint32_t code = length == 1 ? byte : byte & (0xff >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3f);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    if (overlong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    i += length;
  }
  return true;
}

// Names never become paths here, but they travel on to tools that may unpack.
void check_name(std::string_view name) {
  const auto refuse = [&](const char* cause) { throw_bad_input(fmt::format("entry name {} {}", shown(name), cause)); };
  if (name.empty()) refuse("is empty");
  if (!is_utf8(name)) refuse("is not UTF-8");
  if (name.find('\0') != std::string_view::npos) refuse("holds a zero byte");
  if (name.find('\\') != std::string_view::npos) refuse("holds a backslash");
  if (name.front() == '/') refuse("is absolute");
  std::string_view rest = name;
  if (rest.back() == '/') rest.remove_suffix(1);
  while (true) {
    const size_t slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    if (component.empty() || component == "." || component == "..") refuse("has an empty, '.' or '..' component");
    if (slash == std::string_view::npos) return;
    rest.remove_prefix(slash + 1);
  }
}

struct Zip64Field {
  uint64_t* field;
  bool saturated;
};

// The 64-bit field (id 1) holds, in fixed order, just those of the fields that are saturated elsewhere.
void read_zip64_field(std::span<const std::byte> extra, std::initializer_list<Zip64Field> fields, const std::string& name) {
  ByteReader reader(extra, fmt::format("extra field of entry {}", name));
  bool seen = false;
  while (reader.remaining() >= 4) {
    const auto id = reader.read<uint16_t>();
    const std::span<const std::byte> body = reader.take(reader.read<uint16_t>());
    if (id != zip::extra_zip64) continue;
    if (seen) throw_bad_input(fmt::format("entry {} has two 64-bit size fields", name));
    seen = true;
    ByteReader values(body, fmt::format("64-bit size field of entry {}", name));
    for (const Zip64Field& wide : fields)
      if (wide.saturated) *wide.field = values.read<uint64_t>();
  }
  if (reader.remaining() != 0) throw_bad_input(fmt::format("entry {} has a malformed extra field", name));
  for (const Zip64Field& wide : fields)
    if (wide.saturated && !seen) throw_bad_input(fmt::format("entry {} has no 64-bit size field, its sizes are said to be there", name));
}

}  // namespace

struct ZipReader::Directory {
  uint64_t offset = 0;
  uint64_t size = 0;
  uint64_t count = 0;
};

namespace {

[[noreturn]] void refuse_disks() { throw_bad_input("the archive is spread over several disks; join it into one file"); }

// The end record is the last one in the comment window whose comment fits.
uint64_t find_end_record(std::span<const std::byte> bytes) {
  if (bytes.size() < zip::end_size)
    throw_bad_input(bytes.empty() ? "the file is empty, an archive is needed"
                                  : fmt::format("not a ZIP archive: only {} bytes", bytes.size()));
  const uint64_t window = std::min<uint64_t>(bytes.size(), zip::end_size + 0xffff);
  for (uint64_t back = zip::end_size; back <= window; ++back) {
    ByteReader reader(bytes.subspan(bytes.size() - back), "end record");
    if (reader.read<uint32_t>() == zip::end_signature) return bytes.size() - back;
  }
  throw_bad_input("not a ZIP archive, or cut short: there is no end record; copy or save the file again");
}

struct EndRecord {
  uint16_t count;
  uint32_t size;
  uint32_t offset;
  bool is_saturated() const { return count == 0xffff || size == 0xffffffff || offset == 0xffffffff; }
};

EndRecord read_end_record(std::span<const std::byte> bytes) {
  ByteReader reader(bytes, "end record");
  reader.take(4);  // signature
  const auto disk = reader.read<uint16_t>();
  const auto start_disk = reader.read<uint16_t>();
  const auto here = reader.read<uint16_t>();
  EndRecord record{};
  record.count = reader.read<uint16_t>();
  record.size = reader.read<uint32_t>();
  record.offset = reader.read<uint32_t>();
  const auto comment = reader.read<uint16_t>();
  if (comment > reader.remaining()) throw_bad_input("the archive is cut short: its comment is incomplete");
  if ((disk != 0 && disk != 0xffff) || (start_disk != 0 && start_disk != 0xffff) || here != record.count) refuse_disks();
  return record;
}

// Where the 64-bit end record stands, when there is a locator right before the end record at `end`.
std::optional<uint64_t> find_wide_end_record(std::span<const std::byte> bytes, uint64_t end) {
  if (end < zip::locator64_size) return std::nullopt;
  const uint64_t locator_at = end - zip::locator64_size;
  ByteReader locator(bytes.subspan(locator_at), "64-bit locator");
  if (locator.read<uint32_t>() != zip::locator64_signature) return std::nullopt;
  const auto disk = locator.read<uint32_t>();
  const auto at = locator.read<uint64_t>();
  const auto disks = locator.read<uint32_t>();
  if (disk != 0 || disks > 1) refuse_disks();
  if (locator_at < zip::end64_size || at != locator_at - zip::end64_size)
    throw_bad_input(
        "the 64-bit end record is not where its locator says; the archive has bytes before or inside it that do not belong there");
  return at;
}

// Compares the header at the front of `bytes` with the entry's central record and sets the entry's data offset.
void check_local_header(ZipEntry& entry, std::span<const std::byte> bytes) {
  const std::string name = shown(entry.name);
  ByteReader reader(bytes, fmt::format("local header of entry {}", name));
  if (reader.read<uint32_t>() != zip::local_signature) throw_bad_input(fmt::format("entry {} has no local header at its place", name));
  reader.take(2);  // version
  const auto flags = reader.read<uint16_t>();
  const auto method = reader.read<uint16_t>();
  reader.take(4);  // time and date
  const auto crc = reader.read<uint32_t>();
  const auto compressed_size = reader.read<uint32_t>();
  const auto size = reader.read<uint32_t>();
  const auto name_size = reader.read<uint16_t>();
  const auto extra_size = reader.read<uint16_t>();
  if (reader.take_text(name_size) != entry.name) throw_bad_input(fmt::format("entry {} has another name in its local header", name));
  reader.take(extra_size);
  if (method != (entry.deflated ? zip::method_deflated : zip::method_stored) || (flags & zip::flags_encrypted))
    throw_bad_input(fmt::format("entry {} has another method in its local header", name));
  // With a descriptor behind the data the header leaves these open; torch writes zeros.
  const auto fits = [](uint32_t local, uint64_t central) { return local == central || local == 0xffffffff; };
  if (!(flags & zip::flag_descriptor) && (crc != entry.crc || !fits(compressed_size, entry.compressed_size) || !fits(size, entry.size)))
    throw_bad_input(fmt::format("entry {} has other sizes or another checksum in its local header", name));
  entry.data_offset = entry.header_offset + reader.position();
  if (entry.compressed_size > reader.remaining())
    throw_bad_input(fmt::format("entry {} is {} bytes long, {} are there", name, entry.compressed_size, reader.remaining()));
}

}  // namespace

ZipReader::ZipReader(std::span<const std::byte> bytes) : bytes_(bytes) {
  const Directory directory = find_directory();
  read_directory(directory);
  check_local_headers(directory);
  index_names();
}

ZipReader::Directory ZipReader::find_directory() const {
  const uint64_t end = find_end_record(bytes_);
  const EndRecord record = read_end_record(bytes_.subspan(end));
  Directory directory{record.offset, record.size, record.count};
  uint64_t limit = end;
  if (const auto at = find_wide_end_record(bytes_, end)) {
    directory = read_wide_end_record(*at);
    const bool agrees = (record.count == 0xffff || record.count == directory.count) &&
                        (record.size == 0xffffffff || record.size == directory.size) &&
                        (record.offset == 0xffffffff || record.offset == directory.offset);
    if (!agrees) throw_bad_input("the two end records of the archive disagree");
    limit = *at;
  } else if (record.is_saturated()) {
    throw_bad_input("the archive needs a 64-bit end record and has none");
  }
  if (directory.offset > limit || directory.size != limit - directory.offset)
    throw_bad_input(
        fmt::format("the central directory ({} bytes at {}) does not end where the end record begins ({}); "
                    "the archive is cut short or has foreign bytes in front",
                    directory.size, directory.offset, limit));
  if (directory.count > directory.size / zip::central_size)
    throw_bad_input(fmt::format("the central directory of {} bytes cannot hold {} entries", directory.size, directory.count));
  return directory;
}

ZipReader::Directory ZipReader::read_wide_end_record(uint64_t at) const {
  ByteReader wide(bytes_.subspan(at, zip::end64_size), "64-bit end record");
  if (wide.read<uint32_t>() != zip::end64_signature || wide.read<uint64_t>() != zip::end64_size - 12)
    throw_bad_input("the 64-bit end record is damaged");
  wide.take(4);  // versions
  const auto disk = wide.read<uint32_t>();
  const auto start_disk = wide.read<uint32_t>();
  const auto here = wide.read<uint64_t>();
  Directory directory;
  directory.count = wide.read<uint64_t>();
  directory.size = wide.read<uint64_t>();
  directory.offset = wide.read<uint64_t>();
  if (disk != 0 || start_disk != 0 || here != directory.count) refuse_disks();
  return directory;
}

ZipEntry ZipReader::read_central_record(ByteReader& reader, const Directory& directory) const {
  reader.take(4);  // versions
  const auto flags = reader.read<uint16_t>();
  const auto method = reader.read<uint16_t>();
  reader.take(4);  // time and date
  ZipEntry entry;
  entry.crc = reader.read<uint32_t>();
  entry.compressed_size = reader.read<uint32_t>();
  entry.size = reader.read<uint32_t>();
  const auto name_size = reader.read<uint16_t>();
  const auto extra_size = reader.read<uint16_t>();
  const auto comment_size = reader.read<uint16_t>();
  const auto disk = reader.read<uint16_t>();
  reader.take(6);  // attributes
  entry.header_offset = reader.read<uint32_t>();
  entry.name = reader.take_text(name_size);
  const std::span<const std::byte> extra = reader.take(extra_size);
  reader.take(comment_size);

  const std::string name = shown(entry.name);
  check_name(entry.name);
  read_zip64_field(extra,
                   {{&entry.size, entry.size == 0xffffffff},
                    {&entry.compressed_size, entry.compressed_size == 0xffffffff},
                    {&entry.header_offset, entry.header_offset == 0xffffffff}},
                   name);
  if (flags & zip::flags_encrypted) throw_bad_input(fmt::format("entry {} is encrypted; save it without encryption", name));
  if (flags & zip::flag_patch) throw_bad_input(fmt::format("entry {} is patch data, which is not supported", name));
  if (method != zip::method_stored && method != zip::method_deflated)
    throw_bad_input(fmt::format("entry {} uses compression method {}; only stored and deflate are read", name, method));
  if (disk != 0) throw_bad_input(fmt::format("entry {} is on another disk", name));
  entry.deflated = method == zip::method_deflated;
  if (!entry.deflated && entry.size != entry.compressed_size)
    throw_bad_input(fmt::format("entry {} is stored, but its two sizes differ ({} and {})", name, entry.compressed_size, entry.size));
  if (entry.compressed_size > directory.offset)
    throw_bad_input(fmt::format("entry {} is said to be {} bytes, more than the archive has", name, entry.compressed_size));
  return entry;
}

void ZipReader::read_directory(const Directory& directory) {
  ByteReader reader(bytes_.subspan(directory.offset, directory.size), "central directory");
  entries_.reserve(directory.count);
  uint64_t inflated = 0;
  for (uint64_t i = 0; i < directory.count; ++i) {
    if (reader.read<uint32_t>() != zip::central_signature) throw_bad_input(fmt::format("record {} of the central directory is damaged", i));
    ZipEntry entry = read_central_record(reader, directory);
    if (entry.deflated && __builtin_add_overflow(inflated, entry.size, &inflated))
      throw_bad_input(fmt::format("entry {} inflates to an impossible size", shown(entry.name)));
    entries_.push_back(std::move(entry));
  }
  if (reader.remaining() != 0)
    throw_bad_input(fmt::format("the central directory has {} bytes more than its {} entries", reader.remaining(), directory.count));
  if (inflated > small_inflation && inflated / max_inflation > bytes_.size())
    throw_bad_input(fmt::format("the entries inflate to {} bytes, more than {} times the archive; store them without compression", inflated,
                                max_inflation));
}

void ZipReader::check_local_headers(const Directory& directory) {
  std::vector<ZipEntry*> order;
  for (ZipEntry& entry : entries_) order.push_back(&entry);
  std::ranges::sort(order, {}, &ZipEntry::header_offset);
  if (!order.empty() && order[0]->header_offset != 0)
    throw_bad_input(fmt::format("the archive has {} foreign bytes in front", order[0]->header_offset));
  uint64_t free_from = 0;
  for (ZipEntry* entry : order) {
    if (entry->header_offset < free_from) throw_bad_input(fmt::format("entry {} overlaps the one before it", shown(entry->name)));
    if (entry->header_offset > directory.offset) throw_bad_input(fmt::format("entry {} lies outside the archive", shown(entry->name)));
    check_local_header(*entry, bytes_.subspan(entry->header_offset, directory.offset - entry->header_offset));
    free_from = entry->data_offset + entry->compressed_size;
  }
}

void ZipReader::index_names() {
  // Folders hold nothing; they only take part in the checks.
  for (const ZipEntry& entry : entries_)
    if (entry.name.back() == '/' && entry.size != 0) throw_bad_input(fmt::format("folder {} has contents", shown(entry.name)));
  std::vector<std::string> names;
  for (const ZipEntry& entry : entries_) names.push_back(entry.name);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice != names.end()) throw_bad_input(fmt::format("entry {} stands in the archive twice", shown(*twice)));
  std::erase_if(entries_, [](const ZipEntry& entry) { return entry.name.back() == '/'; });
  for (const ZipEntry& entry : entries_) by_name_.emplace(entry.name, &entry);
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::span<const std::byte> ZipReader::stored(const ZipEntry& entry) const {
  return bytes_.subspan(entry.data_offset, entry.compressed_size);
}

std::vector<std::byte> ZipReader::inflated(const ZipEntry& entry) const {
  const auto damaged = [&](const char* cause) {
    throw_bad_input(fmt::format("entry {} cannot be inflated: {}", shown(entry.name), cause));
  };
  const std::span<const std::byte> source = stored(entry);
  std::vector<std::byte> result(entry.size);
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) damaged("zlib does not start");
  // zlib counts in 32 bits: both sides are handed over in pieces.
  constexpr uint64_t piece = 1 << 30;
  uint64_t read = 0, written = 0;
  int status = Z_OK;
  std::byte none{};
  while (status == Z_OK) {
    const auto input = static_cast<uInt>(std::min(piece, source.size() - read));
    const auto output = static_cast<uInt>(std::min<uint64_t>(piece, result.size() - written));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(source.data() + read));
    stream.avail_in = input;
    stream.next_out = reinterpret_cast<Bytef*>(result.empty() ? &none : result.data() + written);
    stream.avail_out = output;
    status = ::inflate(&stream, Z_NO_FLUSH);
    read += input - stream.avail_in;
    written += output - stream.avail_out;
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END) damaged(status == Z_BUF_ERROR ? "it is longer or shorter than stated" : "its data is damaged");
  if (written != result.size() || read != source.size()) damaged("its sizes are not those stated");
  return result;
}

void check_crc(const ZipEntry& entry, std::span<const std::byte> bytes) {
  const uint32_t actual = crc32_of(bytes);
  if (actual != entry.crc)
    throw_bad_input(fmt::format("entry {} is damaged: its checksum is {:08x}, {:08x} is stated; copy or export the file again",
                                shown(entry.name), actual, entry.crc));
}

}  // namespace intaglio
