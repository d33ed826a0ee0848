#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace failing {
namespace {

constexpr int most_descriptors = 64;
constexpr rlim_t most_seconds = 30;     // of the processor's time, however busy the machine is with others
constexpr unsigned longest_wait = 240;  // for a child that waits for what never comes; less than any --timeout
constexpr int impossible = 99;          // status of a child that could not be made what it has to be

pid_t walking_process = 0;
bool is_child = false;

// Read at the first call, which comes before any initializer.
int stream() {
  static int file = -2;
  if (file != -2) return file;
  const char *text = getenv("FAILING_WALK"), *name = getenv("FAILING_IN");
  file = text == nullptr || (name != nullptr && strcmp(name, program_invocation_short_name) != 0) ? -1 : atoi(text);
  if (file >= 0) fcntl(file, F_SETFD, FD_CLOEXEC);
  walking_process = getpid();
  return file;
}

void say(const char* line) {
  if (write(stream(), line, strlen(line)) < 0) _exit(impossible);
}

// An answer comes in one piece: the other side waits after it.
char* answer() {
  static char line[4096];
  size_t size = 0;
  while (size == 0 || line[size - 1] != '\n') {
    const ssize_t got = read(stream(), line + size, sizeof line - size);
    if (got <= 0) _exit(impossible);
    size += static_cast<size_t>(got);
  }
  line[size - 1] = '\0';
  return line;
}

bool has_more_threads() {
  struct stat tasks {};
  return stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink != 3;
}

// The name that a file was opened by, in the folder that is the current one now if it was in the one before.
bool find_name(int file, const char* folder_before, char* path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t got = readlink(link, path, size - 1);
  if (got < 0) return false;
  path[got] = '\0';
  const size_t before = strlen(folder_before);
  if (strncmp(path, folder_before, before) != 0) return true;
  if (path[before] == '\0') strcpy(path, ".");
  else if (path[before] == '/') memmove(path, path + before + 1, strlen(path + before));
  return true;
}

// A descriptor of this process alone: the position in a file that both have open is one. What is written goes to a copy, by the same name
// if there is one. (A file that was linked only later is complete.)
int own(int file, const struct stat& status, const char* folder_before) {
  char path[4096];
  if (!find_name(file, folder_before, path, sizeof path)) return -1;
  if (S_ISDIR(status.st_mode)) return open(path, O_RDONLY | O_DIRECTORY);
  const bool has_name = strstr(path, " (deleted)") == nullptr;
  if ((fcntl(file, F_GETFL) & O_ACCMODE) == O_RDONLY) {
    char same[64];
    snprintf(same, sizeof same, "/proc/self/fd/%d", file);
    return open(same, O_RDONLY);
  }
  if (has_name) unlink(path);
  const int copy = has_name ? open(path, O_RDWR | O_CREAT | O_EXCL, status.st_mode & 0777) : open(".", O_TMPFILE | O_RDWR, 0666);
  off_t from = 0;
  while (copy >= 0 && from < status.st_size)
    if (sendfile(copy, file, &from, static_cast<size_t>(status.st_size - from)) <= 0) return -1;
  return copy;
}

bool own_descriptors(const char* folder_before) {
  for (int file = 3; file < most_descriptors; ++file) {
    struct stat status {};
    if (fstat(file, &status) != 0 || (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))) continue;
    const int mine = own(file, status, folder_before);
    if (mine < 0) return false;
    lseek(mine, lseek(file, 0, SEEK_CUR), SEEK_SET);
    dup3(mine, file, O_CLOEXEC);
    close(mine);
  }
  return true;
}

bool enter(const char* folder) {
  is_child = true;
  close(stream());
  leave_programs_alone();
  char before[4096], words[4096];
  snprintf(words, sizeof words, "%s.err", folder);
  if (getcwd(before, sizeof before) == nullptr || chdir(folder) != 0 || !own_descriptors(before)) return false;
  const int said = open(words, O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (said < 0 || dup3(said, STDERR_FILENO, 0) < 0) return false;
  close(said);
  const rlimit time{most_seconds, most_seconds + 5};
  setrlimit(RLIMIT_CPU, &time);
  alarm(longest_wait);
  return true;
}

}  // namespace

bool is_walking() { return !is_child && stream() >= 0; }
pid_t walker() { return is_child ? walking_process : 0; }

Step walk(const char* call, long number) {
  const Uncounted here;
  const int cause = errno;
  char line[64];
  if (has_more_threads()) {
    say("threads\n");
    errno = cause;
    return {};
  }
  snprintf(line, sizeof line, "%s %ld\n", call, number);
  say(line);
  for (const char* reply = answer(); *reply != '\0'; reply = answer()) {
    const bool on = strncmp(reply, "on ", 3) == 0;
    const pid_t child = fork();
    if (child == 0) {
      if (!enter(strchr(reply, ' ') + 1)) _exit(impossible);
      return {true, on};
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    snprintf(line, sizeof line, "%d\n", status);
    say(line);
  }
  errno = cause;
  return {};
}

}  // namespace failing
