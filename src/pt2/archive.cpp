#include "pt2/archive.h"

#include <charconv>
#include <cstring>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::pt2 {
namespace {

// What brings an older archive into today's layout.
#define INTAGLIO_SAVE_AGAIN \
  "; in a newer one, as 2.13, run torch.export.save(torch.export.load('old.pt2'), 'new.pt2') and take the new file"
constexpr const char* flat_layout = "this is an exported program of PyTorch 2.7 or before (flat layout)" INTAGLIO_SAVE_AGAIN;
constexpr const char* pickled_state =
    "the tensors are one pickle, which nothing here runs: this is an exported program of PyTorch 2.8 or before" INTAGLIO_SAVE_AGAIN;
#undef INTAGLIO_SAVE_AGAIN

// Files that are ZIPs of PyTorch, but no archives of exported programs in today's layout.
struct OtherKind {
  std::string_view name;  // of an entry, below the root or without one
  const char* message;
};
constexpr OtherKind other_kinds[] = {
    {"serialized_exported_program.json", flat_layout},
    {"serialized_state_dict.pt", flat_layout},
    {"data/weights/model.pt", pickled_state},
    {"data/constants/model.pt", pickled_state},
    {"constants.pkl", "this is a TorchScript file, not an exported program; use torch.export.export and torch.export.save"},
    {"data.pkl", "this is a torch.save file, not an exported program; use torch.export.export and torch.export.save"},
};

// Element types are at most 16 bytes.
constexpr size_t alignment = 16;

std::shared_ptr<Storage> copy_of(std::span<const std::byte> bytes) {
  std::shared_ptr<Storage> copy = Storage::allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(copy->writable(), bytes.data(), bytes.size());
  return copy;
}

}  // namespace

Archive::Archive(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive, std::string source, Storage::Backing backing)
    : keep_alive_(std::move(keep_alive)), source_(std::move(source)), backing_(backing), zip_(bytes) {
  if (zip_.entries().empty()) throw_bad_input("the archive has no entries");
  const std::string& first = zip_.entries()[0].name;
  const size_t slash = first.find('/');
  if (slash != std::string::npos) root_ = first.substr(0, slash + 1);
  check_kind();
  if (root_.empty()) throw_bad_input("the archive has no root folder; it is no .pt2 file");
  for (const ZipEntry& entry : zip_.entries())
    if (!entry.name.starts_with(root_))
      throw_bad_input(fmt::format("entry '{}' is outside the root folder '{}'", escaped(entry.name, 80), escaped(root_, 80)));
  check_versions();
}

const ZipEntry* Archive::find(std::string_view name) const { return zip_.find(root_ + std::string(name)); }

const ZipEntry& Archive::get(std::string_view name) const {
  const ZipEntry* entry = find(name);
  if (entry == nullptr) throw_bad_input(fmt::format("there is no entry '{}'", escaped(name, 80)));
  return *entry;
}

void Archive::check_kind() const {
  for (const OtherKind& kind : other_kinds)
    if (contains(kind.name) || zip_.find(kind.name) != nullptr) throw_unsupported(kind.message);
}

void Archive::check_versions() const {
  if (!contains("archive_format") || text("archive_format") != "pt2")
    throw_bad_input("not a .pt2 archive: the entry archive_format must be there and say 'pt2'");
  const std::string version = text("archive_version");
  if (version != "0") throw_unsupported(fmt::format("archive version '{}'; only version 0 (PyTorch 2.13) is read", escaped(version, 20)));
  const char* file = contains(".data/version") ? ".data/version" : "version";
  const std::string number = text(file);
  int value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  const std::string_view rest(end, number.data() + number.size());
  if (error != std::errc() || (rest != "\n" && !rest.empty()))
    throw_bad_input(fmt::format("{}: '{}' is no number", file, escaped(number, 20)));
  if (value < 1 || value > 10) throw_unsupported(fmt::format("{}: file format {}; only 1 to 10 are read", file, value));
  if (contains("byteorder") && text("byteorder").starts_with("big"))
    throw_unsupported("the weights are big-endian; save the program on a little-endian machine");
}

std::vector<std::string_view> Archive::names() const {
  std::vector<std::string_view> result;
  for (const ZipEntry& entry : zip_.entries()) result.push_back(std::string_view(entry.name).substr(root_.size()));
  return result;
}

std::string Archive::text(std::string_view name) const {
  const ZipEntry& entry = get(name);
  if (entry.deflated) {
    const std::vector<std::byte> bytes = zip_.inflated(entry);
    check_crc(entry, bytes);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  const std::span<const std::byte> bytes = zip_.stored(entry);
  check_crc(entry, bytes);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::shared_ptr<Storage> Archive::record(std::string_view name) {
  const auto known = records_.find(name);
  if (known != records_.end()) return known->second;
  const ZipEntry& entry = get(name);
  const std::span<const std::byte> bytes = zip_.stored(entry);
  std::shared_ptr<Storage> storage;
  if (entry.deflated) {
    const std::vector<std::byte> inflated = zip_.inflated(entry);
    check_crc(entry, inflated);
    storage = copy_of(inflated);
  } else {
    storage = Storage::mapped(
        keep_alive_, bytes,
        [entry, source = source_](std::span<const std::byte> all) {
          try {
            check_crc(entry, all);
          } catch (const Error& error) { throw error.with_context(escaped(source)); }
        },
        backing_);
    storage->came_with(entry.crc);
    if (reinterpret_cast<uintptr_t>(bytes.data()) % alignment != 0) storage = Storage::unaligned(std::move(storage));
  }
  records_.emplace(name, storage);
  return storage;
}

void Archive::verify() const {
  for (const ZipEntry& entry : zip_.entries()) {
    if (entry.deflated) check_crc(entry, zip_.inflated(entry));
    else check_crc(entry, zip_.stored(entry));
  }
}

}  // namespace intaglio::pt2
