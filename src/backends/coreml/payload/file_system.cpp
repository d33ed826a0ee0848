#include "backends/coreml/payload/file_system.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <intaglio/error.h>

#include "ir/json.h"

namespace intaglio::coreml {
namespace {

constexpr size_t longest_text = 10 << 20;  // that the runtime reads
constexpr size_t deepest_folder = 32;

struct Region {
  uint64_t offset = 0, size = 0;
};
struct Folder {
  std::map<std::string, Folder> folders;
  std::map<std::string, Region> files;
};

nlohmann::json node(std::string_view name, int kind, nlohmann::json children, const Region& region) {
  return {{"name", name},
          {"kind", kind},
          {"children", std::move(children)},
          {"dataRegion", {{"offset", region.offset}, {"size", region.size}}}};
}

// Its children first; the index that it gets.
size_t append_nodes(std::string_view name, const Folder& folder, nlohmann::json& nodes) {
  nlohmann::json children = nlohmann::json::object();
  for (const auto& [file, region] : folder.files) {
    children[file] = nodes.size();
    nodes.push_back(node(file, 0, nlohmann::json::object(), region));
  }
  for (const auto& [inner, content] : folder.folders) children[inner] = append_nodes(inner, content, nodes);
  nodes.push_back(node(name, 1, std::move(children), {}));
  return nodes.size() - 1;
}

[[noreturn]] void refuse(const std::string& message) { throw_bad_input("a Core ML payload: " + message); }

struct FoundText {
  std::string text;
  size_t begin = 0;  // of its bytes among all: where files end
};
FoundText text_at_the_end(std::span<const std::byte> bytes) {
  size_t position = bytes.size();
  while (position > 0 && bytes[position - 1] == std::byte{0}) --position;
  FoundText found;
  size_t depth = 0;
  bool in_string = false, is_escaped = false;
  while (position > 0 && found.text.size() < longest_text) {
    const char c = static_cast<char>(bytes[--position]);
    found.text.push_back(c);
    if (found.text.size() == 1 && c != '{') break;
    if (is_escaped) is_escaped = false;
    else if (in_string && c == '\\') is_escaped = true;
    else if (c == '"') in_string = !in_string;
    else if (!in_string && c == '{') ++depth;
    else if (!in_string && c == '}' && --depth == 0) {
      found.begin = position;
      return found;
    }
  }
  refuse("no table of files stands at its end");
}

class Tree {
 public:
  explicit Tree(std::span<const std::byte> bytes) : found_(text_at_the_end(bytes)), document_(found_.text), bytes_(bytes) {
    for (const json::Value entry : document_.root().at("nodes").array("nodes")) nodes_.push_back(entry);
    if (nodes_.empty()) refuse("its table of files is empty");
    is_visited_.resize(nodes_.size());
    visit(nodes_.size() - 1, "", 0);
    std::ranges::sort(files_, {}, &StoredFile::path);
  }
  std::vector<StoredFile> files() && { return std::move(files_); }

 private:
  void visit(size_t index, const std::string& path, size_t depth) {
    if (is_visited_[index]) refuse(fmt::format("the node {} is in two folders", index));
    is_visited_[index] = true;
    const json::Value entry = nodes_[index];
    const int64_t kind = entry.at("kind").integer("kind");
    if (kind == 0) return files_.push_back({path, data_of(entry.at("dataRegion"), path)});
    if (kind != 1 || depth > deepest_folder)
      refuse(fmt::format("'{}' is neither a file nor a folder of those there can be", escaped(path)));
    for (const auto field : entry.at("children").object("children")) {
      const std::string_view name = field.key;
      if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos)
        refuse(fmt::format("a file has the name '{}'", escaped(name)));
      const int64_t child = json::Value(field.value).integer("children");
      if (child < 0 || child >= std::ssize(nodes_)) refuse(fmt::format("'{}' is the node {}, of {}", escaped(name), child, nodes_.size()));
      visit(static_cast<size_t>(child), path.empty() ? std::string(name) : fmt::format("{}/{}", path, name), depth + 1);
    }
  }
  std::span<const std::byte> data_of(const json::Value& region, const std::string& path) const {
    const auto offset = static_cast<uint64_t>(region.at("offset").integer("offset")),
               size = static_cast<uint64_t>(region.at("size").integer("size"));
    if (offset > found_.begin || size > found_.begin - offset) refuse(fmt::format("'{}' lies outside of it", escaped(path)));
    return bytes_.subspan(offset, size);
  }

  FoundText found_;
  json::Document document_;
  std::span<const std::byte> bytes_;
  std::vector<json::Value> nodes_;
  std::vector<bool> is_visited_;
  std::vector<StoredFile> files_;
};

}  // namespace

Blob file_system_blob(std::string_view root, const std::vector<File>& files) {
  Folder top;
  std::vector<Blob::Piece> pieces;
  uint64_t end = 0;
  for (const File& file : files) {
    Folder* folder = &top;
    size_t begin = 0;
    for (size_t slash; (slash = file.path.find('/', begin)) != std::string::npos; begin = slash + 1)
      folder = &folder->folders[file.path.substr(begin, slash - begin)];
    if (begin == file.path.size()) continue;
    folder->files[file.path.substr(begin)] = {end, file.data.size()};
    pieces.push_back({end, file.data});
    end += file.data.size();
  }
  nlohmann::json nodes = nlohmann::json::array();
  append_nodes(root, top, nodes);
  std::string text = nlohmann::json{{"nodes", std::move(nodes)}}.dump();
  std::ranges::reverse(text);
  pieces.push_back({end, Blob(std::string_view(text))});
  return Blob::of_pieces(std::move(pieces), end + text.size());
}

std::vector<StoredFile> read_file_system(std::span<const std::byte> bytes) { return Tree(bytes).files(); }

}  // namespace intaglio::coreml
