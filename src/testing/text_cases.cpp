#include "testing/text_cases.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <intaglio/error.h>

#include "ir/parser.h"
#include "testing/source_dir.h"

namespace intaglio::test {
namespace {

struct Case {
  std::string name;
  std::vector<std::string> passes;
  std::string input;
  std::string expected;
  size_t line = 0;           // of its name in the file
  size_t expected_from = 0;  // lines of the file that hold what is expected
  size_t expected_to = 0;
};

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw_bug("cannot read " + path.string());
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> pass_names(std::string_view list) {
  std::vector<std::string> names;
  std::stringstream stream{std::string(list)};
  for (std::string name; std::getline(stream, name, ',');) {
    name.erase(0, name.find_first_not_of(' '));
    names.push_back(name);
  }
  return names;
}

// Lines `from` to `to` without the empty ones at the end.
std::string joined(const std::vector<std::string>& lines, size_t from, size_t& to) {
  while (to > from && lines[to - 1].empty()) --to;
  std::string text;
  for (size_t i = from; i < to; ++i) text += lines[i] + "\n";
  return text;
}

std::vector<Case> cases_of(const std::filesystem::path& path) {
  constexpr std::string_view name_mark = "--- ", arrow = "===>", pass_mark = "pass: ";
  const std::vector<std::string> lines = lines_of(path);
  std::vector<std::string> passes_of_file;
  std::vector<Case> cases;
  for (size_t i = 0; i < lines.size();) {
    if (cases.empty() && lines[i].starts_with(pass_mark)) passes_of_file = pass_names(std::string_view(lines[i]).substr(pass_mark.size()));
    if (!lines[i].starts_with(name_mark)) {
      ++i;
      continue;
    }
    Case one{lines[i].substr(name_mark.size()), passes_of_file, "", "", i + 1};
    ++i;
    if (i < lines.size() && lines[i].starts_with(pass_mark)) one.passes = pass_names(std::string_view(lines[i++]).substr(pass_mark.size()));
    const size_t input = i;
    while (i < lines.size() && lines[i] != arrow && !lines[i].starts_with(name_mark)) ++i;
    if (i == lines.size() || lines[i] != arrow) throw_bug(fmt::format("{}:{}: the case has no `{}`", path.string(), one.line, arrow));
    size_t input_end = i;
    one.input = joined(lines, input, input_end);
    one.expected_from = ++i;
    while (i < lines.size() && !lines[i].starts_with(name_mark)) ++i;
    one.expected_to = i;
    one.expected = joined(lines, one.expected_from, one.expected_to);
    cases.push_back(std::move(one));
  }
  return cases;
}

void rewrite(const std::filesystem::path& path, const std::string& name, const std::string& text) {
  const std::vector<std::string> lines = lines_of(path);
  const std::vector<Case> cases = cases_of(path);  // earlier cases may have moved this one
  const auto found = std::ranges::find(cases, name, &Case::name);
  std::ofstream file(path);
  for (size_t i = 0; i < found->expected_from; ++i) file << lines[i] << "\n";
  file << text;
  for (size_t i = found->expected_to; i < lines.size(); ++i) file << lines[i] << "\n";
}

std::string result_of(const Case& one, const RunCase& run) {
  static constexpr const char* kinds[] = {"bad input", "unsupported", "usage", "bug"};
  try {
    return run(one.passes, one.input);
  } catch (const Error& error) { return fmt::format("{}: {}\n", kinds[static_cast<size_t>(error.kind())], error.what()); }
}

class CaseTest : public testing::Test {
 public:
  CaseTest(std::filesystem::path path, Case one, RunCase run) : path_(std::move(path)), case_(std::move(one)), run_(std::move(run)) {}

  void TestBody() override {
    const std::string result = result_of(case_, run_);
    if (std::getenv("INTAGLIO_UPDATE_GOLDEN") != nullptr) rewrite(path_, case_.name, result);
    else EXPECT_EQ(result, case_.expected) << path_.string() << ":" << case_.line << "; INTAGLIO_UPDATE_GOLDEN=1 accepts the new text";
  }

 private:
  std::filesystem::path path_;
  Case case_;
  RunCase run_;
};

}  // namespace

bool register_text_cases(const std::string& suite, const std::string& place, RunCase run) {
  const std::filesystem::path path_of_place = source_dir() / place;
  std::vector<std::filesystem::path> files;
  if (path_of_place.extension() == ".test") files.push_back(path_of_place);
  else
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_of_place))
      if (entry.path().extension() == ".test") files.push_back(entry.path());
  std::ranges::sort(files);
  for (const std::filesystem::path& path : files)
    for (const Case& one : cases_of(path))
      testing::RegisterTest(suite.c_str(), (path.stem().string() + ": " + one.name).c_str(), nullptr, nullptr, path.c_str(),
                            static_cast<int>(one.line), [=]() -> testing::Test* { return new CaseTest(path, one, run); });
  return !files.empty();
}

RunCase program_passes(std::map<std::string, ProgramPass> passes) {
  return [passes = std::move(passes)](const std::vector<std::string>& names, const std::string& input) {
    ExportedProgram program = parse_program(input);
    for (const std::string& name : names) {
      const auto pass = passes.find(name);
      if (pass == passes.end()) throw_usage(fmt::format("no pass is named '{}' here", name));
      pass->second(program);
      verify(program);
    }
    std::string text = to_string(program);
    EXPECT_EQ(to_string(parse_program(text)), text) << "what is printed does not read back";
    return text;
  };
}

void expect_golden(const std::string& place, const std::string& text) {
  const std::filesystem::path path = source_dir() / place;
  if (std::getenv("INTAGLIO_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ostringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, golden.str()) << path.string() << "; INTAGLIO_UPDATE_GOLDEN=1 accepts the new text";
}

}  // namespace intaglio::test
