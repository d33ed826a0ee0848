// Loaded before a program (LD_PRELOAD), makes one call to the system fail as it may on any machine.
//
//   FAILING_CALL=open     which: malloc, mmap, thread, open, write, ... (`rows` below)
//   FAILING_AT=17         the 17th of them in the process; 0: none
//   FAILING_ON=1          and all after it
//   FAILING_IN=intaglio   in processes of this name alone (default: in every one)
//   FAILING_WALK=5        instead: each of them in a child of its own, see walk.h
//   FAILING_COUNTS=FILE   writes how many there were of each, one `name count` a line, when the process ends by itself
//
// Allocations and file functions that libc calls inside itself are none of these: a program cannot be given others.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "walk.h"

namespace {

enum Call {
  malloc_,
  mmap_,
  mprotect_,
  thread_,
  open_,
  stat_,
  read_,
  write_,
  seek_,
  fsync_,
  link_,
  rename_,
  folder_,
  socket_,
  pipe_,
  spawn_,
  calls
};

struct Row {
  const char* name;
  int error;
  std::atomic<long> count{0};
};
Row rows[calls] = {{"malloc", ENOMEM}, {"mmap", ENOMEM},   {"mprotect", EACCES}, {"thread", EAGAIN}, {"open", EMFILE}, {"stat", EIO},
                   {"read", EIO},      {"write", ENOSPC},  {"seek", EIO},        {"fsync", EIO},     {"link", EPERM},  {"rename", EACCES},
                   {"folder", EACCES}, {"socket", EMFILE}, {"pipe", EMFILE},     {"spawn", EAGAIN}};

struct Plan {
  int call = -1;
  long at = 0;
  bool on = false;
};

// Read from the environment at the first call, which comes before any initializer.
Plan& plan() {
  static Plan read;
  static std::atomic<int> state{0};
  if (state.load(std::memory_order_acquire) == 0) {
    const char *call = getenv("FAILING_CALL"), *at = getenv("FAILING_AT"), *name = getenv("FAILING_IN");
    for (int i = 0; call != nullptr && i < calls; ++i)
      if (strcmp(rows[i].name, call) == 0 && (name == nullptr || strcmp(name, program_invocation_short_name) == 0)) read.call = i;
    read.at = at == nullptr ? 0 : atol(at);
    read.on = getenv("FAILING_ON") != nullptr;
    state.store(1, std::memory_order_release);
  }
  return read;
}

bool fails(Call call) {
  if (failing::Uncounted::is_on()) return false;
  const long number = ++rows[call].count;
  Plan& chosen = plan();
  if (failing::is_walking()) {
    const failing::Step step = failing::walk(rows[call].name, number);
    if (step.fails) chosen = {call, number, step.on};
  }
  if (chosen.call != call || chosen.at == 0 || number < chosen.at || (number > chosen.at && !chosen.on)) return false;
  errno = rows[call].error;
  return true;
}

// Its functions are those below: what it asks of the system for itself, while it is loaded, says nothing of the program.
bool of_allocator(const void* caller) {
  Dl_info info;
  return dladdr(caller, &info) != 0 && info.dli_fname != nullptr && strstr(info.dli_fname, "libmimalloc") != nullptr;
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

__attribute__((destructor)) void write_counts() {
  const char* path = getenv("FAILING_COUNTS");
  const char* name = getenv("FAILING_IN");
  if (path == nullptr || (name != nullptr && strcmp(name, program_invocation_short_name) != 0)) return;
  const int file = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  for (const Row& row : rows) dprintf(file, "%s %ld\n", row.name, row.count.load());
  syscall(SYS_close, file);
}

}  // namespace

extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void free(void* memory) { __libc_free(memory); }
void* malloc(size_t size) { return fails(malloc_) ? nullptr : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return fails(malloc_) ? nullptr : __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return fails(malloc_) ? nullptr : __libc_realloc(old, size); }
void* memalign(size_t alignment, size_t size) { return fails(malloc_) ? nullptr : __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return fails(malloc_) ? nullptr : __libc_memalign(alignment, size); }
int posix_memalign(void** result, size_t alignment, size_t size) {
  if (fails(malloc_)) return ENOMEM;
  *result = __libc_memalign(alignment, size);
  return *result == nullptr ? ENOMEM : 0;
}

void* mmap(void* address, size_t size, int protection, int flags, int file, off_t offset) {
  return !of_allocator(__builtin_return_address(0)) && fails(mmap_)
             ? MAP_FAILED
             : reinterpret_cast<void*>(syscall(SYS_mmap, address, size, protection, flags, file, offset));
}
void* mmap64(void* address, size_t size, int protection, int flags, int file, off_t offset) {
  return mmap(address, size, protection, flags, file, offset);
}
int mprotect(void* address, size_t size, int protection) {
  return !of_allocator(__builtin_return_address(0)) && fails(mprotect_)
             ? -1
             : static_cast<int>(syscall(SYS_mprotect, address, size, protection));
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  if (fails(thread_)) return rows[thread_].error;
  return next<decltype(pthread_create)>("pthread_create")(thread, attributes, start, argument);
}

int openat(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, int) : 0;
  va_end(rest);
  return fails(open_) ? -1 : static_cast<int>(syscall(SYS_openat, folder, path, flags, mode));
}
int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, int) : 0;
  va_end(rest);
  return openat(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, int) : 0;
  va_end(rest);
  return openat(AT_FDCWD, path, flags, mode);
}
FILE* fopen(const char* path, const char* mode) { return fails(open_) ? nullptr : next<decltype(fopen)>("fopen")(path, mode); }
FILE* fopen64(const char* path, const char* mode) { return fopen(path, mode); }

int stat(const char* path, struct stat* result) {
  return fails(stat_) ? -1 : static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, result, 0));
}
int lstat(const char* path, struct stat* result) {
  return fails(stat_) ? -1 : static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, result, AT_SYMLINK_NOFOLLOW));
}
int fstat(int file, struct stat* result) { return fails(stat_) ? -1 : static_cast<int>(syscall(SYS_fstat, file, result)); }

ssize_t read(int file, void* bytes, size_t size) { return fails(read_) ? -1 : syscall(SYS_read, file, bytes, size); }
ssize_t recv(int file, void* bytes, size_t size, int flags) {
  if (fails(read_)) return -1;
  failing::before_talk(file);
  const ssize_t got = syscall(SYS_recvfrom, file, bytes, size, flags, nullptr, nullptr);
  if (got > 0) failing::remember_received(file, static_cast<size_t>(got));
  return got;
}
ssize_t write(int file, const void* bytes, size_t size) { return fails(write_) ? -1 : syscall(SYS_write, file, bytes, size); }
ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
  return fails(write_) ? -1 : syscall(SYS_pwrite64, file, bytes, size, offset);
}
ssize_t pwrite64(int file, const void* bytes, size_t size, off_t offset) { return pwrite(file, bytes, size, offset); }
int ftruncate(int file, off_t size) { return fails(write_) ? -1 : static_cast<int>(syscall(SYS_ftruncate, file, size)); }
int ftruncate64(int file, off_t size) { return ftruncate(file, size); }
ssize_t send(int file, const void* bytes, size_t size, int flags) {
  if (fails(write_)) return -1;
  failing::before_talk(file);
  const ssize_t sent = syscall(SYS_sendto, file, bytes, size, flags, nullptr, 0);
  if (sent > 0) failing::remember_sent(file, bytes, static_cast<size_t>(sent));
  return sent;
}
int poll(pollfd* polled, nfds_t count, int milliseconds) {
  for (nfds_t i = 0; i < count; ++i) failing::before_talk(polled[i].fd);
  return static_cast<int>(syscall(SYS_poll, polled, count, milliseconds));
}
off_t lseek(int file, off_t offset, int whence) { return fails(seek_) ? -1 : syscall(SYS_lseek, file, offset, whence); }
off_t lseek64(int file, off_t offset, int whence) { return lseek(file, offset, whence); }
int fsync(int file) { return fails(fsync_) ? -1 : static_cast<int>(syscall(SYS_fsync, file)); }
int fchmod(int file, mode_t mode) { return fails(fsync_) ? -1 : static_cast<int>(syscall(SYS_fchmod, file, mode)); }
int linkat(int from, const char* source, int to, const char* target, int flags) {
  if (fails(link_)) return -1;
  char walkers[32], own[64];  // what a child of the walker has open is its own, by the same number
  snprintf(walkers, sizeof walkers, "/proc/%d/fd/", failing::walker());
  if (strncmp(source, walkers, strlen(walkers)) == 0) {
    snprintf(own, sizeof own, "/proc/self/fd/%s", source + strlen(walkers));
    source = own;
  }
  return static_cast<int>(syscall(SYS_linkat, from, source, to, target, flags));
}
int rename(const char* from, const char* to) { return fails(rename_) ? -1 : static_cast<int>(syscall(SYS_rename, from, to)); }
int mkdir(const char* path, mode_t mode) { return fails(folder_) ? -1 : static_cast<int>(syscall(SYS_mkdir, path, mode)); }
char* mkdtemp(char* pattern) { return fails(folder_) ? nullptr : next<decltype(mkdtemp)>("mkdtemp")(pattern); }
int socketpair(int domain, int type, int protocol, int* files) {
  if (fails(socket_)) return -1;
  const int failure = static_cast<int>(syscall(SYS_socketpair, domain, type, protocol, files));
  if (failure == 0) failing::remember_socket(files[0]);
  return failure;
}
int pipe2(int* files, int flags) {
  if (fails(pipe_)) return -1;
  const int failure = static_cast<int>(syscall(SYS_pipe2, files, flags));
  if (failure == 0) failing::remember_pipe(files[0]);
  return failure;
}
int posix_spawn(pid_t* child, const char* path, const posix_spawn_file_actions_t* actions, const posix_spawnattr_t* attributes,
                char* const* arguments, char* const* environment) {
  if (fails(spawn_)) return rows[spawn_].error;
  const int failure = next<decltype(posix_spawn)>("posix_spawn")(child, path, actions, attributes, arguments, environment);
  if (failure == 0) failing::remember_program(*child, path, arguments);
  return failure;
}
int kill(pid_t process, int signal) {
  const pid_t stand_in = failing::stand_in(process);
  return stand_in == 0 && process != 0 ? 0 : static_cast<int>(syscall(SYS_kill, stand_in, signal));
}
pid_t waitpid(pid_t process, int* status, int options) {
  const pid_t stand_in = failing::stand_in(process);
  if (stand_in == 0) *status = SIGKILL;
  const long got = stand_in == 0 ? process : syscall(SYS_wait4, stand_in, status, options, nullptr);
  if (got > 0) failing::forget_program(process);
  return got == stand_in ? process : static_cast<pid_t>(got);
}
int waitid(idtype_t type, id_t process, siginfo_t* info, int options) {
  const pid_t stand_in = type == P_PID ? failing::stand_in(static_cast<pid_t>(process)) : static_cast<pid_t>(process);
  if (stand_in == 0) return -1;
  return static_cast<int>(syscall(SYS_waitid, type, stand_in, info, options, nullptr));
}

}  // extern "C"
