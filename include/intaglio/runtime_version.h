// Releases of the ExecuTorch runtime, and what of a program needs which.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace intaglio {

// Oldest first. A patch release takes what its minor release takes.
enum class RuntimeVersion : uint8_t { v1_0, v1_1, v1_2, v1_3, v1_4, v1_5 };
inline constexpr RuntimeVersion oldest_runtime = RuntimeVersion::v1_0;
inline constexpr RuntimeVersion newest_runtime = RuntimeVersion::v1_5;

std::string name(RuntimeVersion version);  // "1.1"
// Of its name; bug error for any other text.
RuntimeVersion runtime_version(std::string_view name);
std::vector<std::string> runtime_version_names();

struct RuntimeNeed {
  RuntimeVersion since = oldest_runtime;
  std::string what;  // a delegate's node, "aten::grid_sampler_2d.out"
  friend auto operator<=>(const RuntimeNeed&, const RuntimeNeed&) = default;
};

// What a program needs beyond the oldest runtime.
class RuntimeNeeds {
 public:
  void add(RuntimeNeed need);  // not kept when every runtime has it
  void add(const RuntimeNeeds& others);
  // The same for a runtime that reads the program from a file and frees what it has read.
  void add_from_file(RuntimeNeed need);

  RuntimeVersion since() const { return newest(needs_); }
  RuntimeVersion since_from_file() const { return std::max(since(), newest(from_file_)); }
  // Newest first, each once.
  const std::vector<RuntimeNeed>& needs() const { return needs_; }
  const std::vector<RuntimeNeed>& from_file() const { return from_file_; }
  void forget_from_file() { from_file_.clear(); }

 private:
  static RuntimeVersion newest(const std::vector<RuntimeNeed>& needs) { return needs.empty() ? oldest_runtime : needs.front().since; }

  std::vector<RuntimeNeed> needs_, from_file_;
};

// "needs ExecuTorch >= 1.1 (aten::grid_sampler_2d.out)", and what loading from a file needs where that is more.
std::string to_string(const RuntimeNeeds& needs);

}  // namespace intaglio

#pragma GCC visibility pop
