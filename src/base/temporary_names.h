// Names of what must not outlive a run, `PREFIXpid.N.tmp`: the next run knows by them what a killed one left.
#pragma once

#include <filesystem>
#include <string>

namespace intaglio {

// Of what stands beside `target` until it takes its place: hidden, and of a length that file systems take.
std::string temporary_prefix(const std::filesystem::path& target);

// Another name at each call.
std::string next_temporary(const std::string& prefix);

// What is open stays, whoever looks for what was left, and however they number processes: where folders are shared, another machine's
// or container's run may be the one that is at work.
void hold_temporary(int file);

// Removes files and folders of these names that are this user's, are held by nobody, and whose process is gone.
void remove_abandoned(const std::string& prefix) noexcept;

}  // namespace intaglio
