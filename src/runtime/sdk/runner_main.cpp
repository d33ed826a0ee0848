// intaglio-runner: loads `.pte` programs and runs them, as told on file descriptor 3 (see runtime/protocol.h).
//
// Everything a damaged program can do to a process it does to this one; the parent only sees a message or an end.
#include <errno.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <thread>

#include <intaglio/error.h>

#include "runtime/protocol.h"
#include "runtime/sdk/program.h"

namespace {

using namespace intaglio::runtime;

constexpr int socket_descriptor = 3;

bool read_exactly(std::byte* into, size_t size) {
  while (size > 0) {
    const ssize_t got = ::recv(socket_descriptor, into, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    into += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool write_all(const std::vector<std::byte>& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t sent = ::send(socket_descriptor, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    done += static_cast<size_t>(sent);
  }
  return true;
}

std::vector<std::byte> answer_load(LoadedProgram& program, MessageReader& request) {
  const std::string path = request.get_string();
  const std::string method = request.get_string();
  const uint32_t threads = request.get_u32();
  const double milliseconds = program.load(path, method, threads);
  MessageWriter answer(MessageKind::loaded);
  answer.put_double(milliseconds);
  return std::move(answer).finish();
}

std::vector<std::byte> answer_run(LoadedProgram& program, MessageReader& request) {
  const uint32_t repetitions = request.get_u32();
  std::vector<RunValue> inputs(request.get_u32());
  for (auto& input : inputs) input = request.get_value();
  std::vector<double> milliseconds;
  const auto outputs = program.run(inputs, repetitions, milliseconds);
  MessageWriter answer(MessageKind::outputs);
  answer.put_u32(static_cast<uint32_t>(milliseconds.size()));
  for (double value : milliseconds) answer.put_double(value);
  answer.put_u32(static_cast<uint32_t>(outputs.size()));
  for (const auto& output : outputs) answer.put_value(output);
  return std::move(answer).finish();
}

std::vector<std::byte> answer_failure(uint32_t code, const std::string& stage, const std::string& detail) {
  MessageWriter answer(MessageKind::failed);
  answer.put_u32(code);
  answer.put_string(stage);
  answer.put_string(detail);
  return std::move(answer).finish();
}

std::vector<std::byte> answer_to(LoadedProgram& program, MessageKind kind, std::span<const std::byte> payload) {
  MessageReader request(payload);
  try {
    return kind == MessageKind::load ? answer_load(program, request) : answer_run(program, request);
  } catch (const RuntimeFailure& failure) {
    return answer_failure(failure.code, failure.stage, failure.detail);
  } catch (const std::bad_alloc&) { return answer_failure(0x21, "running", "out of memory"); } catch (const std::length_error&) {
    return answer_failure(0x21, "running", "memory size out of range");
  } catch (const intaglio::Error& error) { return answer_failure(0x01, "running", error.what()); }
}

void limit_resources(const char* address_space) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  prctl(PR_SET_DUMPABLE, 0);
#ifndef INTAGLIO_SANITIZE  // whose shadow memory takes more
  const unsigned long long bytes = std::strtoull(address_space, nullptr, 10);
  if (bytes > 0) {
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_AS, &limit);
  }
#else
  (void)address_space;
#endif
}

// The parent's end closes when it dies, however it dies; then nobody waits for this process any more. Without a thread to be had
// that is seen once a run is over.
void end_with_parent() try {
  std::thread([] {
    pollfd polled{socket_descriptor, 0, 0};
    while (::poll(&polled, 1, -1) < 0 && errno == EINTR) {}
    _exit(0);
  }).detach();
} catch (const std::system_error&) {}

}  // namespace

int main(int argc, char** argv) {
  pollfd polled{socket_descriptor, POLLIN, 0};
  if (argc != 2 || ::poll(&polled, 1, 0) < 0 || (polled.revents & POLLNVAL) != 0) {
    std::fprintf(stderr, "intaglio-runner is started by intaglio, not by hand\n");
    return 2;
  }
  limit_resources(argv[1]);
  end_with_parent();
  LoadedProgram program;
  std::byte header_bytes[message_header_size];
  std::vector<std::byte> payload;
  while (read_exactly(header_bytes, sizeof header_bytes)) {
    const MessageHeader header = parse_header(header_bytes);
    payload.resize(header.length);
    if (!read_exactly(payload.data(), payload.size())) break;
    if (!write_all(answer_to(program, header.kind, payload))) break;
  }
  _exit(0);  // the delegates' destructors have nothing to save
}
