#include "base/leftovers.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
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
    const Leftover folder = Leftover::folder(place("folder") + "-");
    path = folder.path();
    for (int i = 0; i < 300; ++i) std::ofstream(path + "/file" + std::to_string(i)) << i;
    std::filesystem::create_directories(path + "/inner/deeper");
    std::ofstream(path + "/inner/deeper/file") << "x";
  }
  EXPECT_TRUE(path.ends_with(".tmp") && !std::filesystem::exists(path));
}

TEST(Leftover, FoldersGoWhenNoFileCanBeOpened) {
  const std::string prefix = place("crowded") + "-";
  const auto leave = [&] {
    std::string path;
    {
      const Leftover folder = Leftover::folder(prefix);
      path = folder.path();
      std::filesystem::create_directories(path + "/inner/deeper");
      std::ofstream(path + "/inner/deeper/inside") << "x";
      const rlimit few{64, 64};
      ::setrlimit(RLIMIT_NOFILE, &few);
      while (::dup(STDERR_FILENO) >= 0) {}
    }
    ::_exit(std::filesystem::exists(path));
  };
  EXPECT_EXIT(leave(), testing::ExitedWithCode(0), "");
}

TEST(Leftover, AllGoAtTheEnd) {
  const std::string first = place("first"), second = place("second");
  const auto leave_all = [&] {
    const Leftover a(first, make_file), b(second, make_file);
    const Leftover folder = Leftover::folder(place("last") + "-");
    std::ofstream(folder.path() + "/inside") << "x";
    const Leftover gone(place("gone"), make_file);
    remove_leftovers();
    ::_exit(std::filesystem::exists(first) || std::filesystem::exists(second) || std::filesystem::exists(folder.path()));
  };
  EXPECT_EXIT(leave_all(), testing::ExitedWithCode(0), "");
}

// A process that is told to end at any moment of a folder's life.
TEST(Leftover, FoldersGoWheneverTheEndComes) {
  const std::filesystem::path around = place("ended");
  std::filesystem::create_directory(around);
  const std::string prefix = (around / "folder-").string();
  const auto live = [&](int microseconds) {
    std::signal(SIGALRM, [](int) {
      remove_leftovers();
      ::_exit(0);
    });
    const itimerval soon{{}, {0, microseconds}};
    ::setitimer(ITIMER_REAL, &soon, nullptr);
    for (;;) {
      const Leftover folder = Leftover::folder(prefix);
      std::error_code gone;
      for (const char* name : {"/a", "/b", "/b/c", "/b/d"}) std::filesystem::create_directory(folder.path() + name, gone);
      std::ofstream(folder.path() + "/b/file") << "x";
    }
  };
  for (int i = 0; i < 400; ++i) {
    const pid_t child = ::fork();
    if (child == 0) live(50 + 3 * i);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    ASSERT_TRUE(std::filesystem::is_empty(around)) << "after " << i;
  }
  std::filesystem::remove(around);
}

}  // namespace
}  // namespace intaglio
