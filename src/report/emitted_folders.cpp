#include "report/emitted_folders.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/registry/folders.h"
#include "backends/registry/parts.h"
#include "base/atomic_file.h"
#include "base/inputs.h"
#include "base/leftovers.h"
#include "base/mapped_file.h"
#include "base/temporary_names.h"
#include "pte/reader.h"

namespace intaglio::report {
namespace {

struct HeldFolder {
  std::string name;  // of its method and its place there
  std::span<const std::byte> payload;
};

// What the delegate runs: its payload, or what that is a part of.
std::span<const std::byte> model_of(const pte::ParsedProgram& parsed, const pte::BackendDelegate& delegate,
                                    std::span<const std::byte> file) {
  const std::span<const std::byte> payload = pte::payload_of(parsed, delegate, file);
  const auto part = payload_part(delegate.id, payload);
  return part ? pte::named_data_of(parsed, part->key, file) : payload;
}

std::vector<HeldFolder> folders_of(const pte::ParsedProgram& parsed, std::span<const std::byte> file, std::string_view delegate_id) {
  std::vector<HeldFolder> found;
  std::unordered_set<const std::byte*> payloads;
  for (const pte::ExecutionPlan& plan : parsed.program.execution_plan)
    for (size_t i = 0; i < plan.delegates.size(); ++i) {
      if (plan.delegates[i].id != delegate_id) continue;
      const std::span<const std::byte> model = model_of(parsed, plan.delegates[i], file);
      if (payloads.insert(model.data()).second) found.push_back({fmt::format("{}_{}", plan.name, i), model});
    }
  return found;
}

void fail(const std::filesystem::path& folder, int cause) {
  throw_machine(fmt::format("{}: {}", escaped(folder.string()), std::generic_category().message(cause)));
}

// One after the other where the file system exchanges nothing: for a moment nothing stands there then.
bool take_place(const std::filesystem::path& written, const std::filesystem::path& folder, const std::filesystem::path& old, bool stands) {
  if (::renameat2(AT_FDCWD, written.c_str(), AT_FDCWD, folder.c_str(), stands ? RENAME_EXCHANGE : RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return false;
  if (stands && ::rename(folder.c_str(), old.c_str()) != 0) return false;
  if (::rename(written.c_str(), folder.c_str()) == 0) return true;
  const int cause = errno;
  if (stands && ::rename(old.c_str(), folder.c_str()) != 0) return false;
  errno = cause;
  return false;
}

// Written beside its place and exchanged for what stands there, if that is one too; a link stays.
void write_folder(const std::filesystem::path& target, const std::vector<FolderFile>& files, const std::string& format) {
  const std::filesystem::path folder = written_place(target);
  const bool stands = std::filesystem::exists(std::filesystem::symlink_status(folder));
  if (stands && !std::filesystem::exists(folder / files.front().path))
    throw_bad_input(fmt::format("{}: what stands there is no .{}; move it away", escaped(folder.string()), format));
  require_no_input(folder);
  const Leftover scratch = Leftover::folder(temporary_prefix(folder));
  if (!scratch.exists()) throw_bad_input(fmt::format("{}: its folder cannot be written to", escaped(folder.string())));
  const std::filesystem::path written = std::filesystem::path(scratch.path()) / "folder";
  std::filesystem::create_directory(written);
  for (const FolderFile& file : files) {
    const std::filesystem::path path = written / file.path;
    std::filesystem::create_directories(path.parent_path());
    if (file.path.ends_with('/')) continue;
    AtomicFile out(path);
    out.write(file.data);
    out.commit();
  }
  if (!take_place(written, folder, std::filesystem::path(scratch.path()) / "old", stands)) fail(folder, errno);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> emitted_formats() {
  std::vector<std::pair<std::string, std::string>> formats;
  for (const FolderFormat& format : folder_formats()) formats.emplace_back(format.name, format.title);
  return formats;
}

std::vector<std::filesystem::path> emit_folders(const std::filesystem::path& program, const std::filesystem::path& out,
                                                const std::string& format) {
  const auto row = std::ranges::find(folder_formats(), format, &FolderFormat::name);
  const auto mapped = MappedFile::open(program);
  const pte::ParsedProgram parsed = pte::parse_pte(mapped->bytes());
  const std::vector<HeldFolder> held = folders_of(parsed, mapped->bytes(), row->delegate_id);
  if (held.empty()) throw_unsupported(fmt::format("--emit {}: no delegate of the program is one; `intaglio inspect` says why", format));
  std::vector<std::filesystem::path> written;
  for (const HeldFolder& each : held) {
    std::filesystem::path folder = out;
    folder.replace_extension();
    if (held.size() > 1) folder += "_" + each.name;
    folder += "." + format;
    try {
      write_folder(folder, row->files(each.payload), format);
    } catch (const std::filesystem::filesystem_error& error) {
      throw_machine(fmt::format("{}: {}", escaped(folder.string()), error.code().message()));
    }
    written.push_back(std::move(folder));
  }
  return written;
}

}  // namespace intaglio::report
