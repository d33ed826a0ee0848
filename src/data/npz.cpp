#include "data/npz.h"

#include <fmt/format.h>
#include <zlib.h>

#include <concepts>
#include <limits>
#include <unordered_set>

#include <intaglio/error.h>

#include "base/atomic_file.h"
#include "base/zip_format.h"
#include "base/zip_reader.h"
#include "data/npy.h"

namespace intaglio {
namespace {

constexpr uint32_t kSaturated = std::numeric_limits<uint32_t>::max();
constexpr uint16_t kVersion64 = 45;       // the first version of the format with 64-bit sizes
constexpr uint32_t kFirstDay = 0x210000;  // 1980-01-01 0:00; no date, so that same arrays give same bytes

class Record {
 public:
  template <std::integral T>
  Record& put(T value) {
    for (size_t i = 0; i < sizeof value; ++i) text_ += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
    return *this;
  }
  Record& put(std::string_view text) {
    text_ += text;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

struct Entry {
  std::string name;
  uint32_t crc = 0;
  uint64_t size = 0;
  uint64_t offset = 0;

  bool is_wide() const { return size >= kSaturated || offset >= kSaturated; }
  uint32_t narrow(uint64_t value) const { return is_wide() ? kSaturated : static_cast<uint32_t>(value); }

  // The part that local header and central directory share.
  void put_common(Record& record, uint16_t extra_size) const {
    record.put(uint16_t{0}).put(zip::method_stored).put(kFirstDay).put(crc).put(narrow(size)).put(narrow(size));
    record.put(static_cast<uint16_t>(name.size())).put(extra_size);
  }
};

class NpzWriter {
 public:
  explicit NpzWriter(AtomicFile& file) : file_(file) {}

  void add(const std::string& name, const Tensor& tensor) {
    const Tensor dense = tensor.contiguous();
    const std::string header = data::make_npy_header(dense.dtype(), dense.sizes());
    const std::span<const std::byte> elements{dense.nbytes() > 0 ? static_cast<const std::byte*>(dense.raw()) : nullptr,
                                              dense.nbytes()};
    Entry entry{name + ".npy", 0, header.size() + elements.size(), file_.position()};
    const auto after_header = crc32_z(0, reinterpret_cast<const Bytef*>(header.data()), header.size());
    entry.crc = static_cast<uint32_t>(
        elements.empty() ? after_header
                         : crc32_z(after_header, reinterpret_cast<const Bytef*>(elements.data()), elements.size()));
    Record local;
    local.put(zip::local_signature).put(entry.is_wide() ? kVersion64 : uint16_t{20});
    entry.put_common(local, entry.is_wide() ? 20 : 0);
    local.put(entry.name);
    if (entry.is_wide()) local.put(zip::extra_zip64).put(uint16_t{16}).put(entry.size).put(entry.size);
    file_.write(local.text());
    file_.write(header);
    file_.write(elements);
    entries_.push_back(std::move(entry));
  }

  void finish() {
    const uint64_t start = file_.position();
    for (const Entry& entry : entries_) {
      const uint16_t version = entry.is_wide() ? kVersion64 : 20;
      Record record;
      record.put(zip::central_signature).put(version).put(version);
      entry.put_common(record, entry.is_wide() ? 28 : 0);
      record.put(uint16_t{0}).put(uint16_t{0}).put(uint16_t{0}).put(uint32_t{0}).put(entry.narrow(entry.offset));
      record.put(entry.name);
      if (entry.is_wide())
        record.put(zip::extra_zip64).put(uint16_t{24}).put(entry.size).put(entry.size).put(entry.offset);
      file_.write(record.text());
    }
    write_end(start, file_.position() - start);
  }

 private:
  void write_end(uint64_t start, uint64_t size) {
    const uint64_t count = entries_.size();
    const bool wide = start >= kSaturated || size >= kSaturated || count >= 0xffff;
    Record record;
    if (wide) {
      record.put(zip::end64_signature).put(zip::end64_size - 12).put(kVersion64).put(kVersion64);
      record.put(uint32_t{0}).put(uint32_t{0}).put(count).put(count).put(size).put(start);
      record.put(zip::locator64_signature).put(uint32_t{0}).put(start + size).put(uint32_t{1});
    }
    const auto short_count = wide ? uint16_t{0xffff} : static_cast<uint16_t>(count);
    record.put(zip::end_signature).put(uint32_t{0}).put(short_count).put(short_count);
    record.put(wide ? kSaturated : static_cast<uint32_t>(size)).put(wide ? kSaturated : static_cast<uint32_t>(start));
    record.put(uint16_t{0});
    file_.write(record.text());
  }

  AtomicFile& file_;
  std::vector<Entry> entries_;
};

void require_name(const std::string& name, std::unordered_set<std::string>& seen) {
  if (name.empty() || name.size() > 1000 || name.find('\0') != std::string::npos ||
      name.find('\\') != std::string::npos)
    throw_usage(fmt::format("'{}' cannot name an array of an .npz file", escaped(name)));
  if (!seen.insert(name).second) throw_usage(fmt::format("two arrays are named '{}'", escaped(name)));
}

}  // namespace

namespace data {

std::vector<NamedArray> read_npz(std::span<const std::byte> bytes) {
  const ZipReader archive(bytes);
  std::vector<NamedArray> arrays;
  for (const ZipEntry& entry : archive.entries()) try {
      if (!entry.name.ends_with(".npy")) throw_bad_input("is not an array; an .npz holds .npy files only");
      std::string name = entry.name.substr(0, entry.name.size() - 4);
      const auto read = [&](std::span<const std::byte> contents) {
        check_crc(entry, contents);
        arrays.push_back({std::move(name), read_npy(contents)});
      };
      if (entry.deflated)
        read(archive.inflated(entry));
      else
        read(archive.stored(entry));
    } catch (const Error& error) {
      throw error.with_context(fmt::format("entry '{}'", escaped(entry.name, 60)));
    }
  if (arrays.empty()) throw_bad_input("the archive holds no array; write it with numpy.savez");
  return arrays;
}

}  // namespace data

void write_npz(const std::filesystem::path& path, std::span<const NamedArray> arrays) {
  std::unordered_set<std::string> names;
  for (const auto& array : arrays) require_name(array.name, names);
  AtomicFile file(path);
  NpzWriter writer(file);
  for (const auto& array : arrays) writer.add(array.name, array.tensor);
  writer.finish();
  file.commit();
}

void write_outputs(const std::filesystem::path& path, std::span<const Tensor> outputs) {
  std::vector<NamedArray> arrays;
  for (const Tensor& output : outputs)
    if (output.defined()) arrays.push_back({fmt::format("arr_{}", arrays.size()), output});
  write_npz(path, arrays);
}

}  // namespace intaglio
