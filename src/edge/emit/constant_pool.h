// Constant data of all methods of a program, each distinct byte string once.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include <intaglio/blob.h>

#include "pte/program.h"

namespace intaglio::edge {

class ConstantPool {
 public:
  // The tensor as it will be stored: contiguous and channels-last ones as they are, others copied row-major. Returns
  // its provisional number, to be translated by `final_index` when all constants are known.
  struct Entry {
    uint32_t index = 0;
    std::vector<uint8_t> dim_order;
  };
  Entry add(const Tensor& tensor);

  // Finds equal contents (first_equal) and numbers what is left from 1, in order of first use.
  void settle();
  uint32_t final_index(uint32_t provisional) const { return final_[provisional]; }
  const std::vector<Blob>& contents() const { return contents_; }

 private:
  std::vector<Blob> blobs_;
  std::map<std::tuple<const void*, int64_t, size_t, std::vector<uint8_t>>, uint32_t> known_;
  std::vector<uint32_t> final_;
  std::vector<Blob> contents_;
};

}  // namespace intaglio::edge
