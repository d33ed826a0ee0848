// Archives made in memory for tests, right ones and wrong ones.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <zlib.h>

#include <intaglio/error.h>
#include <intaglio/pt2.h>

#include "pt2/zip_format.h"

namespace intaglio::pt2::testing {

struct TestEntry {
  std::string name;
  std::string data;
  bool deflate = false;
  // What the headers say; wrong on purpose in some tests.
  std::string local_name = name;
  uint16_t flags = zip::flag_utf8;
  std::optional<uint16_t> method = {};
  std::optional<uint32_t> crc = {};
  std::optional<uint64_t> size = {};
  std::optional<uint64_t> compressed_size = {};
  std::optional<uint32_t> header_offset = {};
  uint16_t disk = 0;
  bool descriptor = false;  // sizes behind the data, zeros in the local header
  bool zip64 = false;       // sizes and offset in the 64-bit field
};

struct TestZip {
  std::vector<TestEntry> entries;
  bool end64 = false;
  std::string prefix, comment, trailing;
  // Edits the directory numbers before they are written: offset, size, count.
  std::function<void(uint64_t&, uint64_t&, uint64_t&)> directory = {};

  TestEntry& add(std::string name, std::string data) {
    TestEntry entry;
    entry.name = entry.local_name = std::move(name);
    entry.data = std::move(data);
    entries.push_back(std::move(entry));
    return entries.back();
  }
  TestEntry& at(const std::string& name) {
    for (TestEntry& entry : entries)
      if (entry.name == name) return entry;
    throw std::out_of_range(name);
  }

  std::string bytes() const {
    std::string out = prefix;
    const auto put = [](std::string& text, auto value) { text.append(reinterpret_cast<const char*>(&value), sizeof value); };
    std::string central;
    for (const TestEntry& entry : entries) {
      const std::string body = entry.deflate ? deflated(entry.data) : entry.data;
      const auto* plain = reinterpret_cast<const Bytef*>(entry.data.data());
      const uint32_t crc = entry.crc.value_or(static_cast<uint32_t>(crc32(0, plain, static_cast<uInt>(entry.data.size()))));
      const uint64_t size = entry.size.value_or(entry.data.size());
      const uint64_t packed = entry.compressed_size.value_or(body.size());
      const uint16_t method = entry.method.value_or(entry.deflate ? 8 : 0);
      const uint16_t flags = entry.flags | (entry.descriptor ? zip::flag_descriptor : 0);
      const uint64_t offset = entry.header_offset.value_or(static_cast<uint32_t>(out.size() - prefix.size()));
      const auto narrow = [&](uint64_t value) { return entry.zip64 ? 0xffffffffu : static_cast<uint32_t>(value); };

      put(out, zip::local_signature);
      put(out, uint16_t{0});
      put(out, flags);
      put(out, method);
      put(out, uint32_t{0});
      put(out, entry.descriptor ? uint32_t{0} : crc);
      put(out, entry.descriptor ? uint32_t{0} : narrow(packed));
      put(out, entry.descriptor ? uint32_t{0} : narrow(size));
      put(out, static_cast<uint16_t>(entry.local_name.size()));
      // Padding to 64 bytes, as torch has it.
      const size_t padding = (64 - (out.size() - prefix.size() + 2 + entry.local_name.size() + 4) % 64) % 64;
      put(out, static_cast<uint16_t>(4 + padding));
      out += entry.local_name;
      put(out, zip::extra_padding);
      put(out, static_cast<uint16_t>(padding));
      out += std::string(padding, 'Z') + body;
      if (entry.descriptor) {
        put(out, uint32_t{0x08074b50});
        put(out, crc);
        put(out, static_cast<uint32_t>(packed));
        put(out, static_cast<uint32_t>(size));
      }

      put(central, zip::central_signature);
      put(central, uint32_t{0});
      put(central, flags);
      put(central, method);
      put(central, uint32_t{0});
      put(central, crc);
      put(central, narrow(packed));
      put(central, narrow(size));
      put(central, static_cast<uint16_t>(entry.name.size()));
      put(central, static_cast<uint16_t>(entry.zip64 ? 28 : 0));
      put(central, uint16_t{0});
      put(central, entry.disk);
      put(central, uint16_t{0});
      put(central, uint32_t{0});
      put(central, narrow(offset));
      central += entry.name;
      if (entry.zip64) {
        put(central, zip::extra_zip64);
        put(central, uint16_t{24});
        put(central, size);
        put(central, packed);
        put(central, offset);
      }
    }
    uint64_t offset = out.size() - prefix.size(), size = central.size(), count = entries.size();
    const uint64_t end64_at = offset + size;
    if (directory) directory(offset, size, count);
    out += central;
    if (end64) {
      put(out, zip::end64_signature);
      put(out, uint64_t{44});
      put(out, uint32_t{0});
      put(out, uint64_t{0});
      put(out, count);
      put(out, count);
      put(out, size);
      put(out, offset);
      put(out, zip::locator64_signature);
      put(out, uint32_t{0});
      put(out, end64_at);
      put(out, uint32_t{1});
    }
    put(out, zip::end_signature);
    put(out, uint32_t{0});
    put(out, static_cast<uint16_t>(count));
    put(out, static_cast<uint16_t>(count));
    put(out, static_cast<uint32_t>(size));
    put(out, static_cast<uint32_t>(offset));
    put(out, static_cast<uint16_t>(comment.size()));
    return out + comment + trailing;
  }

  static std::string deflated(const std::string& data) {
    std::string out(compressBound(static_cast<uLong>(data.size())) + 16, '\0');
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }
};

// A program with one of most things: y = relu(linear(x)) with symbolic rows, a literal input, a mutated buffer, a
// lifted constant, a list result, a branch.
inline const char* const model_json = R"json({"graph_module": {"graph": {
"inputs": [{"as_tensor": {"name": "p_w"}}, {"as_tensor": {"name": "b_n"}}, {"as_tensor": {"name": "c_k"}}, {"as_tensor": {"name": "x"}}, {"as_float": "Infinity"}],
"outputs": [{"as_tensor": {"name": "add_"}}, {"as_tensor": {"name": "relu"}}, {"as_sym_int": {"as_name": "size"}}, {"as_none": true}, {"as_tensor": {"name": "part_1"}}, {"as_tensor": {"name": "branch_0"}}],
"nodes": [
{"target": "torch.ops.aten.sym_size.int", "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}, {"name": "dim", "arg": {"as_int": 0}, "kind": 1}], "outputs": [{"as_sym_int": {"as_name": "size"}}], "metadata": {}, "name": "size"},
{"target": "_operator.mul", "inputs": [{"name": "a", "arg": {"as_sym_int": {"as_name": "size"}}, "kind": 1}, {"name": "b", "arg": {"as_int": 2}, "kind": 1}], "outputs": [{"as_sym_int": {"as_name": "twice"}}], "metadata": {}, "name": "twice"},
{"target": "torch.ops.aten.linear.default", "inputs": [{"name": "input", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}, {"name": "weight", "arg": {"as_tensor": {"name": "p_w"}}, "kind": 1}], "outputs": [{"as_tensor": {"name": "linear"}}], "metadata": {"stack_trace": "File \"m.py\", line 7", "nn_module_stack": "L__self__,,M;L__self___fc,fc,torch.nn.modules.linear.Linear"}, "is_hop_single_tensor_return": null, "name": "linear", "novelty": [1, 2.5]},
{"target": "torch.ops.aten.relu.default", "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "linear"}}, "kind": 1}], "outputs": [{"as_tensor": {"name": "relu"}}], "metadata": {}, "name": "relu"},
{"target": "torch.ops.aten.split.Tensor", "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "c_k"}}, "kind": 1}, {"name": "split_size", "arg": {"as_int": 2}, "kind": 1}], "outputs": [{"as_tensors": [{"name": "part_0"}, {"name": "part_1"}]}], "metadata": {}, "name": "split"},
{"target": "torch.ops.aten.view.default", "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "relu"}}, "kind": 1}, {"name": "size", "arg": {"as_sym_ints": [{"as_name": "twice"}, {"as_int": 2}]}, "kind": 1}], "outputs": [{"as_tensor": {"name": "view"}}], "metadata": {}, "name": "view"},
{"target": "torch.ops.higher_order.cond", "inputs": [{"name": "", "arg": {"as_bool": true}, "kind": 1}, {"name": "", "arg": {"as_graph": {"name": "yes", "graph": {"inputs": [{"as_tensor": {"name": "a"}}], "outputs": [{"as_tensor": {"name": "b"}}], "nodes": [{"target": "torch.ops.aten.sin.default", "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "a"}}, "kind": 1}], "outputs": [{"as_tensor": {"name": "b"}}], "metadata": {}, "name": "b"}], "tensor_values": {"a": {"dtype": 7, "sizes": [{"as_int": 4}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7}, "b": {"dtype": 7, "sizes": [{"as_int": 4}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7}}, "sym_int_values": {}, "sym_bool_values": {}}}}, "kind": 1}, {"name": "", "arg": {"as_tensors": [{"name": "c_k"}]}, "kind": 1}], "outputs": [{"as_tensor": {"name": "branch_0"}}], "metadata": {}, "is_hop_single_tensor_return": false, "name": "branch"},
{"target": "torch.ops.aten.add_.Tensor", "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "b_n"}}, "kind": 1}, {"name": "other", "arg": {"as_float": 1.5}, "kind": 1}], "outputs": [{"as_tensor": {"name": "add_"}}], "metadata": {}, "name": "add_"}],
"tensor_values": {
"p_w": {"dtype": 7, "sizes": [{"as_int": 4}, {"as_int": 2}], "requires_grad": true, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 2}, {"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7},
"b_n": {"dtype": 5, "sizes": [], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [], "storage_offset": {"as_int": 0}, "layout": 7},
"c_k": {"dtype": 7, "sizes": [{"as_int": 4}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7},
"x": {"dtype": 7, "sizes": [{"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 3}}}, {"as_int": 2}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 2}, {"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7},
"linear": {"dtype": 7, "sizes": [{"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 3}}}, {"as_int": 4}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 4}, {"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7},
"relu": {"dtype": 7, "sizes": [{"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 3}}}, {"as_int": 4}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 4}, {"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7},
"part_0": {"dtype": 7, "sizes": [{"as_int": 2}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7},
"part_1": {"dtype": 7, "sizes": [{"as_int": 2}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 1}], "storage_offset": {"as_int": 2}, "layout": 7},
"view": {"dtype": 7, "sizes": [{"as_expr": {"expr_str": "Mul(Integer(2), Symbol('s77', positive=True, integer=True))", "hint": {"as_int": 6}}}, {"as_int": 2}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 2}, {"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7},
"branch_0": {"dtype": 7, "sizes": [{"as_int": 4}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7},
"add_": {"dtype": 5, "sizes": [], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [], "storage_offset": {"as_int": 0}, "layout": 7}},
"sym_int_values": {"size": {"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 3}}}, "twice": {"as_expr": {"expr_str": "Mul(Integer(2), Symbol('s77', positive=True, integer=True))", "hint": {"as_int": 6}}}},
"sym_bool_values": {}, "is_single_tensor_return": false, "custom_obj_values": {}, "sym_float_values": {}},
"signature": {"input_specs": [{"parameter": {"arg": {"name": "p_w"}, "parameter_name": "fc.weight"}}, {"buffer": {"arg": {"name": "b_n"}, "buffer_name": "n", "persistent": true}}, {"tensor_constant": {"arg": {"name": "c_k"}, "tensor_constant_name": "k"}}, {"user_input": {"arg": {"as_tensor": {"name": "x"}}}}, {"constant_input": {"name": "limit", "value": {"as_float": "Infinity"}}}],
"output_specs": [{"buffer_mutation": {"arg": {"name": "add_"}, "buffer_name": "n"}}, {"user_output": {"arg": {"as_tensor": {"name": "relu"}}}}, {"user_output": {"arg": {"as_sym_int": {"as_name": "size"}}}}, {"user_output": {"arg": {"as_none": true}}}, {"user_output": {"arg": {"as_tensor": {"name": "part_1"}}}}, {"user_output": {"arg": {"as_tensor": {"name": "branch_0"}}}}]},
"module_call_graph": [{"fqn": "", "signature": {"inputs": [], "outputs": [], "in_spec": "[1, {\"type\": \"builtins.tuple\", \"context\": \"null\", \"children_spec\": [{\"type\": \"builtins.tuple\", \"context\": \"null\", \"children_spec\": [{\"type\": null, \"context\": null, \"children_spec\": []}]}, {\"type\": \"builtins.dict\", \"context\": \"[\\\"limit\\\"]\", \"children_spec\": [{\"type\": null, \"context\": null, \"children_spec\": []}]}]}]", "out_spec": "[1, {\"type\": \"builtins.tuple\", \"context\": \"null\", \"children_spec\": [{\"type\": null, \"context\": null, \"children_spec\": []}, {\"type\": null, \"context\": null, \"children_spec\": []}, {\"type\": null, \"context\": null, \"children_spec\": []}, {\"type\": null, \"context\": null, \"children_spec\": []}, {\"type\": null, \"context\": null, \"children_spec\": []}]}]", "forward_arg_names": ["x", "limit"]}}, {"fqn": "fc", "signature": {"inputs": [{"as_tensor": {"name": "x"}}], "outputs": [{"as_tensor": {"name": "linear"}}], "in_spec": "", "out_spec": ""}}],
"metadata": {"custom": "{}"}, "treespec_namedtuple_fields": {}, "future": {"a": 1}},
"opset_version": {"aten": 10}, "range_constraints": {"s77": {"min_val": 2, "max_val": 128}, "2*s77": {"min_val": 4, "max_val": null}}, "schema_version": {"major": 8, "minor": 20}, "verifiers": ["TRAINING"], "torch_version": "2.13.0", "guards_code": ["L['x'].size()[0] <= 128", "evil()"], "later": "kept"})json";

inline std::string weights_json(std::string_view meta = R"("dtype": 7, "sizes": [{"as_int": 4}, {"as_int": 2}], "requires_grad": true, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 2}, {"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7)") {
  return R"({"config": {"fc.weight": {"path_name": "weight_0", "is_param": true, "use_pickle": false, "tensor_meta": {)" + std::string(meta) +
         R"(}}, "n": {"path_name": "weight_1", "is_param": false, "use_pickle": false, "tensor_meta": {"dtype": 5, "sizes": [], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [], "storage_offset": {"as_int": 0}, "layout": 7}}}})";
}
inline const char* const constants_json =
    R"({"config": {"k": {"path_name": "tensor_0", "is_param": false, "use_pickle": false, "tensor_meta": {"dtype": 7, "sizes": [{"as_int": 4}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7}}}})";

template <typename T> std::string raw(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T));
}

// The archive of the model above.
inline TestZip small_archive(std::string model = model_json, std::string weights = weights_json()) {
  TestZip zip;
  zip.end64 = true;
  zip.add("m/archive_format", "pt2");
  zip.add("m/archive_version", "0");
  zip.add("m/byteorder", "little");
  zip.add("m/data/weights/weight_0", raw<float>({1, 2, 3, 4, 5, 6, 7, 8}));
  zip.add("m/data/weights/weight_1", raw<int64_t>({41}));
  zip.add("m/data/weights/model_weights_config.json", std::move(weights));
  zip.add("m/data/constants/tensor_0", raw<float>({0.5f, 1.5f, 2.5f, 3.5f}));
  zip.add("m/data/constants/model_constants_config.json", constants_json);
  zip.add("m/data/sample_inputs/model.pt", "pickle, never opened");
  zip.add("m/extra/note.txt", "hello");
  zip.add("m/models/model.json", std::move(model));
  zip.add("m/.data/version", "6\n");
  zip.add("m/.data/serialization_id", std::string(40, '7'));
  return zip;
}

// The bytes live as long as the program.
inline ExportedProgram load(std::string bytes, const LoadOptions& options = {}) {
  auto owned = std::make_shared<std::string>(std::move(bytes));
  const std::span<const std::byte> span = std::as_bytes(std::span(owned->data(), owned->size()));
  return load_exported_program(span, owned, "test.pt2", options);
}
inline ExportedProgram load(const TestZip& zip) { return load(zip.bytes()); }

// The message of the error, with its kind in front; "no error" when there is none.
inline std::string failure(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    const char* kinds[] = {"bad input: ", "unsupported: ", "usage: ", "bug: "};
    return kinds[static_cast<int>(error.kind())] + std::string(error.what());
  }
  return "no error";
}

inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) throw std::out_of_range("test text has no " + std::string(from));
  return text.replace(at, from.size(), to);
}

}  // namespace intaglio::pt2::testing
