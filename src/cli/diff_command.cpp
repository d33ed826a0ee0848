#include <memory>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/pt2.h>

#include "base/mapped_file.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "cli/output.h"
#include "report/difference.h"

namespace intaglio::cli {
namespace {

struct DiffArguments {
  std::string before, after;
};

enum class Kind { plan, program, pte };

Kind kind_of(const std::string& path) {
  if (path.ends_with(".json")) return Kind::plan;
  if (path.ends_with(".pt2")) return Kind::program;
  if (path.ends_with(".pte")) return Kind::pte;
  throw_usage(fmt::format("{}: `diff` takes two plans (.json), two .pt2 or two .pte", escaped(path)));
}

std::vector<report::Place> places_of(const std::string& path) {
  switch (kind_of(path)) {
    case Kind::plan: return report::places_of(load_plan(path));
    case Kind::program: return report::places_of(load_exported_program(path));
    case Kind::pte: break;
  }
  const std::shared_ptr<MappedFile> file = MappedFile::open(path);
  try {
    return report::places_of_pte(file->bytes());
  } catch (const Error& error) { throw Error(error.kind(), fmt::format("{}: {}", escaped(path), error.what())); }
}

std::string text_of(const report::Difference& difference) {
  if (difference.fact.empty()) return fmt::format("{}: only in the {}\n", difference.place, difference.before.empty() ? "second" : "first");
  const auto shown = [](const std::string& text) { return text.empty() ? std::string("nothing") : text; };
  return fmt::format("{}: {}: {} -> {}\n", difference.place, difference.fact, shown(difference.before), shown(difference.after));
}

void diff(const DiffArguments& arguments, const CommonOptions& common) {
  if (kind_of(arguments.before) != kind_of(arguments.after))
    throw_usage(fmt::format("{} and {}: `diff` takes two files of one kind", escaped(arguments.before), escaped(arguments.after)));
  const std::vector<report::Difference> found = report::differences(places_of(arguments.before), places_of(arguments.after));
  if (common.json) {
    Json result = document("intaglio.diff/1");
    result["before"] = arguments.before;
    result["after"] = arguments.after;
    result["differences"] = Json::array();
    for (const report::Difference& difference : found)
      result["differences"].push_back(
          {{"place", difference.place}, {"fact", difference.fact}, {"before", difference.before}, {"after", difference.after}});
    return print(result);
  }
  if (common.quiet) return;
  for (const report::Difference& difference : found) say("{}", printable(text_of(difference)));
  if (found.empty()) say("no difference\n");
}

}  // namespace

void add_diff(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("diff", "what changed between two plans, two .pt2 or two .pte, by layer");
  const auto arguments = std::make_shared<DiffArguments>();
  reading(command->add_option("BEFORE", arguments->before, "a plan (.json), a .pt2 or a .pte"))->required();
  reading(command->add_option("AFTER", arguments->after, "another of the same kind"))->required();
  command->callback([arguments, &common] { diff(*arguments, common); });
}

}  // namespace intaglio::cli
