#include "runtime/child/serve.h"

#include <errno.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <intaglio/error.h>

#include "base/stack.h"

namespace intaglio::runtime {
namespace {

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

using Answer = std::function<std::vector<std::byte>(MessageKind, MessageReader&)>;

std::vector<std::byte> guarded(const Answer& answer, MessageKind kind, std::span<const std::byte> payload) {
  MessageReader request(payload);
  try {
    return answer(kind, request);
  } catch (const std::bad_alloc&) { return failure_message(0x21, "running", "out of memory"); } catch (const std::length_error&) {
    return failure_message(0x21, "running", "memory size out of range");
  } catch (const Error& error) { return failure_message(0x01, "running", error.what()); }
}

int answer_all(const char* address_space, const Answer& answer) {
  limit_resources(address_space);
  end_with_parent();
  std::byte header_bytes[message_header_size];
  std::vector<std::byte> payload;
  while (read_exactly(header_bytes, sizeof header_bytes)) {
    const MessageHeader header = parse_header(header_bytes);
    payload.resize(header.length);
    if (!read_exactly(payload.data(), payload.size())) break;
    if (!write_all(guarded(answer, header.kind, payload))) break;
  }
  _exit(0);  // what is loaded has nothing to save
}

}  // namespace

int serve(int argc, char** argv, const std::function<std::vector<std::byte>(MessageKind, MessageReader&)>& answer) try {
  pollfd polled{socket_descriptor, POLLIN, 0};
  if (argc != 2 || ::poll(&polled, 1, 0) < 0 || (polled.revents & POLLNVAL) != 0) {
    std::fprintf(stderr, "this program is started by intaglio, not by hand\n");
    return 2;
  }
  return with_enough_stack([&] { return answer_all(argv[1], answer); });
} catch (const Error& no_thread) {
  std::fprintf(stderr, "%s\n", no_thread.what());
  return 1;
}

std::vector<std::byte> failure_message(uint32_t code, const std::string& stage, const std::string& detail) {
  MessageWriter message(MessageKind::failed);
  message.put_u32(code);
  message.put_string(stage);
  message.put_string(detail);
  return std::move(message).finish();
}

}  // namespace intaglio::runtime
