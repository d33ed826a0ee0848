// Payloads as folders for the tools of their makers: `--emit FORMAT`.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace intaglio {

struct FolderFile {
  std::string path;  // inside the folder; ends in '/' for a folder without files
  std::span<const std::byte> data;
};

struct FolderFormat {
  std::string_view name;   // the folder's extension
  std::string_view title;  // what it is, for the command line's help
  std::string_view delegate_id;
  // The files lie in the payload.
  std::function<std::vector<FolderFile>(std::span<const std::byte> payload)> files;
};
std::span<const FolderFormat> folder_formats();

}  // namespace intaglio
