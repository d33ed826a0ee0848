// Every word of a small archive changed, the file cut at every place: each time an Error, or a program that holds together.
#include <chrono>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "testing/archive.h"

namespace intaglio::pt2 {
namespace {

using test::load;
using test::model_json;
using test::small_archive;
using test::weights_json;

// Loads, checks every invariant and reads every weight. Returns whether it loaded.
bool survives(const std::string& bytes) {
  try {
    const ExportedProgram program = load(bytes);
    verify(program);
    for (const State* state : {&program.state, &program.constants})
      for (const auto& [name, entry] : state->entries())
        if (entry.tensor.numel() > 0) (void)entry.tensor.contiguous();
    (void)to_string(program);
    return true;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug) ADD_FAILURE() << error.what();
    const std::string message = error.what();
    if (!message.starts_with("test.pt2: ") && message.find("entry") == std::string::npos) ADD_FAILURE() << "names no place: " << message;
    if (message.find('\n') != std::string::npos) ADD_FAILURE() << "more than one line: " << message;
    return false;
  }
}

TEST(Mutation, WordsOfTheArchive) {
  const std::string whole = small_archive().bytes();
  ASSERT_LE(whole.size(), 16u << 10);
  ASSERT_TRUE(survives(whole));
  const uint32_t values[] = {0, 1, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x04034b50, 0x20202020};
  for (size_t at = 0; at + 4 <= whole.size(); at += 4) {
    for (const uint32_t value : values) {
      std::string changed = whole;
      std::memcpy(changed.data() + at, &value, 4);
      survives(changed);
    }
    for (const uint32_t flip : {1u, 0x80u, 0x10000u, 0x80000000u}) {
      std::string changed = whole;
      uint32_t word = 0;
      std::memcpy(&word, whole.data() + at, 4);
      word ^= flip;
      std::memcpy(changed.data() + at, &word, 4);
      survives(changed);
    }
  }
}

TEST(Mutation, TruncationAnywhere) {
  const std::string whole = small_archive().bytes();
  size_t loaded = 0;
  for (size_t size = 0; size < whole.size(); size += size % 512 < 8 || size + 600 > whole.size() ? 1 : 8)
    loaded += survives(whole.substr(0, size));
  EXPECT_EQ(loaded, 0u);
}

// With right checksums, so that the changes reach the readers behind them.
TEST(Mutation, CharactersOfTheModel) {
  const std::string text = model_json;
  for (size_t at = 0; at < text.size(); ++at) {
    for (const char value : {'0', '9', '-', '"', '}', '['}) {
      if (text[at] == value || (at + static_cast<size_t>(value)) % 3 != 0) continue;
      std::string changed = text;
      changed[at] = value;
      survives(small_archive(changed).bytes());
    }
  }
}

TEST(Mutation, NumbersAndNamesOfTheModel) {
  const std::string text = model_json;
  const std::string numbers[] = {"-1", "0", "65", "4294967296", "9223372036854775807", "-9223372036854775808", "1e308", "null", "{}", "[]"};
  const std::string names[] = {"x", "p_w", "relu", "size", "", "output", "as_none", "as_tensor", "branch_0"};
  for (size_t at = 0; at < text.size(); ++at) {
    const bool number = text[at] >= '0' && text[at] <= '9' && text[at - 1] == ' ';
    if (number) {
      const size_t end = text.find_first_not_of("0123456789.", at);
      for (const std::string& value : numbers) survives(small_archive(text.substr(0, at) + value + text.substr(end)).bytes());
    }
    if (text[at] == '"' && text[at - 1] != '\\') {
      const size_t end = text.find('"', at + 1);
      if (end == std::string::npos) break;
      for (const std::string& value : names) survives(small_archive(text.substr(0, at + 1) + value + text.substr(end)).bytes());
      at = end;
    }
  }
}

TEST(Mutation, NumbersOfTheWeightTable) {
  const std::string text = weights_json();
  const std::string numbers[] = {"-1",  "0",    "1",    "3", "65", "4294967296", "9223372036854775807", "-9223372036854775808",
                                 "1.5", "null", "\"4\""};
  for (size_t at = 1; at < text.size(); ++at) {
    if (text[at] < '0' || text[at] > '9' || text[at - 1] != ' ') continue;
    const size_t end = text.find_first_not_of("0123456789", at);
    for (const std::string& value : numbers) survives(small_archive(model_json, text.substr(0, at) + value + text.substr(end)).bytes());
  }
}

// Work grows with the size of the file, not with its square.
TEST(Mutation, ManyOfEverythingTakesLittleTime) {
  std::string nodes, values, arguments;
  constexpr int count = 20000;
  for (int i = 0; i < count; ++i) {
    nodes += fmt::format(
        R"({{"target": "torch.ops.my.op.default", "inputs": [{{"name": "a{0}", "arg": {{"as_tensor": {{"name": "x"}}}}, "kind": 1}}], "outputs": [{{"as_tensor": {{"name": "v{0}"}}}}], "metadata": {{}}, "name": "v{0}"}}, )",
        i);
    values += fmt::format(
        R"("v{}": {{"dtype": 7, "sizes": [], "requires_grad": false, "device": {{"type": "cpu", "index": null}}, "strides": [], "storage_offset": {{"as_int": 0}}, "layout": 7}}, )",
        i);
    arguments += fmt::format(R"({{"name": "b{}", "arg": {{"as_tensor": {{"name": "x"}}}}, "kind": 1}}, )", i);
  }
  nodes += R"({"target": "torch.ops.my.op.default", "inputs": [)" + arguments.substr(0, arguments.size() - 2) +
           R"(], "outputs": [], "metadata": {}, "name": "last"}, )";
  std::string model = test::replaced(model_json, "\"nodes\": [\n", "\"nodes\": [\n" + nodes);
  model = test::replaced(model, "\"tensor_values\": {\n", "\"tensor_values\": {\n" + values);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(survives(small_archive(model).bytes()));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));  // half a second, but for hangs
}

}  // namespace
}  // namespace intaglio::pt2
