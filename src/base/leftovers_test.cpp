#include "base/leftovers.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace intaglio {
namespace {

bool make_file(const char* path) { return ::close(::open(path, O_CREAT | O_EXCL | O_WRONLY, 0600)) == 0; }

std::string place(const char* name) { return (std::filesystem::path(testing::TempDir()) / name).string() + std::to_string(::getpid()); }

TEST(Leftover, GoesWithItsObjectUnlessItIsKept) {
  const std::string path = place("leftover");
  {
    const Leftover file(path, make_file);
    EXPECT_TRUE(file.exists() && std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  {
    Leftover file(path, make_file);
    Leftover other = std::move(file);
    other.keep();
  }
  EXPECT_TRUE(std::filesystem::exists(path));
  const Leftover taken(path, make_file);
  EXPECT_FALSE(taken.exists());
  std::filesystem::remove(path);
}

TEST(Leftover, FoldersGoWithTheirFiles) {
  std::string path;
  {
    const Leftover folder(place("folder") + "-XXXXXX", [](char* pattern) { return ::mkdtemp(pattern) != nullptr; });
    path = folder.path();
    for (int i = 0; i < 300; ++i) std::ofstream(path + "/file" + std::to_string(i)) << i;
    std::filesystem::create_directories(path + "/inner/deeper");
    std::ofstream(path + "/inner/deeper/file") << "x";
  }
  EXPECT_FALSE(path.ends_with("XXXXXX") || std::filesystem::exists(path));
}

TEST(Leftover, AllGoAtTheEnd) {
  const std::string first = place("first"), second = place("second"), folder = place("last");
  const auto leave_all = [&] {
    const Leftover a(first, make_file), b(second, make_file);
    const Leftover c(folder, [](char* path) { return ::mkdir(path, 0700) == 0; });
    std::ofstream(folder + "/inside") << "x";
    const Leftover gone(place("gone"), make_file);
    remove_leftovers();
    ::_exit(std::filesystem::exists(first) || std::filesystem::exists(second) || std::filesystem::exists(folder));
  };
  EXPECT_EXIT(leave_all(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace intaglio
