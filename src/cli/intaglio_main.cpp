#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/stack.h"
#include "cli/cli.h"
#include "cli/last_words.h"

namespace {
[[gnu::section(".preinit_array"), gnu::used]] void (*const before_initializers)() noexcept = intaglio::cli::prepare_last_words;
}

int main(int argc, char** argv) try {
  return intaglio::with_enough_stack([&] { return intaglio::cli::main(argc, argv); });
} catch (const intaglio::Error& no_thread) {
  intaglio::cli::write_line(fmt::format("intaglio: {}\n", no_thread.what()));
  intaglio::cli::leave_in_order();
  return intaglio::cli::status_input_at_fault;
}
