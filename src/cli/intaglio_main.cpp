#include "cli/cli.h"
#include "cli/last_words.h"

namespace {
[[gnu::section(".preinit_array"), gnu::used]] void (*const before_initializers)() noexcept = intaglio::cli::prepare_last_words;
}

int main(int argc, char** argv) { return intaglio::cli::main(argc, argv); }
