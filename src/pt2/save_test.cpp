#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "base/zip_reader.h"
#include "ir/json.h"
#include "pt2/model_json.h"
#include "testing/archive.h"
#include "testing/errors.h"

namespace intaglio::pt2 {
namespace {

using test::failure;
using test::load;
using test::model_json;
using test::replaced;
using test::small_archive;

class Save : public ::testing::Test {
 protected:
  Save() : folder_(std::filesystem::path(::testing::TempDir()) / ("pt2_save_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~Save() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path path(const std::string& name) const { return folder_ / name; }
  // Text of an entry, "nothing" when absent.
  static std::string entry(const std::filesystem::path& file, const std::string& name) {
    const auto mapped = MappedFile::open(file);
    const ZipReader zip(mapped->bytes());
    const ZipEntry* found = zip.find(name);
    if (found == nullptr) return "nothing";
    const auto bytes = zip.stored(*found);
    check_crc(*found, bytes);
    EXPECT_EQ(found->data_offset % 64, 0u) << name;
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  static std::string file_text(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  }
  std::filesystem::path folder_;
};

TEST_F(Save, AnUntouchedProgramIsTheSameAgain) {
  const ExportedProgram program = load(small_archive());
  save_exported_program(program, path("small.pt2"));
  const ExportedProgram again = load_exported_program(path("small.pt2"), {.verify_all_records = true});
  EXPECT_EQ(to_string(again), to_string(program));
  EXPECT_EQ(again.carried, program.carried);
  EXPECT_TRUE(bit_equal(again.state.find("fc.weight")->tensor, program.state.find("fc.weight")->tensor));
  EXPECT_EQ(entry(path("small.pt2"), "small/data/sample_inputs/model.pt"), "");  // was a pickle
  EXPECT_EQ(entry(path("small.pt2"), "small/extra/note.txt"), "hello");
  EXPECT_EQ(entry(path("small.pt2"), "small/archive_format"), "pt2");
  EXPECT_EQ(entry(path("small.pt2"), "small/archive_version"), "0");
  EXPECT_EQ(entry(path("small.pt2"), "small/.data/version"), "6\n");
  EXPECT_EQ(entry(path("small.pt2"), "small/.data/serialization_id"), "nothing");

  // The model's text: nothing lost, nothing added but defaults, Python's style.
  const std::string text = entry(path("small.pt2"), "small/models/model.json");
  EXPECT_EQ(json::Document(text).root().text(), text);
  EXPECT_NE(text.find(R"("novelty": [1, 2.5])"), std::string::npos);
  EXPECT_NE(text.find(R"("future": {"a": 1})"), std::string::npos);
  EXPECT_NE(text.find(R"("later": "kept")"), std::string::npos);
  EXPECT_NE(text.find(R"({"as_float": "Infinity"})"), std::string::npos);
  EXPECT_EQ(text.find("evil"), std::string::npos);

  save_exported_program(again, path("twice/../small_again.pt2").lexically_normal());
  std::filesystem::create_directories(path("other"));
  save_exported_program(again, path("other/small.pt2"));
  EXPECT_EQ(file_text(path("other/small.pt2")), file_text(path("small.pt2")));
}

TEST_F(Save, EveryKindOfArgumentIsWrittenBack) {
  const char* arguments[] = {
      R"("as_none": true)",
      R"("as_tensor": {"name": "x"})",
      R"("as_tensors": [{"name": "x"}, {"name": "c_k"}])",
      R"("as_tensors": [])",
      R"("as_optional_tensors": [{"as_tensor": {"name": "x"}}, {"as_none": true}])",
      R"("as_int": -3)",
      R"("as_ints": [1, 2])",
      R"("as_ints": [])",
      R"("as_float": 6.0)",
      R"("as_float": 1e-05)",
      R"("as_float": "-Infinity")",
      R"("as_float": "NaN")",
      R"("as_floats": [1.0, 2.5, "NaN"])",
      R"("as_bool": true)",
      R"("as_bools": [true, false])",
      R"("as_string": "a\u00e9\n\"")",
      R"("as_strings": ["a", ""])",
      R"("as_sym_int": {"as_name": "size"})",
      R"("as_sym_ints": [{"as_int": 4}, {"as_name": "twice"}])",
      R"("as_scalar_type": 13)",
      R"("as_memory_format": 2)",
      R"("as_layout": 7)",
      R"("as_device": {"type": "cuda", "index": 1})",
      R"("as_complex": {"real": 1.0, "imag": "Infinity"})",
      R"("as_nested_tensors": [[{"name": "x"}], []])",
      R"("as_int_lists": [[1], []])",
      R"("as_float_lists": [[1.5]])",
      R"("as_custom_obj": {"name": "o", "class_fqn": "C"})",
      R"("as_operator": "torch.ops.aten.add.Tensor")",
      R"("as_string_to_argument": {"k": {"as_int": 1}, "t": {"as_tensor": {"name": "x"}}})",
      R"("as_sym_floats": [{"as_float": 0.5}])",
      R"("as_sym_bools": [{"as_bool": true}])",
  };
  for (const char* argument : arguments) {
    const ExportedProgram program = load(small_archive(test::with_argument(argument)));
    save_exported_program(program, path("one.pt2"));
    EXPECT_NE(entry(path("one.pt2"), "one/models/model.json")
                  .find(std::string("{\"name\": \"other\", \"arg\": {") + argument + "}, \"kind\": 1}"),
              std::string::npos)
        << argument;
  }
}

TEST_F(Save, UnusedWeightsAreDropped) {
  ExportedProgram program = load(small_archive());
  Graph& graph = program.graph();
  Value* fresh = program.add_buffer("fresh", Tensor::of<float>({1, 2, 3, 4, 5, 6, 7, 8}, {4, 2}));
  graph.replace_all_uses(graph.find_value("p_w"), fresh);
  save_exported_program(program, path("dropped.pt2"));
  const ExportedProgram again = load_exported_program(path("dropped.pt2"));
  EXPECT_FALSE(again.state.contains("fc.weight"));
  EXPECT_TRUE(again.state.contains("fresh"));
  EXPECT_TRUE(again.state.contains("n"));  // nothing reads it, but it is written to
  EXPECT_EQ(again.graph().find_value("p_w"), nullptr);
  EXPECT_NE(program.graph().find_value("p_w"), nullptr);  // the program itself is not touched
}

TEST_F(Save, SharedStoragesAreWrittenOnceForEachType) {
  ExportedProgram program = load(small_archive());
  const Tensor base = Tensor::of<float>({1, 2, 3, 4, 5, 6, 7, 8}, {8});
  Value* first = program.add_buffer("first", base.view_as({4, 2}, {2, 1}, 0));
  Value* second = program.add_buffer("second", base.view_as({2}, {3}, 1));
  Value* third = program.add_buffer("third", Tensor(DType::int32, {8}, {1}, 0, base.storage()));
  Node& linear = *program.graph().find_value("linear")->producer();
  program.graph().set_argument(linear, "bias", second);
  program.graph().replace_uses_in(linear, program.graph().find_value("p_w"), first);
  program.graph().set_argument(*program.graph().find_value("add_")->producer(), "other", third);
  save_exported_program(program, path("shared.pt2"));
  const ExportedProgram again = load_exported_program(path("shared.pt2"));
  EXPECT_EQ(again.state.find("first")->tensor.storage(), again.state.find("second")->tensor.storage());
  EXPECT_NE(again.state.find("first")->tensor.storage(), again.state.find("third")->tensor.storage());
  EXPECT_EQ(again.state.find("second")->tensor.strides(), Sizes{3});
  EXPECT_EQ(again.state.find("second")->tensor.storage_offset(), 1);
}

TEST_F(Save, DialectFitsTheOpsThatAreLeft) {
  const auto dialect = [&](const ExportedProgram& program) {
    save_exported_program(program, path("dialect.pt2"));
    const std::string text = entry(path("dialect.pt2"), "dialect/models/model.json");
    return text.find(R"("verifiers": ["TRAINING"])") != std::string::npos ? "TRAINING"
           : text.find(R"("verifiers": ["ATEN"])") != std::string::npos   ? "ATEN"
                                                                          : "other";
  };
  ExportedProgram program = load(small_archive());
  EXPECT_STREQ(dialect(program), "TRAINING");
  program.carried[""].erase("verifiers");
  EXPECT_STREQ(dialect(program), "TRAINING");  // add_
  program.graph().set_op(*program.graph().find_value("add_")->producer(), Op::get("aten.add.Tensor"));
  EXPECT_STREQ(dialect(program), "ATEN");
  program.graph().set_op(*program.graph().find_value("relu")->producer(), Op::get("my.novel_.default"));
  EXPECT_STREQ(dialect(program), "TRAINING");
}

TEST_F(Save, StaleModuleSignaturesAreDropped) {
  ExportedProgram program = load(small_archive());
  save_exported_program(program, path("kept.pt2"));
  EXPECT_NE(entry(path("kept.pt2"), "kept/models/model.json").find(R"({"fqn": "fc", "signature": {"inputs")"), std::string::npos);
  program.graph().rename(program.graph().find_value("linear"), "renamed");
  save_exported_program(program, path("stale.pt2"));
  EXPECT_NE(entry(path("stale.pt2"), "stale/models/model.json").find(R"({"fqn": "fc", "signature": null})"), std::string::npos);
}

TEST_F(Save, AProgramMadeFromNothing) {
  ExportedProgram program;
  Value* x = program.graph().add_input(0, {TensorMeta::contiguous(DType::float32, {2, 3}), "x"});
  program.input_specs.push_back({InputSpec::Kind::user_input, x, "", true});
  Node& relu = program.graph().insert_before(nullptr, Op::get("aten.relu.default"), {{"self", x}}, {{x->meta(), "relu"}});
  program.graph().set_outputs({relu.output()});
  program.output_specs.push_back({});
  program.in_spec = {"builtins.tuple", "", {}, {{"builtins.tuple", "", {}, {TreeSpec{}}}, {"builtins.dict", "", {}, {}}}};
  program.out_spec = {"builtins.tuple", "", {}, {TreeSpec{}}};
  save_exported_program(program, path("fresh.pt2"));
  EXPECT_EQ(to_string(load_exported_program(path("fresh.pt2"))), to_string(program));
  EXPECT_EQ(entry(path("fresh.pt2"), "fresh/data/sample_inputs/model.pt"), "");
}

TEST_F(Save, RootNamesAreMadeFit) {
  const ExportedProgram program = load(small_archive());
  for (const auto& [file, root] :
       {std::pair("a b.pt2", "a b"), std::pair("é.pt2", "model"), std::pair("back\\slash.pt2", "model"), std::pair("none", "none")}) {
    save_exported_program(program, path(file));
    EXPECT_EQ(entry(path(file), std::string(root) + "/archive_format"), "pt2") << file;
  }
}

TEST_F(Save, AFailureLeavesTheTargetAlone) {
  test::TestZip zip = small_archive();
  zip.at("m/data/weights/weight_0").crc = 5;
  const std::string bytes = zip.bytes();
  std::ofstream(path("damaged.pt2"), std::ios::binary) << bytes;
  std::ofstream(path("target.pt2")) << "before";
  const ExportedProgram program = load_exported_program(path("damaged.pt2"));
  EXPECT_NE(failure([&] { save_exported_program(program, path("target.pt2")); }).find("is damaged"), std::string::npos);
  EXPECT_EQ(file_text(path("target.pt2")), "before");
  size_t files = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(folder_)) ++files;
  EXPECT_EQ(files, 2u);
  EXPECT_NE(failure([&] { save_exported_program(program, path("missing/target.pt2")); }).find("missing/target.pt2"), std::string::npos);
}

TEST(Target, NamesGoBothWays) {
  for (const char* target : {"torch.ops.aten.conv2d.default", "torch.ops.higher_order.cond", "_operator.mul", "math.floor", "torch.sym_max",
                             "torch.ops.quantized_decomposed.quantize_per_tensor.default", "torch.ops.math.floor.default"})
    EXPECT_EQ(target_of_op_name(op_name_of_target(target)), target);
  EXPECT_EQ(op_name_of_target("torch.ops.aten.conv2d.default"), "aten.conv2d.default");
  EXPECT_EQ(op_name_of_target("torch.ops.higher_order.cond"), "higher_order.cond");
  EXPECT_EQ(op_name_of_target("_operator.mul"), "_operator.mul");
}

}  // namespace
}  // namespace intaglio::pt2
