// Which of many blobs hold the same bytes, with the least of them computed.
#pragma once

#include <vector>

#include <intaglio/blob.h>

namespace intaglio {

// For each entry the index of the first one with the same bytes (itself when there is none). Entries of unique size are not looked at;
// others are compared as `names_of` does.
std::vector<size_t> first_equal(const std::vector<Blob>& entries);

// For each entry a name that others have where their bytes are the same, and only there: runtimes share what has one name between
// programs too. It is the SHA-256 of the bytes, or, of those whose start is cheap (Blob::has_start), whose file has a checksum of them
// (Blob::source) and that no other entry of their size starts like, made of size, start and checksum.
std::vector<Sha256> names_of(const std::vector<Blob>& entries);

}  // namespace intaglio
