#include "data/npz.h"

#include <fmt/format.h>

#include <unordered_set>

#include <intaglio/error.h>

#include "base/atomic_file.h"
#include "base/zip_reader.h"
#include "base/zip_writer.h"
#include "data/npy.h"

namespace intaglio {
namespace {

void require_name(const std::string& name, std::unordered_set<std::string>& seen) {
  if (name.empty() || name.size() > 1000 || name.find('\0') != std::string::npos || name.find('\\') != std::string::npos)
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
      if (entry.deflated) read(archive.inflated(entry));
      else read(archive.stored(entry));
    } catch (const Error& error) { throw error.with_context(fmt::format("entry '{}'", escaped(entry.name, 60))); }
  if (arrays.empty()) throw_bad_input("the archive holds no array; write it with numpy.savez");
  return arrays;
}

}  // namespace data

void write_npz(const std::filesystem::path& path, std::span<const NamedArray> arrays) {
  std::unordered_set<std::string> names;
  for (const auto& array : arrays) require_name(array.name, names);
  AtomicFile file(path);
  ZipWriter zip(file);
  for (const auto& array : arrays) {
    const Tensor dense = array.tensor.contiguous();
    const std::string header = data::make_npy_header(dense.dtype(), dense.sizes());
    zip.add(array.name + ".npy", Blob::of_pieces({{0, Blob(header)}, {header.size(), Blob(dense)}}, header.size() + dense.nbytes()));
  }
  zip.finish();
  file.commit();
}

void write_outputs(const std::filesystem::path& path, std::span<const Tensor> outputs) {
  std::vector<NamedArray> arrays;
  for (const Tensor& output : outputs)
    if (output.defined()) arrays.push_back({fmt::format("arr_{}", arrays.size()), output});
  write_npz(path, arrays);
}

}  // namespace intaglio
