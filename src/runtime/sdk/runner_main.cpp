// intaglio-runner: loads `.pte` programs and runs them, as told by its parent.
#include "runtime/child/serve.h"
#include "runtime/sdk/program.h"

namespace {

using namespace intaglio::runtime;

std::vector<std::byte> answer_load(LoadedProgram& program, MessageReader& request) {
  const std::string path = request.get_string();
  const std::string method = request.get_string();
  const uint32_t threads = request.get_u32();
  const double milliseconds = program.load(path, method, threads);
  MessageWriter answer(MessageKind::loaded);
  answer.put_double(milliseconds);
  return std::move(answer).finish();
}

std::vector<std::byte> answer_run(LoadedProgram& program, MessageReader& request) {
  const uint32_t repetitions = request.get_u32();
  const auto rows = static_cast<OutputRows>(request.get_u8());
  std::vector<RunValue> inputs(request.get_u32());
  for (auto& input : inputs) input = request.get_value();
  std::vector<double> milliseconds;
  const auto outputs = program.run(inputs, repetitions, rows, milliseconds);
  MessageWriter answer(MessageKind::outputs);
  answer.put_u32(static_cast<uint32_t>(milliseconds.size()));
  for (double value : milliseconds) answer.put_double(value);
  answer.put_u32(static_cast<uint32_t>(outputs.size()));
  for (const auto& output : outputs) answer.put_value(output);
  return std::move(answer).finish();
}

std::vector<std::byte> answer_to(LoadedProgram& program, MessageKind kind, MessageReader& request) try {
  return kind == MessageKind::load ? answer_load(program, request) : answer_run(program, request);
} catch (const RuntimeFailure& failure) { return failure_message(failure.code, failure.stage, failure.detail); }

}  // namespace

int main(int argc, char** argv) {
  LoadedProgram program;
  return serve(argc, argv, [&](MessageKind kind, MessageReader& request) { return answer_to(program, kind, request); });
}
