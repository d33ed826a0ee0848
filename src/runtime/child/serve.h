// The loop of a program that answers messages on file descriptor 3 (see runtime/protocol.h).
//
// Everything a damaged file can do to a process it does to this one; the parent only sees a message or an end.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "runtime/protocol.h"

namespace intaglio::runtime {

// `argv[1]` bounds the process's address space in bytes. Returns an exit status when it was not started by a ChildProcess; does not
// return otherwise.
int serve(int argc, char** argv, const std::function<std::vector<std::byte>(MessageKind, MessageReader&)>& answer);

std::vector<std::byte> failure_message(uint32_t code, const std::string& stage, const std::string& detail);

}  // namespace intaglio::runtime
