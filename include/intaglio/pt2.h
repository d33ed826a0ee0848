// Reading and writing `.pt2` archives (torch.export of torch 2.13).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include <intaglio/program.h>

#pragma GCC visibility push(default)

namespace intaglio {

struct LoadOptions {
  bool verify_all_records = false;  // check every CRC now instead of at first use
};

// Weights stay in the mapped file. Errors name the file and the entry.
ExportedProgram load_exported_program(const std::filesystem::path& path, const LoadOptions& options = {});
// The same from memory; `name` is used in messages. `keep_alive` owns the bytes.
ExportedProgram load_exported_program(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive, const std::string& name,
                                      const LoadOptions& options = {});

// What is written loads with torch.export.load. The target is replaced only after everything is written.
// `inspect` is called with the size, last, before the file takes the target's place: what throws there leaves that as it was.
void save_exported_program(const ExportedProgram& program, const std::filesystem::path& path,
                           const std::function<void(uint64_t bytes)>& inspect = {});

}  // namespace intaglio

#pragma GCC visibility pop
