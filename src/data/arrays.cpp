#include <fmt/format.h>
#include <intaglio/data.h>
#include <intaglio/error.h>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "data/npy.h"
#include "data/npz.h"

namespace intaglio {

std::vector<NamedArray> read_arrays(std::span<const std::byte> bytes, const std::string& name) try {
  // Told by the first bytes, as NumPy does: the name may be anything.
  const bool is_archive = bytes.size() >= 2 && bytes[0] == std::byte{'P'} && bytes[1] == std::byte{'K'};
  if (is_archive || name.ends_with(".npz")) return data::read_npz(bytes);
  return {{"arr_0", data::read_npy(bytes)}};
} catch (const Error& error) { throw error.with_context(escaped(name)); }

std::vector<NamedArray> read_arrays(const std::filesystem::path& path) {
  return read_arrays(MappedFile::open(path)->bytes(), path.string());
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const Tensor dense = tensor.contiguous();
  AtomicFile file(path);
  file.write(data::make_npy_header(dense.dtype(), dense.sizes()));
  if (dense.nbytes() > 0) file.write({static_cast<const std::byte*>(dense.raw()), dense.nbytes()});
  file.commit();
}

std::vector<int64_t> read_labels(const std::filesystem::path& path) {
  const auto arrays = read_arrays(path);
  const Tensor* labels = arrays.size() == 1 ? &arrays[0].tensor : nullptr;
  if (!labels || labels->rank() != 1 || !is_integral(labels->dtype()))
    throw_bad_input(
        fmt::format("{}: one one-dimensional array of integers expected; write class numbers with "
                    "numpy.save",
                    escaped(path.string())));
  const Tensor wide = converted(*labels, DType::int64);
  const auto values = wide.span<int64_t>();
  return {values.begin(), values.end()};
}

}  // namespace intaglio
