// Archives made in memory for tests, right ones and wrong ones.
#pragma once

#include <cstring>
#include <string>

#include <intaglio/pt2.h>

#include "testing/zip.h"

namespace intaglio::test {

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
"opset_version": {"aten": 10}, "range_constraints": {"s77": {"min_val": 2, "max_val": 128}, "2*s77": {"min_val": 4, "max_val": null}}, "schema_version": {"major": 8, "minor": 20}, "verifiers": ["TRAINING"], "torch_version": "2.13.0", "guards_code": ["L['x'].size()[0] <= 128", "evil()", "L['\"+evil()+\"'].size()[0] <= 128"], "later": "kept"})json";

inline std::string weights_json(
    std::string_view meta =
        R"("dtype": 7, "sizes": [{"as_int": 4}, {"as_int": 2}], "requires_grad": true, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 2}, {"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7)") {
  return R"({"config": {"fc.weight": {"path_name": "weight_0", "is_param": true, "use_pickle": false, "tensor_meta": {)" +
         std::string(meta) +
         R"(}}, "n": {"path_name": "weight_1", "is_param": false, "use_pickle": false, "tensor_meta": {"dtype": 5, "sizes": [], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [], "storage_offset": {"as_int": 0}, "layout": 7}}}})";
}
inline const char* const constants_json =
    R"({"config": {"k": {"path_name": "tensor_0", "is_param": false, "use_pickle": false, "tensor_meta": {"dtype": 7, "sizes": [{"as_int": 4}], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7}}}})";

template <typename T>
std::string raw(std::initializer_list<T> values) {
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

inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) throw std::out_of_range("test text has no " + std::string(from));
  return text.replace(at, from.size(), to);
}

// The model with an argument of any kind, of an operator that nothing is known of.
inline std::string with_argument(const std::string& text) {
  return replaced(replaced(model_json, "torch.ops.aten.add_.Tensor", "torch.ops.my.op.default"), R"("as_float": 1.5)", text);
}

}  // namespace intaglio::test
