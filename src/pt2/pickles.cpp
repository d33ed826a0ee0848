#include "pt2/pickles.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace intaglio::pt2 {
namespace {

constexpr char stop = '.';

// Instructions of a pickle by what stands behind each.
struct Instructions {
  std::string_view codes;
  int lines = 0;    // texts that end with their lines
  int bytes = 0;    // of an operand
  int counted = 0;  // bytes of a count, and behind it as many as it says
};
constexpr Instructions instructions[] = {
    {std::string_view("(012NRQabd}elo]st)u\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98")},
    {"FILPSVpg", 1},
    {"ci", 2},
    {"Khq\x80\x82", 0, 1},
    {"M\x83", 0, 2},
    {"Jjr\x84", 0, 4},
    {"G\x95", 0, 8},
    {"UC\x8a\x8c", 0, 0, 1},
    {"BTX\x8b", 0, 0, 4},
    {"\x8d\x8e\x96", 0, 0, 8},
};
constexpr std::string_view naming = "ci\x82\x83\x84\x93PQ";  // a function, or an object of the reader's

// How many bytes stand behind an instruction, of those that are left; nullopt where it is none, or too few are.
std::optional<size_t> operand_size(char code, std::string_view rest) {
  const auto row = std::ranges::find_if(instructions, [&](const Instructions& each) { return each.codes.find(code) != each.codes.npos; });
  if (row == std::end(instructions)) return std::nullopt;
  size_t size = static_cast<size_t>(row->bytes + row->counted);
  for (int i = 0; i < row->lines; ++i) {
    const size_t end = rest.find('\n', size);
    if (end == rest.npos) return std::nullopt;
    size = end + 1;
  }
  if (size > rest.size()) return std::nullopt;
  uint64_t counted = 0;
  for (int i = row->counted; i-- > 0;) counted = counted << 8 | static_cast<unsigned char>(rest[static_cast<size_t>(i)]);
  return counted > rest.size() - size ? std::nullopt : std::optional(size + counted);
}

// Older protocols have no head: what reads as instructions to the last of them, and names a function, is one.
bool reads_as_pickle(std::string_view bytes) {
  bool is_naming = false;
  while (!bytes.empty() && bytes.front() != stop) {
    const char code = bytes.front();
    bytes.remove_prefix(1);
    const std::optional<size_t> size = operand_size(code, bytes);
    if (!size) return false;
    is_naming = is_naming || naming.find(code) != naming.npos;
    bytes.remove_prefix(*size);
  }
  return is_naming && !bytes.empty();
}

}  // namespace

bool holds_pickle(std::string_view bytes) {
  if (bytes.starts_with('\x80')) return true;
  return bytes.starts_with("PK") ? bytes.find(".pkl") != bytes.npos : reads_as_pickle(bytes);
}

}  // namespace intaglio::pt2
