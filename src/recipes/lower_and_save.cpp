#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <intaglio/check.h>

#include "base/leftovers.h"
#include "base/temporary_names.h"
#include "edge/stranded.h"
#include "ir/mutations.h"
#include "recipes/agreement.h"
#include "recipes/breaches.h"
#include "runtime/delegates.h"

namespace intaglio {

using namespace recipes;
namespace {

// The delegate of the program that the runtime here does not have, or "".
std::string delegate_of_elsewhere(const EdgeProgram& edge) {
  for (const EdgeMethod& method : edge.methods)
    for (const Delegate& delegate : method.delegates)
      if (!runtime_has_delegate(delegate.backend_id)) return delegate.backend_id;
  return "";
}

// On the runtime each method has memory of its own, also for a buffer that another one calls the same.
void warn_of_parted_state(const std::vector<std::pair<std::string, ExportedProgram>>& methods, const WarningSink& warn) {
  if (methods.size() < 2) return;
  std::map<std::string_view, std::vector<std::string>> writers;
  for (const auto& [name, program] : methods) {
    const std::unordered_set<const Value*> mutated = mutated_inputs(program);
    for (const InputSpec& input : program.input_specs)
      if (input.kind == InputSpec::Kind::buffer && mutated.contains(input.value))
        writers[input.target].push_back(fmt::format("'{}'", escaped(name)));
  }
  std::erase_if(writers, [](const auto& entry) { return entry.second.size() < 2; });
  if (writers.empty()) return;
  const auto& [buffer, names] = *writers.begin();
  warn({fmt::format(
      "methods {} each keep a copy of the buffer '{}'{}, and what one writes the other does not read: export one method of "
      "dynamic length, or caches as inputs and outputs",
      fmt::join(names, " and "), escaped(buffer), writers.size() > 1 ? fmt::format(" and of {} more", writers.size() - 1) : "")});
}

void add(std::vector<Agreement>& agreements, Breaches& breaches, Agreement agreement) {
  if (!agreement.breach.empty()) breaches.sink()({agreement.breach, true});
  agreements.push_back(std::move(agreement));
}

}  // namespace

std::vector<Agreement> lower_and_save(std::vector<std::pair<std::string, ExportedProgram>> methods, const PartitionerList& partitioners,
                                      const std::filesystem::path& path, const SaveOptions& options) {
  const auto done = [&](std::string_view step) {
    if (options.observe) options.observe(step);
  };
  Breaches breaches(options.warn, options.strict);
  warn_of_parted_state(methods, breaches.sink());
  std::vector<ComparedMethod> compared;
  if (options.compare)
    for (const auto& [name, program] : methods) compared.push_back({name, program.clone()});
  EdgeProgram edge = to_edge_transform_and_lower(
      std::move(methods), partitioners, {.threads = options.threads, .observe = options.observe_lowering, .warn = breaches.sink()});
  // Without a backend nothing can be inside a delegate.
  if (!partitioners.items().empty())
    for (const EdgeMethod& method : edge.methods)
      if (const std::string line = edge::stranded_quantization(method); !line.empty()) breaches.sink()({line, true});
  if (options.inspect) options.inspect(edge);
  done("lower");
  breaches.settle();

  std::vector<Agreement> agreements;
  if (options.hand_over != nullptr) {
    options.hand_over->write(edge, path, [&](const std::filesystem::path& written) {
      done("write");
      for (const ComparedMethod& method : compared)
        add(agreements, breaches,
            agreement_of(written, method, options.sample, {.threads = options.threads, .load = options.hand_over->load}));
      if (options.compare) done("check");
      breaches.settle();
      if (options.inspect_written) options.inspect_written(written, agreements);
    });
    return agreements;
  }

  const LowerAgain lower_again = [&](ExportedProgram variant, const std::function<void(const std::filesystem::path&)>& use) {
    const Leftover folder = Leftover::folder(temporary_prefix(path));
    if (!folder.exists()) return;
    const std::filesystem::path file = std::filesystem::path(folder.path()) / "variant.pte";
    to_edge_transform_and_lower(std::move(variant), partitioners, {.threads = options.threads})
        .to_executorch({.threads = options.threads, .runtime = options.runtime})
        .save(file);
    use(file);
  };
  const std::string elsewhere = delegate_of_elsewhere(edge);
  const ExecutorchProgram program =
      std::move(edge).to_executorch({.threads = options.threads, .runtime = options.runtime, .constant_methods = options.constant_methods});
  if (options.inspect_needs) options.inspect_needs(program.runtime_needs());
  program.save(path, [&](const std::filesystem::path& written) {
    done("write");
    for (const ComparedMethod& method : compared) {
      if (!elsewhere.empty()) {
        agreements.push_back({.method = method.name, .skipped = fmt::format("the runtime of this machine has no {}", elsewhere)});
        continue;
      }
      add(agreements, breaches,
          agreement_of(written, method, options.sample,
                       {.threads = options.threads, .timeout = options.timeout, .lower_again = lower_again}));
    }
    if (options.compare) done("check");
    breaches.settle();
    if (options.inspect_written) options.inspect_written(written, agreements);
  });
  return agreements;
}

std::vector<Agreement> lower_and_save(ExportedProgram program, const PartitionerList& partitioners, const std::filesystem::path& path,
                                      const SaveOptions& options) {
  std::vector<std::pair<std::string, ExportedProgram>> methods;
  methods.emplace_back("forward", std::move(program));
  return lower_and_save(std::move(methods), partitioners, path, options);
}

}  // namespace intaglio
