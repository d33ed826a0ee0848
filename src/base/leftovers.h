// What must not outlive the process, however it ends: temporary files and folders.
#pragma once

#include <filesystem>

namespace intaglio {

// A path that goes, with all that is in it, when this object does or when `remove_leftovers` is called.
class Leftover {
 public:
  Leftover() = default;
  explicit Leftover(std::filesystem::path path);
  ~Leftover();
  Leftover(Leftover&& other) noexcept;
  Leftover& operator=(Leftover&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  void keep();  // it has become what was wanted

 private:
  std::filesystem::path path_;
};

// Everything that is left now; for a program that is told to end.
void remove_leftovers() noexcept;

}  // namespace intaglio
