// A spawned child that answers messages on file descriptor 3; its standard output and error are kept for messages.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "runtime/protocol.h"

namespace intaglio::runtime {

struct Message {
  MessageKind kind;
  std::vector<std::byte> payload;
};

class ChildProcess {
 public:
  // Bad-input error when the program cannot be started. `title` is what it is called in messages.
  ChildProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments,
               std::string title = "the ExecuTorch runtime");
  // Kills it when it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Sends one message and waits for the answer. When the child dies or exceeds `timeout` it is killed and reaped, and a
  // bad-input error says how it ended and what it said.
  Message exchange(std::span<const std::byte> message, std::chrono::milliseconds timeout);

  bool alive() const { return pid_ > 0; }
  // The first lines the child wrote since the last call that are not noise; "" when there is none.
  std::string take_words();

 private:
  using Clock = std::chrono::steady_clock;
  // Waits until the socket is ready for `events`, collecting standard error meanwhile.
  void wait_for(short events, Clock::time_point deadline, std::chrono::milliseconds timeout);
  void send_all(std::span<const std::byte> bytes, Clock::time_point deadline, std::chrono::milliseconds timeout);
  // Reads exactly `size` bytes onto the end of `into`.
  void receive(std::vector<std::byte>& into, uint64_t size, Clock::time_point deadline, std::chrono::milliseconds timeout);
  void collect_stderr();
  [[noreturn]] void throw_dead();
  int reap();  // wait status; -1 when unknown
  void close_all();

  pid_t pid_ = -1;
  int socket_ = -1;
  int stderr_ = -1;
  std::string stderr_text_;
  std::string title_;
};

// Lines of the runtime's standard error that say nothing (the cpuinfo library's complaints on virtual machines).
bool is_noise(std::string_view line);

}  // namespace intaglio::runtime
