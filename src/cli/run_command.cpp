#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/backend.h>
#include <intaglio/data.h>
#include <intaglio/error.h>

#include "cli/cli.h"
#include "cli/files.h"
#include "cli/output.h"
#include "report/executable.h"

namespace intaglio::cli {
namespace {

struct RunArguments {
  std::string model;
  std::string input;
  std::string preprocess;
  std::string out;
  report::Numerics numerics = report::Numerics::as_written;
  std::string method = "forward";
  int repetitions = 0;
  std::chrono::milliseconds timeout{300'000};
};

Json summary(const Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  Json result = {{"dtype", std::string(name(tensor.dtype()))}, {"sizes", tensor.sizes()}};
  const bool readable = !is_complex(tensor.dtype()) && tensor.numel() > 0 && item_size(tensor.dtype()) <= 8 &&
                        !(is_floating(tensor.dtype()) && item_size(tensor.dtype()) == 1);
  if (!readable) return result;
  const Tensor numbers = converted(tensor, DType::float64);
  const auto [low, high] = std::minmax_element(numbers.span<double>().begin(), numbers.span<double>().end());
  result["min"] = *low;
  result["max"] = *high;
  return result;
}

std::string report_of(const RunArguments& arguments, const CommonOptions& common, const report::Executable& program,
                      const std::vector<Tensor>& outputs) {
  Json list = Json::array();
  for (const Tensor& output : outputs) list.push_back(summary(output));
  if (common.json) {
    Json result = document("intaglio.run/1");
    result["model"] = arguments.model;
    result["engine"] = program.engine();
    result["milliseconds"] = program.milliseconds();
    result["outputs"] = list;
    return to_text(result);
  }
  if (common.quiet) return "";
  std::string text = fmt::format("{} on the {}: {:.2f} ms\n", arguments.model, program.engine(), program.milliseconds());
  for (size_t i = 0; i < list.size(); ++i) text += fmt::format("arr_{}  {}\n", i, list[i].is_null() ? std::string("None") : list[i].dump());
  return printable(text);
}

void run(const RunArguments& arguments, const CommonOptions& common) {
  if (!arguments.out.empty() && !arguments.out.ends_with(".npz"))
    throw_usage(fmt::format("{}: the output of `run` ends in .npz", escaped(arguments.out)));
  report::ExecutableOptions options{.threads = common.threads,
                                    .numerics = arguments.numerics,
                                    .method = arguments.method,
                                    .repetitions = arguments.repetitions,
                                    .timeout = arguments.timeout};
  const std::unique_ptr<report::Executable> program = report::Executable::open(arguments.model, options);
  std::optional<Preprocess> preprocess;
  if (!arguments.preprocess.empty()) preprocess = parse_preprocess(arguments.preprocess);
  const SampleSource samples(arguments.input, program->slots(), preprocess);
  if (samples.size() != 1)
    throw_usage(
        fmt::format("--input {}: `run` takes one sample, here are {}; `compare` takes many", escaped(arguments.input), samples.size()));
  std::vector<Tensor> inputs = samples.load(0).inputs;
  program->complete(inputs);
  const std::vector<Tensor> outputs = program->run(inputs);
  const Report report = {"", report_of(arguments, common, *program, outputs)};
  if (!arguments.out.empty()) write_outputs(arguments.out, outputs);
  report.print();
}

}  // namespace

void add_run(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("run", "run one sample: .pte on the ExecuTorch runtime, .pt2 and hand-overs on the interpreter");
  const auto arguments = std::make_shared<RunArguments>();
  reading(command->add_option("MODEL", arguments->model, "a .pt2, a .pte or a hand-over"))->required();
  reading(command->add_option("--input", arguments->input, "the sample: .npy, .npz or an image"))->required();
  command->add_option("--preprocess", arguments->preprocess, "how an image becomes a tensor");
  writing(command->add_option("-o,--output", arguments->out, "where to write the outputs (.npz)"));
  add_numerics_options(*command, arguments->numerics);
  command->add_option("--method", arguments->method, "of a .pte or hand-over with several");
  command->add_option("--repeat", arguments->repetitions, "time this many more runs")->check(CLI::Range(0, 1000000));
  add_timeout_option(*command, arguments->timeout);
  command->callback([arguments, &common] { run(*arguments, common); });
}

}  // namespace intaglio::cli
