#include "backends/exynos/handover/graph_bytes.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/byte_reader.h"
#include "ir/json.h"

namespace intaglio::exynos {
namespace {

constexpr std::string_view magic = "IEG1";
constexpr uint32_t version = 1;
constexpr uint64_t alignment = 64;

uint64_t aligned(uint64_t offset) { return (offset + alignment - 1) / alignment * alignment; }

// ------------------------------------------------------------------------------------------------------------- writing

struct ValueWriter {
  json::Writer& to;
  void operator()(const std::string& text) { to.string(text); }
  void operator()(bool flag) { to.boolean(flag); }
  void operator()(int64_t number) { to.integer(number); }
  void operator()(double number) { to.number(number); }
  template <typename T>
  void operator()(const std::vector<T>& list) {
    to.begin_array();
    for (const T number : list) (*this)(number);
    to.end_array();
  }
};

template <typename T>
void write_integers(json::Writer& writer, const char* key, const std::vector<T>& numbers) {
  writer.key(key).begin_array();
  for (const T number : numbers) writer.integer(number);
  writer.end_array();
}

void write_tensor(json::Writer& writer, const EnnTensor& tensor, uint64_t& data) {
  writer.begin_object().key("name").string(tensor.name);
  write_integers(writer, "dims", tensor.dims);
  writer.key("data_type").string(tensor.data_type).key("layout").string(tensor.layout()).key("kind").string(kind_name(tensor.kind));
  if (tensor.quantize) {
    writer.key("quantize").begin_object().key("type").string(tensor.quantize->type).key("scales").begin_array();
    for (const float scale : tensor.quantize->scales) writer.number(scale);
    writer.end_array();
    write_integers(writer, "zero_points", tensor.quantize->zero_points);
    writer.end_object();
  }
  if (tensor.data.defined()) {
    writer.key("data").begin_object().key("offset").integer(static_cast<int64_t>(data));
    writer.key("bytes").integer(static_cast<int64_t>(tensor.data.nbytes())).end_object();
    data = aligned(data + tensor.data.nbytes());
  }
  writer.end_object();
}

void write_op(json::Writer& writer, const EnnOp& op) {
  writer.begin_object().key("name").string(op.name).key("type").string(op.type);
  write_integers(writer, "inputs", op.inputs);
  write_integers(writer, "outputs", op.outputs);
  writer.key("params").begin_array();
  for (const EnnParam& param : op.params) {
    writer.begin_object().key("name").string(param.name).key("element_type").string(param.element_type());
    writer.key("is_vector").boolean(param.is_vector()).key("value");
    std::visit(ValueWriter{writer}, param.value);
    writer.end_object();
  }
  writer.end_array().end_object();
}

std::string text_of(const EnnGraph& graph) {
  json::Writer writer;
  uint64_t data = 0;
  writer.begin_object().key("format").string("intaglio-enn-graph").key("version").integer(version);
  writer.key("chipset").string(name(graph.chipset)).key("perf_mode").string("DEFAULT").key("tensors").begin_array();
  for (const EnnTensor& tensor : graph.tensors) write_tensor(writer, tensor, data);
  writer.end_array().key("ops").begin_array();
  for (const EnnOp& op : graph.ops) write_op(writer, op);
  writer.end_array();
  write_integers(writer, "inputs", graph.inputs);
  write_integers(writer, "outputs", graph.outputs);
  return writer.key("data_bytes").integer(static_cast<int64_t>(data)).end_object().text();
}

template <typename T>
std::vector<std::byte> bytes_of(const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

// ------------------------------------------------------------------------------------------------------------- reading

std::vector<int64_t> integers(const json::Value& list, std::string_view what) {
  std::vector<int64_t> numbers;
  for (const json::Value number : list.array(what)) numbers.push_back(number.integer(what));
  return numbers;
}

class GraphReader {
 public:
  GraphReader(std::span<const std::byte> data, std::shared_ptr<const void> keep_alive) : data_(data), keep_alive_(std::move(keep_alive)) {}

  EnnGraph read(const json::Value& root) && {
    if (root.at("format").string("format") != "intaglio-enn-graph") throw_bad_input("is no graph of a hand-over");
    const int64_t given = root.at("version").integer("version");
    if (given != version) throw_bad_input(fmt::format("version {} of a graph; this program reads version {}", given, version));
    if (root.at("data_bytes").integer("data_bytes") != static_cast<int64_t>(data_.size()))
      throw_bad_input(fmt::format("{} bytes of constants are there, another number is stated", data_.size()));
    graph_.chipset = chipset_of(root.at("chipset").string("chipset"));
    for (const json::Value tensor : root.at("tensors").array("tensors")) graph_.tensors.push_back(read_tensor(tensor));
    made_.resize(graph_.tensors.size());
    graph_.inputs = ids(root.at("inputs"), "inputs");
    graph_.outputs = ids(root.at("outputs"), "outputs");
    for (size_t i = 0; i < graph_.tensors.size(); ++i) made_[i] = graph_.tensors[i].kind == EnnKind::constant;
    for (const uint32_t input : graph_.inputs) make(input, EnnKind::input);
    for (const json::Value op : root.at("ops").array("ops")) graph_.ops.push_back(read_op(op));
    for (const uint32_t output : graph_.outputs)
      if (!made_[output] || graph_.tensors[output].kind != EnnKind::output) refuse(output, "is an output that no operator makes");
    return std::move(graph_);
  }

 private:
  static Chipset chipset_of(std::string_view word) {
    try {
      return chipset_named(word);
    } catch (const Error& error) { throw_bad_input(error.what()); }
  }

  [[noreturn]] void refuse(uint32_t tensor, std::string_view why) const {
    throw_bad_input(fmt::format("tensor {} '{}' {}", tensor, escaped(graph_.tensors[tensor].name), why));
  }

  EnnTensor read_tensor(const json::Value& value) const {
    EnnTensor tensor{.name = std::string(value.at("name").string("name")),
                     .data_type = std::string(value.at("data_type").string("data_type"))};
    const auto wrong = [&](std::string_view why) { throw_bad_input(fmt::format("tensor '{}': {}", escaped(tensor.name), why)); };
    tensor.dims = integers(value.at("dims"), "dims");
    const auto dtype = data_type_of(tensor.data_type);
    const auto kind = kind_of(value.at("kind").string("kind"));
    if (!dtype || !kind) wrong("has a type or kind that does not exist");
    tensor.kind = *kind;
    if (value.at("layout").string("layout") != tensor.layout()) wrong("has another layout than its dimensions");
    constexpr size_t most_dims = 16;
    if (tensor.dims.size() > most_dims || std::ranges::any_of(tensor.dims, [](int64_t size) { return size < 0 || size > INT32_MAX; }))
      wrong("has dimensions that cannot be");
    element_count(tensor.dims);
    if (const auto quantize = value.find("quantize")) tensor.quantize = read_quantize(*quantize, tensor);
    const auto data = value.find("data");
    if (data.has_value() != (tensor.kind == EnnKind::constant)) wrong("is a constant without data, or data that is none");
    if (data) tensor.data = read_data(*data, *dtype, tensor);
    return tensor;
  }

  static EnnQuantize read_quantize(const json::Value& value, const EnnTensor& tensor) {
    EnnQuantize quantize{.type = std::string(value.at("type").string("type"))};
    for (const json::Value scale : value.at("scales").array("scales")) quantize.scales.push_back(static_cast<float>(scale.number("scale")));
    for (const int64_t zero : integers(value.at("zero_points"), "zero_points")) {
      if (zero < INT32_MIN || zero > INT32_MAX) throw_bad_input("a zero point is no int32");
      quantize.zero_points.push_back(static_cast<int32_t>(zero));
    }
    const bool is_int8 = quantize.type == "AINT8";
    const size_t count = quantize.scales.size();
    const bool fits = count == 1 || (count > 0 && !tensor.dims.empty() && count == static_cast<size_t>(tensor.dims[0]));
    const auto positive = [](float scale) { return scale > 0 && scale < std::numeric_limits<float>::infinity(); };
    if (is_int8 != (tensor.data_type == "INT8") || (!is_int8 && !quantize.type.empty()) || !fits || count != quantize.zero_points.size() ||
        !std::ranges::all_of(quantize.scales, positive))
      throw_bad_input(fmt::format("tensor '{}': its scales and zero points do not fit it", escaped(tensor.name)));
    return quantize;
  }

  Tensor read_data(const json::Value& value, DType dtype, const EnnTensor& tensor) const {
    const int64_t offset = value.at("offset").integer("offset"), bytes = value.at("bytes").integer("bytes");
    const auto size = static_cast<int64_t>(data_.size());
    const bool is_inside =
        offset >= 0 && bytes >= 0 && offset <= size && bytes <= size - offset && offset % static_cast<int64_t>(alignment) == 0;
    const int64_t count = element_count(tensor.dims), item = static_cast<int64_t>(item_size(dtype));
    if (!is_inside || count > bytes / item || count * item != bytes)
      throw_bad_input(fmt::format("tensor '{}': its data leaves the file, or is not {} bytes", escaped(tensor.name), tensor.data_type));
    const auto storage =
        Storage::unaligned(Storage::mapped(keep_alive_, data_.subspan(static_cast<size_t>(offset), static_cast<size_t>(bytes))));
    return Tensor(dtype, tensor.dims, contiguous_strides(tensor.dims), 0, storage);
  }

  std::vector<uint32_t> ids(const json::Value& list, std::string_view what) const {
    std::vector<uint32_t> result;
    for (const int64_t id : integers(list, what)) {
      if (id < 0 || id >= static_cast<int64_t>(graph_.tensors.size()))
        throw_bad_input(fmt::format("{} name tensor {}, of {}", what, id, graph_.tensors.size()));
      result.push_back(static_cast<uint32_t>(id));
    }
    return result;
  }

  void make(uint32_t tensor, EnnKind kind) {
    const EnnKind stated = graph_.tensors[tensor].kind;
    const bool fits = kind == EnnKind::input ? stated == kind : stated == EnnKind::featuremap || stated == EnnKind::output;
    if (made_[tensor] || !fits) refuse(tensor, "is made twice, or is of another kind than what makes it");
    made_[tensor] = true;
  }

  EnnOp read_op(const json::Value& value) {
    EnnOp op{.name = std::string(value.at("name").string("name")), .type = std::string(value.at("type").string("type"))};
    op.inputs = ids(value.at("inputs"), "inputs");
    op.outputs = ids(value.at("outputs"), "outputs");
    for (const uint32_t input : op.inputs)
      if (!made_[input]) refuse(input, "is read before it is made");
    for (const uint32_t output : op.outputs) make(output, EnnKind::featuremap);
    for (const json::Value param : value.at("params").array("params")) op.params.push_back(read_param(param));
    return op;
  }

  static EnnParam read_param(const json::Value& value) {
    EnnParam param{.name = std::string(value.at("name").string("name"))};
    const std::string_view type = value.at("element_type").string("element_type");
    const bool is_vector = value.at("is_vector").boolean("is_vector");
    const json::Value given = value.at("value");
    if (type == "CHAR") param.value = std::string(given.string("value"));
    else if (type == "BOOL") param.value = given.boolean("value");
    else if (type == "FLOAT64" && is_vector) {
      std::vector<double> numbers;
      for (const json::Value number : given.array("value")) numbers.push_back(number.number("value"));
      param.value = std::move(numbers);
    } else if (type == "FLOAT64") param.value = given.number("value");
    else if (is_vector) param.value = integers(given, "value");
    else param.value = given.integer("value");
    if (param.element_type() != type || param.is_vector() != is_vector)
      throw_bad_input(fmt::format("parameter '{}' is not of the type that is stated", escaped(param.name)));
    return param;
  }

  std::span<const std::byte> data_;
  std::shared_ptr<const void> keep_alive_;
  EnnGraph graph_;
  std::vector<bool> made_;
};

}  // namespace

std::string graph_json(const EnnGraph& graph) { return text_of(graph); }

Blob write_graph(const EnnGraph& graph) {
  const std::string text = text_of(graph);
  std::vector<Blob::Piece> pieces = {
      {0, Blob(magic)}, {4, Blob(bytes_of(version))}, {8, Blob(bytes_of(uint64_t{text.size()}))}, {16, Blob(text)}};
  uint64_t at = aligned(16 + text.size());
  for (const EnnTensor& tensor : graph.tensors) {
    if (!tensor.data.defined()) continue;
    pieces.push_back({at, Blob(tensor.data)});
    at = aligned(at + tensor.data.nbytes());
  }
  return Blob::of_pieces(std::move(pieces), at);
}

EnnGraph read_graph(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive) {
  ByteReader reader(bytes, "a graph of a hand-over");
  if (reader.take_text(4) != magic) throw_bad_input("is no graph of a hand-over (it does not begin with IEG1)");
  if (const auto given = reader.read<uint32_t>(); given != version)
    throw_bad_input(fmt::format("version {} of a graph; this program reads version {}", given, version));
  const json::Document document(reader.take_text(reader.read<uint64_t>()));
  const uint64_t data = aligned(reader.position());
  if (data > bytes.size()) throw_bad_input("a graph of a hand-over is cut short");
  return GraphReader(bytes.subspan(data), std::move(keep_alive)).read(document.root());
}

}  // namespace intaglio::exynos
