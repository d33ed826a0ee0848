#include "cli/cli.h"
#include "cli/last_words.h"

namespace {
[[gnu::section(".preinit_array"), gnu::used]] void (*const before_initializers)() noexcept = intaglio::cli::prepare_last_words;
}

// What jemalloc reads at start. Freed memory is used again for the next weight (fresh pages are half of a step's time), by one heap
// for all threads; what is larger than 8 MB goes back to the system at once.
extern "C" [[gnu::visibility("default")]] const char* const malloc_conf = "dirty_decay_ms:-1,narenas:1,oversize_threshold:8388608";

int main(int argc, char** argv) { return intaglio::cli::main(argc, argv); }
