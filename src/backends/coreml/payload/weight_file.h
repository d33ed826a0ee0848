// weight.bin: constants of an ML program outside of it.
//   0  u32 number of records   4  u32 version (2)   8  zeros to 64
// Each record stands at a multiple of 64, and so do its data, directly behind these 64 bytes:
//   0  u32 0xDEADBEEF          4  u32 type of elements   8  u64 bytes of data   16  u64 offset of the data
//  24  u64 bits at the end of the data that belong to no element              32  zeros
// The program names a constant by the offset of its record.
#pragma once

#include <map>
#include <span>
#include <tuple>

#include "backends/coreml/mil/program.h"

namespace intaglio::coreml {

class WeightFileWriter {
 public:
  explicit WeightFileWriter(Version version) : version_(version) {}

  // Whether the format has a constant stand here; others are inside the program.
  bool takes(const Literal& literal) const;
  // The offset of its record; constants of equal type and bytes share one.
  uint64_t add(const Literal& literal);
  // The file; no bytes without records.
  Blob blob() const;

 private:
  Version version_;
  std::map<std::tuple<DataType, int64_t, Sha256>, uint64_t> offsets_;  // of records, by type, number of elements, bytes
  std::vector<Blob::Piece> pieces_;
  uint64_t end_ = 64;
};

// The elements of the record at `offset`, left where they are: the file's bytes outlive the result. Bad input when there is none, or it is
// not of this type and these sizes.
Literal read_weight(std::span<const std::byte> file, uint64_t offset, const ValueType& type);

}  // namespace intaglio::coreml
