// Which of a program's results each value is: found once, for those who ask of many.
#pragma once

#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <intaglio/program.h>

namespace intaglio {

// The program's results must not change meanwhile.
class ResultPlaces {
 public:
  explicit ResultPlaces(const ExportedProgram& program);
  // Places among the results, ascending; none for a value that stays inside.
  std::span<const size_t> of(const Value* value) const;
  // Those that are the next value of a buffer, ascending.
  std::span<const size_t> of_buffer(std::string_view target) const;
  // True when the one thing the program does with the value at its end is to keep it as the buffer's next value.
  bool only_keeps(const Value* value, std::string_view buffer) const;

 private:
  std::unordered_map<const Value*, std::vector<size_t>> of_value_;
  std::unordered_map<std::string_view, std::vector<size_t>> of_buffer_;  // names are the program's
};

}  // namespace intaglio
