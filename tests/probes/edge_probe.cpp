// For the oracle tests: lowers exported programs without delegates and says what came of it.
//
//   edge_probe FILE.pt2...   one JSON line a file: the ops in order, how far the lowered program's outputs are from the
//                            exported program's (both on the interpreter, on FILE.npz), or the error.
//   Beside each FILE.pt2 a FILE.pte is written.
#include <cmath>
#include <filesystem>
#include <iostream>

#include <fmt/format.h>

#include <intaglio/data.h>
#include <intaglio/edge.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>
#include <intaglio/pt2.h>

namespace {

using namespace intaglio;

std::string json_text(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

double largest_difference(const std::vector<Tensor>& expected, const std::vector<Tensor>& actual) {
  if (expected.size() != actual.size()) return INFINITY;
  double largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i].sizes() != actual[i].sizes() || expected[i].dtype() != actual[i].dtype()) return INFINITY;
    const Tensor a = converted(expected[i], DType::float64), b = converted(actual[i], DType::float64);
    for (int64_t k = 0; k < a.numel(); ++k) {
      const double x = a.contiguous().data<double>()[k], y = b.contiguous().data<double>()[k];
      if (std::isnan(x) && std::isnan(y)) continue;
      if (x == y) continue;
      const double difference = std::abs(x - y) / std::max(1.0, std::abs(x));
      if (!(difference <= largest)) largest = std::isnan(difference) ? INFINITY : difference;
    }
  }
  return largest;
}

std::string probe(const std::filesystem::path& path) {
  ExportedProgram program = load_exported_program(path);
  std::vector<Tensor> inputs;
  for (NamedArray& array : read_arrays(std::filesystem::path(path).replace_extension(".npz"))) inputs.push_back(std::move(array.tensor));
  std::optional<std::vector<Tensor>> expected;
  std::string without_kernel;
  try {
    expected = Interpreter(program, {.threads = 1}).run(inputs);
  } catch (const Error& error) { without_kernel = error.what(); }
  EdgeProgram edge = to_edge_transform_and_lower(std::move(program), {});
  const ExportedProgram& lowered = edge.methods.at(0).program;
  verify(lowered);
  std::string ops;
  for (const Node* node : lowered.graph().node_list()) ops += (ops.empty() ? "" : ", ") + json_text(node->op().name());
  std::string line = fmt::format("\"ops\": [{}]", ops);
  try {
    const std::vector<Tensor> actual = Interpreter(lowered, {.threads = 1}).run(inputs);
    if (expected) {
      const double difference = largest_difference(*expected, actual);
      line += std::isfinite(difference) ? fmt::format(", \"difference\": {}", difference) : std::string(", \"difference\": \"other\"");
    } else {
      line += fmt::format(", \"exported\": {}", json_text(without_kernel));
    }
  } catch (const Error& error) { line += fmt::format(", \"interpreter\": {}", json_text(error.what())); }
  try {
    std::move(edge).to_executorch().save(std::filesystem::path(path).replace_extension(".pte"));
  } catch (const Error& error) { line += fmt::format(", \"emission\": {}", json_text(error.what())); }
  return line;
}

}  // namespace

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    std::string line;
    try {
      line = probe(arguments[i]);
    } catch (const Error& error) {
      line = fmt::format("\"error\": {}, \"kind\": {}", json_text(error.what()), static_cast<int>(error.kind()));
    }
    std::cout << fmt::format("{{\"file\": {}, {}}}", json_text(arguments[i]), line) << std::endl;
  }
}
