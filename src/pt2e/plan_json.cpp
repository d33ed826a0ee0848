#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "base/atomic_file.h"
#include "base/characters.h"
#include "base/mapped_file.h"
#include "quant/affine.h"

namespace intaglio {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view schema_name = "intaglio.plan";
constexpr int64_t schema_version = 1;
constexpr size_t max_depth = 8;   // the plan's own is 4
constexpr int64_t max_rank = 64;  // PyTorch's

// ---- writing

template <typename T>
Json floats(const std::vector<T>& values) {
  Json list = Json::array();
  for (const T value : values) list.push_back(static_cast<double>(value));  // exact, and so is the way back
  return list;
}

Json to_json_object(const PlanEntry& entry) {
  Json object;
  object["tensor"] = entry.tensor;
  object["used_by"] = entry.used_by;
  object["layer"] = entry.layer;
  object["observer"] = entry.observer;
  object["rule"] = entry.rule;
  object["group"] = entry.group;
  Json qparams;
  qparams["dtype"] = std::string(name(entry.qparams.dtype));
  const std::optional<int64_t> axis = entry.qparams.axis();
  if (!axis && !entry.qparams.is_per_tensor())
    throw_unsupported(
        fmt::format("tensor '{}' is quantized by blocks; a plan holds scales per tensor and per channel", escaped(entry.tensor)));
  qparams["axis"] = axis ? Json(*axis) : Json();
  qparams["quant_min"] = entry.qparams.quant_min;
  qparams["quant_max"] = entry.qparams.quant_max;
  qparams["scale"] = floats(entry.qparams.scale);
  qparams["zero_point"] = entry.qparams.zero_point;
  object["qparams"] = std::move(qparams);
  Json statistics;
  statistics["calls"] = entry.statistics.calls;
  statistics["min"] = floats(entry.statistics.min);
  statistics["max"] = floats(entry.statistics.max);
  statistics["histogram"] = floats(entry.statistics.histogram);
  object["statistics"] = std::move(statistics);
  return object;
}

Json to_json_object(const PlanLayer& layer) {
  Json object = {{"layer", layer.layer}, {"node", layer.node}, {"quantize_", layer.config}, {"settings", Json::object()}};
  for (const auto& [key, value] : layer.settings) object["settings"][key] = value;
  return object;
}

// One a line: plans are read, compared and edited by people.
template <typename Item>
std::string lines_of(const std::vector<Item>& items) {
  std::string text;
  for (size_t i = 0; i < items.size(); ++i)
    text += (i == 0 ? "\n" : ",\n") + to_json_object(items[i]).dump(-1, ' ', false, Json::error_handler_t::replace);
  return text;
}

// ---- reading: every field is checked, messages name the file and the entry

class Reader {
 public:
  Reader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object_.is_object()) fail("an object is expected");
  }

  [[noreturn]] void fail(const std::string& message) const { throw_bad_input(where_ + ": " + message); }

  const Json& at(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) fail(fmt::format("'{}' is missing", key));
    return *found;
  }
  Reader object(const char* key) const { return Reader(at(key), where_ + ", " + key); }
  std::string text(const char* key) const {
    if (!at(key).is_string()) fail(fmt::format("'{}' must be a string", key));
    return at(key).get<std::string>();
  }
  int64_t integer(const char* key) const { return as_integer(at(key), key); }
  std::vector<int64_t> integers(const char* key) const {
    std::vector<int64_t> values;
    for (const Json& item : list(key)) values.push_back(as_integer(item, key));
    return values;
  }
  std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> values;
    for (const Json& item : list(key)) {
      if (!item.is_string()) fail(fmt::format("'{}' must be a list of strings", key));
      values.push_back(item.get<std::string>());
    }
    return values;
  }
  std::vector<std::pair<std::string, std::string>> named_texts(const char* key) const {
    const Reader named = object(key);
    std::vector<std::pair<std::string, std::string>> values;
    for (const auto& [name, value] : named.object_.items()) values.emplace_back(name, named.text(name.c_str()));
    return values;
  }
  std::vector<float> floats(const char* key) const {
    std::vector<float> values;
    for (const Json& item : list(key)) {
      if (!item.is_number()) fail(fmt::format("'{}' must be a list of numbers", key));
      const double number = item.get<double>();
      const float value = static_cast<float>(number);
      if (!std::isfinite(value)) fail(fmt::format("'{}' holds {}, which no float32 can hold", key, number));
      values.push_back(value);
    }
    return values;
  }

 private:
  const Json& list(const char* key) const {
    if (!at(key).is_array()) fail(fmt::format("'{}' must be a list", key));
    return at(key);
  }
  int64_t as_integer(const Json& item, const char* key) const {
    const bool fits = item.is_number_integer() && !(item.is_number_unsigned() && item.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX));
    if (!fits) fail(fmt::format("'{}' must be an integer", key));
    return item.get<int64_t>();
  }

  const Json& object_;
  std::string where_;
};

quant::QuantRange held_range(DType dtype, const Reader& reader) try { return quant::range_of(dtype); } catch (const Error& error) {
  reader.fail(error.what());
}

QuantParams read_qparams(const Reader& reader) {
  QuantParams params;
  const std::string dtype_name = reader.text("dtype");
  const auto dtype = dtype_from_name(dtype_name);
  if (!dtype || !is_integral(*dtype)) reader.fail(fmt::format("'dtype' is '{}', an integer type is expected", escaped(dtype_name)));
  params.dtype = *dtype;
  const bool has_axis = !reader.at("axis").is_null();
  const int64_t axis = has_axis ? reader.integer("axis") : 0;
  if (axis < 0 || axis >= max_rank) reader.fail(fmt::format("'axis' is {}, no tensor has such", axis));
  if (has_axis) params.block_size = channel_blocks(axis);
  params.quant_min = reader.integer("quant_min");
  params.quant_max = reader.integer("quant_max");
  const quant::QuantRange range = held_range(params.dtype, reader);
  if (params.quant_min < range.min || params.quant_max > range.max)
    reader.fail(fmt::format("'quant_min' and 'quant_max' must lie within [{}, {}], which {} holds", range.min, range.max, dtype_name));
  const std::vector<float> scales = reader.floats("scale");
  params.scale.assign(scales.begin(), scales.end());
  params.zero_point = reader.integers("zero_point");
  if (params.quant_min >= params.quant_max) reader.fail("'quant_min' must be less than 'quant_max'");
  if (params.scale.empty() || params.scale.size() != params.zero_point.size())
    reader.fail("'scale' and 'zero_point' must be lists of the same length, at least 1");
  if (!has_axis && params.scale.size() != 1) reader.fail("without an 'axis' there is one scale and one zero point");
  for (const double scale : params.scale)
    if (!(scale > 0)) reader.fail("every 'scale' must be positive");
  for (const int64_t zero_point : params.zero_point)
    if (zero_point < params.quant_min || zero_point > params.quant_max)
      reader.fail("every 'zero_point' must lie between 'quant_min' and 'quant_max'");
  return params;
}

PlanEntry read_entry(const Reader& reader) {
  PlanEntry entry;
  entry.tensor = reader.text("tensor");
  entry.used_by = reader.text("used_by");
  entry.layer = reader.text("layer");
  entry.observer = reader.text("observer");
  entry.rule = reader.text("rule");
  const int64_t group = reader.integer("group");
  if (group < 0) reader.fail("'group' must not be negative");
  entry.group = static_cast<size_t>(group);
  entry.qparams = read_qparams(reader.object("qparams"));
  const Reader statistics = reader.object("statistics");
  entry.statistics.calls = statistics.integer("calls");
  entry.statistics.min = statistics.floats("min");
  entry.statistics.max = statistics.floats("max");
  entry.statistics.histogram = statistics.floats("histogram");
  return entry;
}

PlanLayer read_layer(const Reader& reader) {
  return {reader.text("layer"), reader.text("node"), reader.text("quantize_"), reader.named_texts("settings")};
}

// The parser takes duplicate keys and any depth; a plan has neither.
Json parse_strictly(std::string_view text, const std::string& source) {
  std::vector<std::vector<std::string>> keys;
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (static_cast<size_t>(depth) > max_depth) throw_bad_input(source + ": nested too deeply for a plan");
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      std::string key = parsed.get<std::string>();
      if (std::find(keys.back().begin(), keys.back().end(), key) != keys.back().end())
        throw_bad_input(fmt::format("{}: the key '{}' appears twice in one object", source, escaped(key)));
      if (keys.back().size() > 64) throw_bad_input(source + ": an object has more keys than a plan knows");
      keys.back().push_back(std::move(key));
    }
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::exception& error) { throw_bad_input(fmt::format("{}: not a plan: {}", source, escaped(error.what()))); }
}

}  // namespace

std::string to_json(const Plan& plan) {
  std::string text = fmt::format("{{\"schema\": \"{}\", \"version\": {}, ", schema_name, schema_version);
  for (const auto& [key, names] : {std::pair{"in_float", &plan.in_float}, std::pair{"per_channel", &plan.per_channel}})
    if (!names->empty()) text += fmt::format("\"{}\": {}, ", key, Json(*names).dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!plan.layers.empty()) text += "\"layers\": [" + lines_of(plan.layers) + "\n], ";
  return with_hidden_escaped(text + "\"entries\": [" + lines_of(plan.entries) + "\n]}\n");
}

Plan parse_plan(std::string_view json, const std::string& source) {
  const Json document = parse_strictly(json, source);
  const Reader reader(document, source);
  if (reader.text("schema") != schema_name) reader.fail(fmt::format("'schema' must be '{}'", schema_name));
  if (reader.integer("version") != schema_version)
    reader.fail(fmt::format("version {} of the plan format; this Intaglio reads version {}", reader.integer("version"), schema_version));
  if (!reader.at("entries").is_array()) reader.fail("'entries' must be a list");
  Plan plan;
  if (document.contains("in_float")) plan.in_float = reader.texts("in_float");
  if (document.contains("per_channel")) plan.per_channel = reader.texts("per_channel");
  if (document.contains("layers")) {
    if (!reader.at("layers").is_array()) reader.fail("'layers' must be a list");
    for (const Json& item : reader.at("layers"))
      plan.layers.push_back(read_layer(Reader(item, fmt::format("{}, layer {}", source, plan.layers.size()))));
  }
  for (const Json& item : reader.at("entries"))
    plan.entries.push_back(read_entry(Reader(item, fmt::format("{}, entry {}", source, plan.entries.size()))));
  return plan;
}

Plan load_plan(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  return parse_plan({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, escaped(path.string()));
}

void save_plan(const Plan& plan, const std::filesystem::path& path) { write_file_atomically(path, to_json(plan)); }

}  // namespace intaglio
