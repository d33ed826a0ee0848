#include "runtime/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include <intaglio/error.h>

#include "base/causes.h"

extern char** environ;

namespace intaglio::runtime {
namespace {

using std::chrono::milliseconds;

constexpr size_t stderr_kept = 64 * 1024;
constexpr int lines_kept = 2;  // of standard error, for a message: the first say what failed, later ones only where
constexpr size_t receive_step = 1 << 20;
constexpr milliseconds grace{2000};  // for a child that closed its socket to exit by itself

struct SignalWords {
  int number;
  const char* words;
};
constexpr SignalWords signal_words[] = {
    {SIGSEGV, "SIGSEGV, an invalid memory access"}, {SIGABRT, "SIGABRT, a failed check"},
    {SIGBUS, "SIGBUS, an invalid memory access"},   {SIGFPE, "SIGFPE, an arithmetic error"},
    {SIGILL, "SIGILL, an illegal instruction"},     {SIGKILL, "SIGKILL, perhaps for lack of memory"},
};

std::string describe_end(int status) {
  if (status == -1) return "ended";
  if (WIFEXITED(status)) return fmt::format("exited with status {}", WEXITSTATUS(status));
  for (const auto& row : signal_words)
    if (row.number == WTERMSIG(status)) return fmt::format("was stopped by {}", row.words);
  return fmt::format("was stopped by signal {}", WTERMSIG(status));
}

struct FileActions {
  posix_spawn_file_actions_t actions;
  FileActions() { posix_spawn_file_actions_init(&actions); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions); }
};

void close_if_open(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

// No signal is blocked in the child, whatever the parent blocks; and it is no member of the terminal's group, whose
// interrupts are the parent's to answer: it ends when its socket does.
struct SpawnAttributes {
  posix_spawnattr_t value;
  SpawnAttributes() {
    posix_spawnattr_init(&value);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&value, &none);
    posix_spawnattr_setpgroup(&value, 0);
    posix_spawnattr_setflags(&value, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnAttributes() { posix_spawnattr_destroy(&value); }
};

// "E 00:00:00.001 executorch:method.cpp:12] text" says "text".
std::string_view without_log_prefix(std::string_view line) {
  const size_t logger = line.find(" executorch:");
  const size_t end = line.find("] ", logger == std::string_view::npos ? line.size() : logger);
  return end == std::string_view::npos ? line : line.substr(end + 2);
}

}  // namespace

bool is_noise(std::string_view line) { return line.empty() || line.find("cpuinfo") != std::string_view::npos; }

ChildProcess::ChildProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments, std::string title)
    : title_(std::move(title)) {
  int sockets[2] = {-1, -1};
  int errors[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0 || pipe2(errors, O_CLOEXEC) != 0) {
    const int cause = errno;
    for (int descriptor : {sockets[0], sockets[1]}) close_if_open(descriptor);
    throw_machine(fmt::format("no pipe to {}: {}", escaped(program.filename().string()), cause_text(cause)));
  }
  socket_ = sockets[0];
  stderr_ = errors[0];
  fcntl(socket_, F_SETFL, O_NONBLOCK);
  fcntl(stderr_, F_SETFL, O_NONBLOCK);

  // Standard error is moved first: its source may be descriptor 3, which the socket takes last.
  FileActions files;
  posix_spawn_file_actions_addopen(&files.actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files.actions, errors[1], 1);
  posix_spawn_file_actions_adddup2(&files.actions, errors[1], 2);
  posix_spawn_file_actions_adddup2(&files.actions, sockets[1], 3);
  posix_spawn_file_actions_addclosefrom_np(&files.actions, 4);

  std::string name = program.string();
  std::vector<std::string> texts = arguments;
  std::vector<char*> argv{name.data()};
  for (auto& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  const SpawnAttributes attributes;
  const int failure = posix_spawn(&pid_, name.c_str(), &files.actions, &attributes.value, argv.data(), environ);
  close_if_open(sockets[1]);
  close_if_open(errors[1]);
  if (failure != 0) {
    pid_ = -1;
    close_all();
    const std::string fault = fmt::format("{}: cannot be started: {}", escaped(name), cause_text(failure));
    if (failure == ENOENT || failure == ENOEXEC || failure == ENOTDIR)
      throw_bad_input(fault + "; reinstall Intaglio or set INTAGLIO_RUNTIME_DIR");
    throw_machine(fault);
  }
}

ChildProcess::~ChildProcess() {
  if (alive()) {
    kill(pid_, SIGKILL);
    reap();
  }
  close_all();
}

void ChildProcess::close_all() {
  close_if_open(socket_);
  close_if_open(stderr_);
}

int ChildProcess::reap() {
  int status = -1;
  pid_t got;
  do got = waitpid(pid_, &status, 0);
  while (got < 0 && errno == EINTR);
  const bool known = got == pid_;
  pid_ = -1;
  return known ? status : -1;
}

void ChildProcess::throw_dead() {
  const auto deadline = Clock::now() + grace;
  siginfo_t info{};
  while (Clock::now() < deadline) {
    info.si_pid = 0;
    if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0) break;
    std::this_thread::sleep_for(milliseconds(1));
  }
  kill(pid_, SIGKILL);  // no effect on one that has ended and is not reaped yet
  const int status = reap();
  const std::string end = describe_end(status);
  collect_stderr();
  close_all();
  const std::string words = take_words();
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (killed) throw_machine(fmt::format("{} {}{}", title_, end, words.empty() ? "" : ": " + words));
  throw_bad_input(fmt::format("{} {}{}; the file is damaged or not made for it", title_, end, words.empty() ? "" : ": " + words));
}

void ChildProcess::collect_stderr() {
  char buffer[4096];
  ssize_t got;
  while (stderr_ >= 0 && (got = ::read(stderr_, buffer, sizeof buffer)) != 0) {
    if (got < 0) {
      if (errno == EINTR) continue;
      return;
    }
    stderr_text_.append(buffer, static_cast<size_t>(got));
    if (stderr_text_.size() > 2 * stderr_kept) stderr_text_.erase(0, stderr_text_.size() - stderr_kept);
  }
  close_if_open(stderr_);  // end of file
}

std::string ChildProcess::take_words() {
  collect_stderr();
  std::string words;
  std::string_view text = stderr_text_;
  for (int kept = 0; !text.empty() && kept < lines_kept;) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (is_noise(line)) continue;
    words += (kept == 0 ? "" : "; ") + escaped(without_log_prefix(line));
    ++kept;
  }
  stderr_text_.clear();
  return words;
}

void ChildProcess::wait_for(short events, Clock::time_point deadline, milliseconds timeout) {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      kill(pid_, SIGKILL);
      reap();
      close_all();
      throw_machine(
          fmt::format("{} did not answer within {} s and was stopped; "
                      "the file is damaged, or needs more time (--timeout)",
                      title_, static_cast<double>(timeout.count()) / 1000));
    }
    pollfd polled[2] = {{socket_, events, 0}, {stderr_, POLLIN, 0}};
    const int ready = ::poll(polled, 2, static_cast<int>(std::min<int64_t>(left, 1 << 30)));
    if (ready < 0 && errno != EINTR) throw_bug(fmt::format("poll failed: {}", std::strerror(errno)));
    if (ready <= 0) continue;
    if (polled[1].revents != 0) collect_stderr();
    if (polled[0].revents != 0) return;
  }
}

void ChildProcess::send_all(std::span<const std::byte> bytes, Clock::time_point deadline, milliseconds timeout) {
  while (!bytes.empty()) {
    wait_for(POLLOUT, deadline, timeout);
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) bytes = bytes.subspan(static_cast<size_t>(sent));
    else if (errno != EAGAIN && errno != EINTR) throw_dead();
  }
}

void ChildProcess::receive(std::vector<std::byte>& into, uint64_t size, Clock::time_point deadline, milliseconds timeout) {
  while (size > 0) {
    wait_for(POLLIN, deadline, timeout);
    const size_t old_size = into.size();
    const size_t step = static_cast<size_t>(std::min<uint64_t>(size, receive_step));
    if (into.capacity() < old_size + step) into.reserve(std::max(old_size + step, 2 * old_size));
    into.resize(old_size + step);
    const ssize_t got = ::recv(socket_, into.data() + old_size, step, 0);
    into.resize(old_size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got > 0) size -= static_cast<uint64_t>(got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR)) throw_dead();
  }
}

Message ChildProcess::exchange(std::span<const std::byte> message, milliseconds timeout) {
  if (!alive()) throw_bug("exchange with a runner that has ended");
  const auto deadline = Clock::now() + timeout;
  send_all(message, deadline, timeout);
  std::vector<std::byte> bytes;
  receive(bytes, message_header_size, deadline, timeout);
  const MessageHeader header = parse_header(bytes);
  bytes.clear();
  receive(bytes, header.length, deadline, timeout);
  return {header.kind, std::move(bytes)};
}

}  // namespace intaglio::runtime
