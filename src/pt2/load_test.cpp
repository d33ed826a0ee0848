#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "testing/archive.h"
#include "testing/errors.h"

namespace intaglio::pt2 {
namespace {

using test::constants_json;
using test::failure;
using test::load;
using test::model_json;
using test::replaced;
using test::small_archive;
using test::TestZip;
using test::weights_json;

TEST(Load, ReadsEveryPartOfTheModel) {
  const ExportedProgram program = load(small_archive());
  verify(program);
  EXPECT_EQ(to_string(program),
            "range 2*s77: 4..\n"
            "range s77: 2..128 hint 3\n"
            "parameter %p_w: f32[4, 2] 'fc.weight' = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]\n"
            "buffer %b_n: i64[] 'n' = 41\n"
            "constant %c_k: f32[4] 'k' = [0.5, 1.5, 2.5, 3.5]\n"
            "user %x: f32[s77, 2]\n"
            "literal %limit: literal = inf\n"
            "%size: int(s77) = aten.sym_size.int(self=%x, dim=0)\n"
            "%twice: int(2*s77) = _operator.mul(a=%size, b=2)\n"
            "%linear: f32[s77, 4] = aten.linear.default(input=%x, weight=%p_w) in 'fc' (torch.nn.modules.linear.Linear)\n"
            "%relu: f32[s77, 4] = aten.relu.default(self=%linear)\n"
            "%part_0: f32[2], %part_1: f32[2] = aten.split.Tensor(self=%c_k, split_size=2)\n"
            "%view: f32[2*s77, 2] = aten.view.default(self=%relu, size=[%twice, 2])\n" +
                to_string(*program.graph().find_value("branch_0")->producer()) + "\n" +
                "%add_: i64[] = aten.add_.Tensor(self=%b_n, other=1.5)\n"
                "output mutates buffer %add_ 'n'\n"
                "output user %relu\n"
                "output user %size\n"
                "output user None\n"
                "output user %part_1\n"
                "output user %branch_0\n");
  const Node& linear = *program.graph().find_value("linear")->producer();
  EXPECT_EQ(layer_name(linear), "fc");
  EXPECT_EQ(linear.carried.at("novelty"), "[1, 2.5]");
  EXPECT_EQ(program.graph().find_value("x")->sizes()[0].hint(), 3);
  EXPECT_EQ(program.in_spec.children[1].keys, std::vector<std::string>{"limit"});
  EXPECT_EQ(program.range_constraints.at("s77").max, 128);
  EXPECT_EQ(program.range_constraints.at("2*s77").max, std::nullopt);
  EXPECT_EQ(program.carried.at("").at("later"), "\"kept\"");
  EXPECT_EQ(program.carried.at("").at("guards_code"), "[\"L['x'].size()[0] <= 128\"]");  // code is not carried
  EXPECT_EQ(program.carried.at("graph_module").at("future"), "{\"a\": 1}");
  EXPECT_EQ(program.carried_files.size(), 1u);
  EXPECT_EQ(program.left_out_files, (std::vector<std::string>{"data/sample_inputs/model.pt"}));
  EXPECT_EQ(program.source, "test.pt2");
}

TEST(Load, WeightsAreViewsOfTheFile) {
  auto bytes = std::make_shared<std::string>(small_archive().bytes());
  // The allocator need not align; a mapped file does.
  auto aligned = std::make_shared<std::vector<std::byte>>(bytes->size() + 64);
  std::byte* start = aligned->data() + (64 - reinterpret_cast<uintptr_t>(aligned->data()) % 64) % 64;
  std::memcpy(start, bytes->data(), bytes->size());
  const ExportedProgram program = load_exported_program(std::span(start, bytes->size()), aligned, "test.pt2");
  const Tensor& weight = program.state.find("fc.weight")->tensor;
  EXPECT_EQ(weight.span<float>()[7], 8.0f);
  EXPECT_GE(static_cast<const std::byte*>(weight.raw()), start);
  EXPECT_LT(static_cast<const std::byte*>(weight.raw()), start + bytes->size());
  EXPECT_EQ(program.state.find("n")->tensor.item_as_int(), 41);
  EXPECT_EQ(program.constants.find("k")->tensor.span<float>()[3], 3.5f);
}

TEST(Load, DeflatedAndUnalignedRecordsAreCopied) {
  TestZip zip = small_archive();
  for (auto& entry : zip.entries) entry.deflate = true;
  EXPECT_EQ(load(zip).state.find("fc.weight")->tensor.span<float>()[7], 8.0f);
  for (size_t shift = 0; shift < 16; ++shift) {
    const std::string bytes = small_archive().bytes();
    auto owned = std::make_shared<std::string>(std::string(shift, ' ') + bytes);
    const ExportedProgram program = load_exported_program(std::as_bytes(std::span(owned->data() + shift, bytes.size())), owned, "test.pt2");
    EXPECT_EQ(program.state.find("fc.weight")->tensor.span<float>()[7], 8.0f);
  }
}

TEST(Load, RecordsAreCheckedAtFirstUse) {
  TestZip zip = small_archive();
  zip.at("m/data/weights/weight_0").crc = 5;
  auto bytes = std::make_shared<std::vector<std::byte>>();
  const std::string text = zip.bytes();
  auto aligned = std::make_shared<std::vector<std::byte>>(text.size() + 64);
  std::byte* start = aligned->data() + (64 - reinterpret_cast<uintptr_t>(aligned->data()) % 64) % 64;
  std::memcpy(start, text.data(), text.size());
  const ExportedProgram program = load_exported_program(std::span(start, text.size()), aligned, "test.pt2");
  EXPECT_EQ(program.state.find("n")->tensor.item_as_int(), 41);
  EXPECT_THROW(program.state.find("fc.weight")->tensor.raw(), Error);
  EXPECT_THROW(program.state.find("fc.weight")->tensor.raw(), Error);
  EXPECT_NE(failure([&] { load(text, {.verify_all_records = true}); }).find("weight_0' is damaged"), std::string::npos);
}

TEST(Load, SharedRecordsShareTheStorage) {
  const std::string model = replaced(model_json, R"("tensor_constant_name": "k")", R"("tensor_constant_name": "k")");
  const std::string weights = replaced(weights_json(), R"("path_name": "weight_1")", R"("path_name": "weight_0")");
  const ExportedProgram program = load(small_archive(model, weights));
  EXPECT_EQ(program.state.find("fc.weight")->tensor.storage(), program.state.find("n")->tensor.storage());
}

TEST(Load, StridesAndOffsetsOfViews) {
  const auto with = [](const char* strides, const char* offset) {
    return weights_json(fmt::format(
        R"("dtype": 7, "sizes": [{{"as_int": 4}}, {{"as_int": 2}}], "requires_grad": true, "device": {{"type": "cpu", "index": null}}, "strides": {}, "storage_offset": {{"as_int": {}}}, "layout": 7)",
        strides, offset));
  };
  const ExportedProgram program = load(small_archive(model_json, with(R"([{"as_int": 1}, {"as_int": 4}])", "0")));
  EXPECT_EQ(program.state.find("fc.weight")->tensor.strides(), (Sizes{1, 4}));
  EXPECT_EQ(program.graph().find_value("p_w")->meta().strides[1].value(), 4);  // the stored strides count
  EXPECT_EQ(
      load(small_archive(model_json, with(R"([{"as_int": 0}, {"as_int": 1}])", "6"))).state.find("fc.weight")->tensor.storage_offset(), 6);
  for (const auto& [strides, offset] :
       {std::pair(R"([{"as_int": 2}, {"as_int": 1}])", "1"), std::pair(R"([{"as_int": 3}, {"as_int": 1}])", "0"),
        std::pair(R"([{"as_int": -2}, {"as_int": 1}])", "0"), std::pair(R"([{"as_int": 2}, {"as_int": 1}])", "-1"),
        std::pair(R"([{"as_int": 9223372036854775807}, {"as_int": 1}])", "0"),
        std::pair(R"([{"as_int": 2}, {"as_int": 1}])", "9223372036854775807")})
    EXPECT_THROW(load(small_archive(model_json, with(strides, offset))), Error) << strides << offset;
}

struct Edit {
  const char* from;
  const char* to;
  const char* message;
};

void expect_failures(std::span<const Edit> edits, const std::function<std::string(const Edit&)>& attempt) {
  for (const Edit& edit : edits) {
    const std::string found = attempt(edit);
    EXPECT_NE(found.find("test.pt2: "), std::string::npos) << edit.to << "\n" << found;
    EXPECT_NE(found.find(edit.message), std::string::npos) << edit.to << "\n" << found;
    EXPECT_EQ(found.find("bug: "), std::string::npos) << edit.to << "\n" << found;
    EXPECT_EQ(found.find('\n'), std::string::npos) << found;
  }
}

TEST(Load, ErrorsInTheModelNameThePlaceAndTheCause) {
  const Edit edits[] = {
      {R"("major": 8)", R"("major": 9)", "models/model.json: schema version 9.20 is newer"},
      {R"("major": 8)", R"("major": 7)", "is older"},
      {R"("major": 8)", R"("major": "8")", "'major' must be a 64-bit integer, but a string stands there"},
      {R"("schema_version")", R"("schema_versio")", "the field 'schema_version' is missing"},
      {R"({"graph_module")", R"({"later": 1, "graph_module")", "the key 'later' stands twice"},
      {R"("as_float": 1.5)", R"("as_float": NaN)", "not valid JSON"},
      {R"("as_float": 1.5)", R"("as_float": 1.5, "as_none": null)",
       "node 7 (aten.add_.Tensor): argument 'other': 'argument' must have exactly one field that says its kind, it has 2"},
      {R"("as_float": 1.5)", R"("as_flaot": 1.5)", "an argument of the unknown kind 'as_flaot'"},
      {R"({"as_int": 0}, "kind": 1}], "outputs": [{"as_sym_int")", R"({"as_int": 0.0}, "kind": 1}], "outputs": [{"as_sym_int")",
       "'integer' must be a 64-bit integer, but a number stands there"},
      {R"("arg": {"as_tensor": {"name": "linear"}})", R"("arg": {"as_tensor": {"name": "view"}})",
       "node 3 (aten.relu.default): argument 'self': 'view' is used, but no graph input and no earlier node defines it"},
      {R"("arg": {"as_tensor": {"name": "linear"}})", R"("arg": {"as_tensor": {"name": "relu"}})", "'relu' is used, but"},
      {R"("arg": {"as_tensor": {"name": "linear"}})", R"("arg": {"as_tensor": {"name": "size"}})",
       "'size' is used as a tensor and is none"},
      {R"("arg": {"as_sym_int": {"as_name": "size"}})", R"("arg": {"as_sym_int": {"as_name": "x"}})",
       "'x' is used as a symbol and is none"},
      {R"("outputs": [{"as_tensor": {"name": "relu"}}], "metadata")", R"("outputs": [{"as_tensor": {"name": "linear"}}], "metadata")",
       "two values are called 'linear'"},
      {R"({"as_tensors": [{"name": "part_0"}, {"name": "part_1"}]})", R"({"as_tensors": [{"name": "part_1"}, {"name": "part_1"}]})",
       "two values are called 'part_1'"},
      {R"("name": "split"})", R"("name": "relu"})", "'relu'"},
      {R"("part_0": {"dtype")", R"("part_9": {"dtype")", "tensor 'part_0' has no entry in tensor_values"},
      {R"("torch.ops.aten.relu.default")", R"("torch.ops.aten.relu")", "operator 'torch.ops.aten.relu' is not known"},
      {R"("torch.ops.aten.relu.default")", R"("torch.hub.load")", "operator 'torch.hub.load' is not known"},
      {R"("torch.ops.aten.relu.default")", R"("os.system")", "is not known"},
      {R"("torch.ops.aten.relu.default")", R"("torch.ops.aten.re lu.default")", "is not known"},
      {R"("torch.ops.aten.relu.default")", R"("torch.ops.aten..default")", "is not known"},
      {R"("torch.ops.aten.relu.default")", R"("")", "is not known"},
      {R"("torch.ops.aten.relu.default", "inputs": [{"name": "self")", R"("torch.ops.aten.relu.default", "inputs": [{"name": "input")",
       "the operator has no argument 'input'"},
      {R"({"name": "dim", "arg")", R"({"name": "self", "arg")", "argument 'self' is given twice"},
      {R"(, {"name": "dim", "arg": {"as_int": 0}, "kind": 1})", "", "the required argument 'dim' is missing"},
      {R"({"name": "dim", "arg": {"as_int": 0}, "kind": 1})", R"({"name": "dim", "arg": {"as_int": 0}, "kind": 3})", "argument kind 3"},
      {R"("outputs": [{"as_tensor": {"name": "relu"}}], "metadata")", R"("outputs": [], "metadata")",
       "the operator returns 1 results, 0 are named"},
      {R"("outputs": [{"as_tensor": {"name": "relu"}}], "metadata")", R"("outputs": [{"as_device": {"type": "cpu"}}], "metadata")",
       "an output of kind 'as_device'"},
      {R"("metadata": {}, "name": "relu")", R"("metadata": {"stack_trace": 4}, "name": "relu")", "'stack_trace' must be a string"},
      {R"("outputs": [{"as_tensor": {"name": "b"}}], "nodes")", R"("outputs": [{"as_tensor": {"name": "linear"}}], "nodes")",
       "node 6 (higher_order.cond): argument 1: sub-graph 'yes': graph output 0: 'linear' is used"},
      {R"("dtype": 7)", R"("dtype": 99)", "element type number 99"},
      {R"("dtype": 7)", R"("dtype": 14)", "element type number 14"},
      {R"("dtype": 7)", R"("dtype": 0)", "element type number 0"},
      {R"("layout": 7)", R"("layout": 77)", "layout number 77"},
      {R"("p_w": {"dtype": 7, "sizes": [{"as_int": 4})", R"("p_w": {"dtype": 7, "sizes": [{"as_int": -4})",
       "tensor_values of 'p_w': 'sizes' holds the negative number -4"},
      {R"("p_w": {"dtype": 7, "sizes": [{"as_int": 4}, {"as_int": 2}])",
       R"("p_w": {"dtype": 7, "sizes": [{"as_int": 4611686018427387904}, {"as_int": 4}])", "overflows"},
      {R"("p_w": {"dtype": 7, "sizes": [{"as_int": 4}, {"as_int": 2}])",
       R"("p_w": {"dtype": 7, "sizes": [{"as_int": 4611686018427387904}, {"as_int": 1}])", "overflows"},
      {R"("p_w": {"dtype": 7, "sizes": [{"as_int": 4}, {"as_int": 2}])", R"("p_w": {"dtype": 7, "sizes": [{"as_int": 4}])",
       "1 sizes but 2 strides"},
      {R"("p_w": {"dtype": 7)", R"("p_w": {"dtype": 2)", "cannot require gradients"},
      {R"("c_k": {"dtype": 7)", R"("c_k": {"dtype": 6)", "the graph takes f16[4] for 'k', but the stored tensor is float32"},
      {R"("b_n": {"dtype": 5)", R"("b_n": {"dtype": 4)", "output spec 0: it writes i64[] to 'n', which is i32[]"},
      {R"~("expr_str": "Symbol('s77', positive=True, integer=True)")~", R"~("expr_str": "__import__('os').system('x')")~",
       "size expression"},
      {R"~("sym_int_values": {"size": {"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)")~",
       R"~("sym_int_values": {"size": {"as_expr": {"expr_str": "exec(1)")~", "value of 'size': size expression"},
      {R"~("range_constraints": {"s77")~", R"~("range_constraints": {"print()")~", "range_constraints of 'print()'"},
      {R"("min_val": 2, "max_val": 128)", R"("min_val": 200, "max_val": 128)", "the range 200 to 128 is empty"},
      {R"("parameter_name": "fc.weight")", R"("parameter_name": "fc.other")",
       "model_weights_config.json: the signature names 'fc.other', but it has no entry"},
      {R"({"parameter": {"arg": {"name": "p_w"}, "parameter_name": "fc.weight"}}, )", "",
       "signature: the graph has 5 inputs, the signature 4"},
      {R"({"parameter": {"arg": {"name": "p_w"})", R"({"parameter": {"arg": {"name": "b_n"})",
       "input spec 0: the graph has 'p_w' at this place, the signature 'b_n'"},
      {R"({"parameter": {"arg")", R"({"paramter": {"arg")", "a spec of the unknown kind 'paramter'"},
      {R"({"tensor_constant": {"arg": {"name": "c_k"}, "tensor_constant_name": "k"}})",
       R"({"buffer": {"arg": {"name": "c_k"}, "buffer_name": "n", "persistent": true}})", "buffer 'n' is listed twice"},
      {R"({"constant_input": {"name": "limit", "value": {"as_float": "Infinity"}}})",
       R"({"parameter": {"arg": {"name": "limit"}, "parameter_name": "q"}})", "differ in whether"},
      {R"({"constant_input": {"name": "limit")", R"({"constant_input": {"name": "x")", "two values are called 'x'"},
      {R"({"parameter": {"arg": {"name": "p_w"}, "parameter_name": "fc.weight"}})",
       R"({"buffer": {"arg": {"name": "p_w"}, "buffer_name": "fc.weight", "persistent": true}})",
       "differ in whether 'fc.weight' is a parameter"},
      {R"({"buffer_mutation": {"arg": {"name": "add_"}, "buffer_name": "n"}})",
       R"({"buffer_mutation": {"arg": {"name": "add_"}, "buffer_name": "zz"}})", "writes to 'zz', which is no input of that kind"},
      {R"({"user_output": {"arg": {"as_tensor": {"name": "relu"}}}})", R"({"user_output": {"arg": {"as_tensor": {"name": "view"}}}})",
       "output spec 1: the graph returns 'relu' at this place, the signature says 'view'"},
      {R"({"user_output": {"arg": {"as_none": true}}}, )", "", "the graph has 6 outputs, the signature 5"},
      {R"("module_call_graph": [{"fqn": "")", R"("module_call_graph": [{"fqn": "m")", "does not begin with the entry of the whole model"},
      {R"("in_spec": "[1, {)", R"("in_spec": "[7, {)", "in_spec: tree spec: protocol 7"},
      {R"(\"children_spec\": [{\"type\": \"builtins.tuple\")",
       R"(\"children_spec\": [{\"type\": null, \"context\": null, \"children_spec\": []}, {\"type\": \"builtins.tuple\")",
       "in_spec has 3 leaves, the signature 2 user inputs"},
  };
  expect_failures(edits, [](const Edit& edit) { return failure([&] { load(small_archive(replaced(model_json, edit.from, edit.to))); }); });
}

TEST(Load, ErrorsInTheWeightTable) {
  const Edit edits[] = {
      {R"("path_name": "weight_0")", R"("path_name": "../weight_0")", "must be one plain file name"},
      {R"("path_name": "weight_0")", R"("path_name": "/etc/passwd")", "must be one plain file name"},
      {R"("path_name": "weight_0")", R"("path_name": "")", "must be one plain file name"},
      {R"("path_name": "weight_0")", R"("path_name": "weight_7")", "'fc.weight': there is no entry 'data/weights/weight_7'"},
      {R"("use_pickle": false)", R"("use_pickle": true)", "unwrap_tensor_subclass"},
      {R"("type": "cpu")", R"("type": "meta")", "meta device"},
      {R"("layout": 7)", R"("layout": 2)", "not dense"},
      {R"("is_param": true)", R"("is_param": false)", "differ in whether 'fc.weight' is a parameter"},
      {R"("is_param": true, )", "", "the field 'is_param' is missing"},
      {R"([{"as_int": 4}, {"as_int": 2}])", R"([{"as_int": 4}, {"as_int": 3}])", "reaches past its 32 bytes"},
      {R"([{"as_int": 4}, {"as_int": 2}])", R"([{"as_int": 2}, {"as_int": 2}])", "the graph takes f32[4, 2] for 'fc.weight'"},
      {R"~([{"as_int": 4}, {"as_int": 2}])~", R"~([{"as_expr": {"expr_str": "s77", "hint": null}}, {"as_int": 2}])~", "must be numbers"},
      {R"("dtype": 7)", R"("dtype": 11)", "reaches past"},
      {R"("config")", R"("konfig")", "the field 'config' is missing"},
      {R"({"config": {"fc.weight")", R"({"config": {"n": 0, "fc.weight")", "the key 'n' stands twice"},
  };
  expect_failures(edits, [](const Edit& edit) {
    return failure([&] { load(small_archive(model_json, replaced(weights_json(), edit.from, edit.to))); });
  });
}

TEST(Load, ErrorsInTheArchive) {
  const std::tuple<const char*, std::function<void(TestZip&)>, const char*> rows[] = {
      {"short weights", [](TestZip& zip) { zip.at("m/data/weights/weight_0").data.resize(28); }, "reaches past its 28 bytes"},
      {"odd weights", [](TestZip& zip) { zip.at("m/data/weights/weight_0").data += "x"; }, "no whole number of float32 elements"},
      {"empty weights", [](TestZip& zip) { zip.at("m/data/weights/weight_0").data = ""; }, "reaches past its 0 bytes"},
      {"damaged JSON", [](TestZip& zip) { zip.at("m/models/model.json").crc = 3; }, "model.json' is damaged"},
      {"other format", [](TestZip& zip) { zip.at("m/archive_format").data = "pt3"; }, "not a .pt2 archive"},
      {"no format", [](TestZip& zip) { std::erase_if(zip.entries, [](auto& e) { return e.name == "m/archive_format"; }); },
       "not a .pt2 archive"},
      {"other version", [](TestZip& zip) { zip.at("m/archive_version").data = "1"; }, "archive version '1'"},
      {"newline", [](TestZip& zip) { zip.at("m/archive_version").data = "0\n"; }, "archive version"},
      {"other file version", [](TestZip& zip) { zip.at("m/.data/version").data = "11\n"; }, "file format 11"},
      {"no number", [](TestZip& zip) { zip.at("m/.data/version").data = "six"; }, "is no number"},
      {"no file version", [](TestZip& zip) { std::erase_if(zip.entries, [](auto& e) { return e.name == "m/.data/version"; }); },
       "there is no entry 'version'"},
      {"big endian", [](TestZip& zip) { zip.at("m/byteorder").data = "big"; }, "big-endian"},
      {"second root", [](TestZip& zip) { zip.add("n/stray", ""); }, "outside the root folder 'm/'"},
      {"no root", [](TestZip& zip) { zip.add("stray", ""); }, "outside the root folder"},
      {"no model", [](TestZip& zip) { std::erase_if(zip.entries, [](auto& e) { return e.name == "m/models/model.json"; }); },
       "models/model.json: the entry is missing"},
      {"no weights table",
       [](TestZip& zip) { std::erase_if(zip.entries, [](auto& e) { return e.name.ends_with("weights_config.json"); }); },
       "there is no entry 'data/weights/model_weights_config.json'"},
      {"no constants table",
       [](TestZip& zip) { std::erase_if(zip.entries, [](auto& e) { return e.name.ends_with("constants_config.json"); }); },
       "there is no entry"},
      {"legacy weights", [](TestZip& zip) { zip.add("m/data/weights/model.pt", "PK"); }, "one pickle"},
      {"legacy constants", [](TestZip& zip) { zip.add("m/data/constants/model.pt", "PK"); }, "one pickle"},
      {"flat",
       [](TestZip& zip) {
         zip.entries.clear();
         zip.add("version", "4");
         zip.add("serialized_exported_program.json", "{}");
       },
       "flat layout"},
      {"torch.save",
       [](TestZip& zip) {
         zip.entries.clear();
         zip.add("archive/data.pkl", "");
       },
       "torch.save"},
      {"TorchScript",
       [](TestZip& zip) {
         zip.entries.clear();
         zip.add("m/data.pkl", "");
         zip.add("m/constants.pkl", "");
       },
       "TorchScript"},
      {"nothing", [](TestZip& zip) { zip.entries.clear(); }, "no entries"},
      {"other zip",
       [](TestZip& zip) {
         zip.entries.clear();
         zip.add("a.txt", "");
       },
       "no root folder"},
      {"JSON depth", [](TestZip& zip) { zip.at("m/models/model.json").data = std::string(100000, '[') + std::string(100000, ']'); },
       "nested deeper"},
      {"JSON list", [](TestZip& zip) { zip.at("m/models/model.json").data = "[]"; }, "must be an object, but a list"},
      {"JSON cut",
       [](TestZip& zip) {
         auto& data = zip.at("m/models/model.json").data;
         data.resize(data.size() / 2);
       },
       "not valid JSON"},
  };
  for (const auto& [name, change, message] : rows) {
    TestZip zip = small_archive();
    change(zip);
    const std::string found = failure([&] { load(zip); });
    EXPECT_NE(found.find(message), std::string::npos) << name << ": " << found;
    EXPECT_EQ(found.find("bug: "), std::string::npos) << name << ": " << found;
  }
}

TEST(Load, AcceptsWhatTorchAccepts) {
  const std::function<void(TestZip&)> changes[] = {
      [](TestZip& zip) {
        std::erase_if(zip.entries, [](auto& e) { return e.name == "m/byteorder" || e.name == "m/.data/serialization_id"; });
      },
      [](TestZip& zip) { zip.at("m/.data/version").data = "3\n"; },
      [](TestZip& zip) { zip.at("m/.data/version").name = zip.at("m/.data/version").local_name = "m/version"; },
      [](TestZip& zip) { zip.at("m/data/sample_inputs/model.pt").data = ""; },
      [](TestZip& zip) { zip.add("m/unknown/file.bin", "?"); },
      [](TestZip& zip) { zip.add("m/data/weights/weight_99", "unused"); },
      [](TestZip& zip) { zip.at("m/data/weights/weight_0").data += std::string(64, 'x'); },
      [](TestZip& zip) { std::swap(zip.entries[0], zip.entries[5]); },
  };
  for (const auto& change : changes) {
    TestZip zip = small_archive();
    change(zip);
    EXPECT_EQ(failure([&] { load(zip); }), "no error");
  }
  const Edit edits[] = {
      {R"("minor": 20)", R"("minor": 99)", ""},
      {R"("as_float": 1.5)", R"("as_float": 6)", ""},
      {R"("metadata": {}, "name": "relu"})", R"("metadata": {}, "name": null})", ""},
      {R"("metadata": {}, "name": "relu"})", R"("metadata": {}})", ""},
      {R"(null, "name": "linear")", R"(null, "name": "a ué, def")", ""},
      {R"(, "sym_float_values": {})", "", ""},
      {R"("hint": {"as_int": 3})", R"("hint": null)", ""},
      {R"("opset_version": {"aten": 10}, )", R"("opset_version": {}, )", ""},
      {R"("torch.ops.aten.relu.default")", R"("torch.ops.my.novel.default")", ""},
      {R"("index": null)", R"("index": 0)", ""},
  };
  for (const Edit& edit : edits)
    EXPECT_EQ(failure([&] { verify(load(small_archive(replaced(model_json, edit.from, edit.to)))); }), "no error") << edit.to;
}

// PyTorch before 2.11 writes no names of nodes: one with a list or a tuple of one must not take its element's.
TEST(Load, NodesWithoutNamesGetTheirOwn) {
  std::string model = model_json;
  for (const char* name : {R"(, "name": "size"})", R"(, "name": "split"})", R"(, "name": "branch"})", R"({}, "name": "relu"})"})
    model = replaced(model, name, name[2] == '"' ? "}" : "{}}");
  model = replaced(model, R"([{"name": "part_0"}, {"name": "part_1"}])", R"([{"name": "part_1"}])");
  // What an unnamed node would be called by its operator.
  for (int i = 0; i < 2; ++i) model = replaced(model, R"("name": "view")", R"("name": "split")");
  model = replaced(model, R"("view": {"dtype")", R"("split": {"dtype")");
  const ExportedProgram program = load(small_archive(model));
  verify(program);
  const auto node_of = [&](const char* value) { return program.graph().find_value(value)->producer()->name(); };
  EXPECT_EQ(node_of("relu"), "relu");
  EXPECT_EQ(node_of("part_1"), "split_1");
  EXPECT_EQ(node_of("branch_0"), "cond");
}

TEST(Load, KeepsIntegersAndFloatsApart) {
  const auto other = [](const char* text) {
    const ExportedProgram program = load(small_archive(replaced(model_json, R"("as_float": 1.5)", text)));
    return *program.graph().find_value("add_")->producer()->find("other");
  };
  EXPECT_EQ(*other(R"("as_float": 6)").get_if<double>(), 6.0);
  EXPECT_EQ(*other(R"("as_int": 9223372036854775807)").get_if<int64_t>(), INT64_MAX);
  EXPECT_TRUE(std::isnan(*other(R"("as_float": "NaN")").get_if<double>()));
  EXPECT_EQ(*other(R"("as_float": "-Infinity")").get_if<double>(), -INFINITY);
  EXPECT_TRUE(other(R"("as_bool": true)").is<bool>());
}

TEST(Load, ReadsEveryKindOfArgument) {
  const std::tuple<const char*, const char*> rows[] = {
      {R"("as_none": true)", "None"},
      {R"("as_tensor": {"name": "x"})", "%x"},
      {R"("as_tensors": [{"name": "x"}, {"name": "c_k"}])", "[%x, %c_k]"},
      {R"("as_optional_tensors": [{"as_tensor": {"name": "x"}}, {"as_none": true}])", "[%x, None]"},
      {R"("as_optional_tensor": {"as_tensor": {"name": "x"}})", "%x"},
      {R"("as_optional_tensor": {"as_none": true})", "None"},
      {R"("as_ints": [1, 2])", "[1, 2]"},
      {R"("as_ints": [])", "[]"},
      {R"("as_floats": [1, 2.5, "NaN"])", ""},
      {R"("as_bools": [true, false])", "[True, False]"},
      {R"("as_string": "a")", ""},
      {R"("as_strings": ["a"])", ""},
      {R"("as_sym_int": {"as_name": "size"})", "%size"},
      {R"("as_sym_int": {"as_int": 4})", "4"},
      {R"("as_sym_ints": [{"as_int": 4}, {"as_int": 5}])", "[4, 5]"},
      {R"("as_sym_bool": {"as_bool": true})", "True"},
      {R"("as_sym_float": {"as_float": 0.5})", "0.5"},
      {R"("as_sym_floats": [{"as_float": 0.5}])", "[0.5]"},
      {R"("as_sym_bools": [{"as_bool": true}])", "[True]"},
      {R"("as_scalar_type": 13)", ""},
      {R"("as_memory_format": 2)", ""},
      {R"("as_layout": 7)", ""},
      {R"("as_device": {"type": "cpu", "index": null})", ""},
      {R"("as_complex": {"real": 1.0, "imag": "Infinity"})", ""},
      {R"("as_nested_tensors": [[{"name": "x"}], []])", ""},
      {R"("as_int_lists": [[1], []])", ""},
      {R"("as_float_lists": [[1.5]])", ""},
      {R"("as_custom_obj": {"name": "o", "class_fqn": "C"})", ""},
      {R"("as_operator": "torch.ops.aten.add.Tensor")", ""},
      {R"("as_string_to_argument": {"k": {"as_int": 1}, "t": {"as_tensor": {"name": "x"}}})", ""},
  };
  for (const auto& [text, printed] : rows) {
    const ExportedProgram program = load(small_archive(test::with_argument(text)));
    verify(program);
    const Argument& argument = *program.graph().find_value("add_")->producer()->find("other");
    if (*printed != 0) { EXPECT_EQ(to_string(argument), printed) << text; }
  }
  for (const char* text : {R"("as_none": false)", R"("as_tensors": {"name": "x"})", R"("as_ints": [1, 2.0])", R"("as_ints": [true])",
                           R"("as_scalar_type": 99)", R"("as_memory_format": 9)", R"("as_optional_tensors": [{"name": "x"}])",
                           R"("as_int": "1")", R"("as_string": 1)", R"("as_sym_int": {})", R"("as_graph": {"name": "g", "graph": {}})",
                           R"("as_sym_ints": [{"as_name": "zz"}])", R"("as_int": 9223372036854775808)"})
    EXPECT_THROW(load(small_archive(test::with_argument(text))), Error) << text;
}

TEST(Load, DeepSubgraphsAreLimited) {
  // Graph in graph in graph: refused by the JSON depth limit long before the stack ends.
  std::string inner = R"({"inputs": [], "outputs": [], "nodes": [], "tensor_values": {}})";
  for (int i = 0; i < 1000; ++i)
    inner =
        R"({"inputs": [], "outputs": [], "tensor_values": {}, "nodes": [{"target": "torch.ops.higher_order.cond", "inputs": [{"name": "", "arg": {"as_graph": {"name": "g", "graph": )" +
        inner + R"(}}, "kind": 1}], "outputs": [], "metadata": {}}]})";
  const std::string model = replaced(model_json, R"("as_float": 1.5)", R"("as_graph": {"name": "g", "graph": )" + inner + "}");
  EXPECT_NE(failure([&] { load(small_archive(model)); }).find("nested deeper"), std::string::npos);
}

TEST(Load, MissingFilesAndFoldersAreNamed) {
  EXPECT_NE(failure([] { load_exported_program("/nowhere/at all.pt2"); }).find("bad input: /nowhere/at all.pt2: no such file"),
            std::string::npos);
  EXPECT_NE(failure([] { load_exported_program("/tmp"); }).find("is a directory"), std::string::npos);
}

}  // namespace
}  // namespace intaglio::pt2
