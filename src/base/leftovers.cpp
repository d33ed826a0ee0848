#include "base/leftovers.h"

#include <mutex>
#include <set>
#include <utility>

namespace intaglio {
namespace {

std::mutex leftovers_mutex;

// Never destroyed: threads may still end when static objects are gone.
std::set<std::filesystem::path>& leftovers() {
  static auto* const paths = new std::set<std::filesystem::path>;
  return *paths;
}

}  // namespace

Leftover::Leftover(std::filesystem::path path) : path_(std::move(path)) {
  const std::lock_guard lock(leftovers_mutex);
  leftovers().insert(path_);
}

Leftover::Leftover(Leftover&& other) noexcept : path_(std::exchange(other.path_, {})) {}

Leftover& Leftover::operator=(Leftover&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

Leftover::~Leftover() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  keep();
}

void Leftover::keep() {
  const std::lock_guard lock(leftovers_mutex);
  leftovers().erase(path_);
  path_.clear();
}

void remove_leftovers() noexcept {
  const std::lock_guard lock(leftovers_mutex);
  std::error_code ignored;
  for (const auto& path : leftovers()) std::filesystem::remove_all(path, ignored);
  leftovers().clear();
}

}  // namespace intaglio
