// A folder in memory: the delegate's payload. Files back to back, then a JSON text with its bytes in reverse, so that it is read
// from the last byte backwards and needs no length:
//   {"nodes":[{"children":{name: index, ...},"dataRegion":{"offset":O,"size":S},"kind":0 a file | 1 a folder,"name":"..."}, ...]}
// Nodes stand behind their children; the last one is the root.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <intaglio/blob.h>

namespace intaglio::coreml {

struct File {
  std::string path;  // from the root on: "model.mlpackage/Manifest.json"; ends in '/' for a folder without files
  Blob data;
};
Blob file_system_blob(std::string_view root, const std::vector<File>& files);

struct StoredFile {
  std::string path;
  std::span<const std::byte> data;  // where it lies
};
// Files by path. Bad input for anything that is no such folder: a node in two folders, a name that leaves its folder, a file that
// leaves the bytes.
std::vector<StoredFile> read_file_system(std::span<const std::byte> bytes);

}  // namespace intaglio::coreml
