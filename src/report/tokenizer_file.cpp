#include "report/tokenizer_file.h"

#include <intaglio/error.h>

#include "base/is_there.h"
#include "base/mapped_file.h"
#include "ir/json.h"
#include "runtime/sentencepiece.h"

namespace intaglio::report {
namespace {

std::string_view text_of(const MappedFile& file) { return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}; }

}  // namespace

std::unique_ptr<data::Tokenizer> open_tokenizer(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  const std::string_view text = text_of(*file);
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = path.extension() == ".json" || (first != std::string_view::npos && text[first] == '{');
  if (!json) return runtime::open_sentencepiece(path);
  try {
    return data::parse_tokenizer_json(text);
  } catch (const Error& error) { throw error.with_context(escaped(path.string())); }
}

std::optional<std::filesystem::path> tokenizer_beside(const std::filesystem::path& file) {
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    const std::filesystem::path candidate = file.parent_path() / name;
    if (is_there(candidate)) return candidate;
  }
  return std::nullopt;
}

std::vector<int64_t> eos_ids_of(const data::Tokenizer& tokenizer, const std::filesystem::path& path) {
  if (const auto id = tokenizer.eos_id()) return {*id};
  const std::filesystem::path beside = path.parent_path() / "tokenizer_config.json";
  if (!is_there(beside)) return {};
  const auto file = MappedFile::open(beside);
  try {
    const json::Document document(text_of(*file));
    const auto eos = document.root().find("eos_token");
    if (!eos) return {};
    const auto id = tokenizer.id_of(eos->is_object() ? eos->at("content").string("content") : eos->string("eos_token"));
    return id ? std::vector<int64_t>{*id} : std::vector<int64_t>{};
  } catch (const Error& error) { throw error.with_context(escaped(beside.string())); }
}

}  // namespace intaglio::report
