#include <algorithm>
#include <cmath>

#include "decompose/limits.h"
#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

Value* like(const Node& n) { return n.op().schema()->find("self") ? n.tensor("self") : nullptr; }

Values filled(GraphBuilder& b, const Node& n, const Argument& value) {
  const DType dtype = n.output()->dtype();
  // The sizes as they are written, when they are: they may be symbols that no operand has.
  if (n.find("size")) return {b.call("aten.full.default", {n.argument("size"), value}, {{"dtype", dtype}})};
  return {b.full(n.output()->sizes(), value, dtype, like(n))};
}
Values zeros(GraphBuilder& b, const Node& n) { return filled(b, n, 0); }
Values ones(GraphBuilder& b, const Node& n) { return filled(b, n, 1); }
Values full(GraphBuilder& b, const Node& n) {
  const Argument value = n.argument(n.op().schema()->find("fill_value") ? "fill_value" : "value");
  if (Value* const* tensor = value.get_if<Value*>(); tensor && (*tensor)->is_tensor())
    return {b.expand(b.cast(*tensor, n.output()->dtype()), n.output()->sizes())};
  return filled(b, n, value);
}

Values scalar_tensor(GraphBuilder& b, const Node& n) {
  const Argument number = n.argument("s");
  if (number.is<Value*>()) return {};
  return {b.number(number, n.output()->dtype())};
}

Values arange(GraphBuilder& b, const Node& n) {
  const OpSchema& schema = *n.op().schema();
  const Argument start = schema.find("start") ? n.argument("start") : Argument(0);
  return {b.call("aten.arange.start_step", {start, n.argument("end")}, {{"dtype", n.output()->dtype()}})};
}

// start + step * i, counted from the nearer end as PyTorch does.
Values evenly_spaced(GraphBuilder& b, const Node& n) {
  const int64_t count = n.integer("steps");
  const double start = n.number("start"), end = n.number("end");
  const double step = count > 1 ? (end - start) / static_cast<double>(count - 1) : 0;
  written_out(n, DType::float64, {count});
  std::vector<double> numbers;
  for (int64_t i = 0; i < count; ++i)
    numbers.push_back(i < count / 2 || count == 1 ? start + step * static_cast<double>(i)
                                                  : end - step * static_cast<double>(count - 1 - i));
  return {b.constant(converted(Tensor::of<double>(numbers, {count}), n.output()->dtype()))};
}
Values identity_matrix(GraphBuilder& b, const Node& n) {
  const int64_t rows = n.integer("n"), columns = n.op().schema()->find("m") ? n.integer("m") : rows;
  Tensor matrix = bounded_zeros(n, DType::float32, {rows, columns});
  for (int64_t i = 0; i < std::min(rows, columns); ++i) matrix.mutable_data<float>()[i * columns + i] = 1;
  return {b.constant(converted(matrix, n.output()->dtype()))};
}

// Elements above or below a diagonal are set to zero by a mask, which is constant where the sizes are. The runtime has a kernel for
// the lower triangle.
Values triangle(GraphBuilder& b, const Node& n) {
  Value* x = n.tensor("self");
  const SymInt &rows = x->sizes()[x->sizes().size() - 2], &columns = x->sizes().back();
  const int64_t diagonal = n.integer("diagonal");
  const bool lower = n.op().base() == "tril";
  if (!rows.is_static() || !columns.is_static()) {
    if (lower) return {};
    const int64_t rank = x->meta().rank();
    const auto places = [&](int64_t dim) { return b.call("aten.arange.default", {b.size(x, dim)}, {{"dtype", DType::int64}}); };
    Value *columns = places(rank - 1), *rows = b.unsqueeze(places(rank - 2), 1);
    Value* kept = b("aten.ge.Scalar", b("aten.sub.Tensor", columns, rows), diagonal);
    return {b("aten.where.self", kept, x, b.number(0, x->dtype()))};
  }
  Tensor mask = bounded_zeros(n, DType::boolean, {rows.value(), columns.value()});
  bool* data = mask.mutable_data<bool>();
  for (int64_t r = 0; r < rows.value(); ++r)
    for (int64_t c = 0; c < columns.value(); ++c) *data++ = lower ? c - r <= diagonal : c - r >= diagonal;
  Value* kept = b.constant(std::move(mask));
  return {b("aten.where.self", kept, x, b.number(0, x->dtype()))};
}

Values one_hot(GraphBuilder& b, const Node& n) {
  const int64_t classes = n.integer("num_classes");
  if (classes <= 0) refuse(n, "the number of classes must be given");
  Value* numbers = b.constant(Tensor::of<int64_t>(counted_numbers(n, classes), {classes}));
  Value* same = b("aten.eq.Tensor", b.unsqueeze(n.tensor("self"), -1), numbers);
  return {b.cast(same, DType::int64)};
}

// Rows and columns of a triangle's elements.
Values triangle_indices(GraphBuilder& b, const Node& n) {
  const int64_t rows = n.integer("row"), columns = n.integer("col"), offset = n.integer("offset");
  const bool lower = n.op().base() == "tril_indices";
  written_out(n, DType::int64, {rows, columns});
  std::vector<int64_t> row_numbers, column_numbers;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      if (lower ? c - r <= offset : c - r >= offset) row_numbers.push_back(r), column_numbers.push_back(c);
  const auto count = static_cast<int64_t>(row_numbers.size());
  row_numbers.insert(row_numbers.end(), column_numbers.begin(), column_numbers.end());
  return {b.constant(converted(Tensor::of<int64_t>(row_numbers, {2, count}), n.output()->dtype()))};
}

// ---- windows: a function of the place between the ends, -1 to 1
double hann(double x, double alpha, double beta) { return alpha + beta * std::cos(M_PI * x); }
double blackman(double x, double, double) { return 0.42 + 0.5 * std::cos(M_PI * x) + 0.08 * std::cos(2 * M_PI * x); }
double bartlett(double x, double, double) { return 1 - std::abs(x); }
double kaiser(double x, double, double beta) {
  const double height = std::abs(beta);  // the function is even, and the library has its right half
  return std::cyl_bessel_i(0, height * std::sqrt(std::max(0.0, 1 - x * x))) / std::cyl_bessel_i(0, height);
}

struct Window {
  std::string_view op;
  double (*function)(double, double, double);
  double alpha, beta;  // where the call names none
};
constexpr Window windows[] = {
    {"hann_window", hann, 0.5, 0.5},     {"hamming_window", hann, 0.54, 0.46}, {"blackman_window", blackman, 0, 0},
    {"bartlett_window", bartlett, 0, 0}, {"kaiser_window", kaiser, 0, 12},
};

Values window(GraphBuilder& b, const Node& n) {
  const Window& row = *std::ranges::find(windows, n.op().base(), &Window::op);
  const auto given = [&](const char* name, double otherwise) { return n.op().schema()->find(name) ? n.number(name) : otherwise; };
  const double alpha = given("alpha", row.alpha), beta = given("beta", row.beta);
  const bool periodic = !n.op().schema()->find("periodic") || n.boolean("periodic");
  constexpr double largest_beta = 700;  // e^x in double precision
  constexpr int64_t longest = int64_t{1} << 18;
  if (!(std::abs(beta) < largest_beta)) refuse(n, "its beta is out of range");
  const int64_t length = n.integer("window_length"), last = periodic ? length : length - 1;
  if (length > longest) refuse(n, "a window of more than 2^18 elements");
  Tensor values = bounded_zeros(n, DType::float64, {length});
  for (int64_t i = 0; i < length; ++i) {
    const double place = length > 1 ? 2 * static_cast<double>(i) / static_cast<double>(last) - 1 : 0;
    values.mutable_data<double>()[i] = row.function(place, alpha, beta);
  }
  return {b.constant(converted(values, n.output()->dtype()))};
}

const DecompositionRow creation_rows[] = {
    {window,
     {"aten.hann_window.default", "aten.hann_window.periodic", "aten.hamming_window.default", "aten.hamming_window.periodic",
      "aten.hamming_window.periodic_alpha", "aten.hamming_window.periodic_alpha_beta", "aten.blackman_window.default",
      "aten.blackman_window.periodic", "aten.bartlett_window.default", "aten.bartlett_window.periodic", "aten.kaiser_window.default",
      "aten.kaiser_window.periodic", "aten.kaiser_window.beta"}},
    {triangle_indices, {"aten.tril_indices.default", "aten.triu_indices.default"}},
    {zeros,
     {"aten.zeros.default", "aten.new_zeros.default", "aten.empty.memory_format", "aten.new_empty.default", "aten.empty_like.default",
      "aten.zeros_like.default", "aten.zero.default", "aten.new_empty_strided.default", "aten.empty_strided.default",
      "aten.empty_permuted.default"}},
    {ones, {"aten.ones.default", "aten.new_ones.default", "aten.ones_like.default"}},
    {full, {"aten.new_full.default", "aten.full_like.default", "aten.fill.Scalar", "aten.fill.Tensor"}},
    {scalar_tensor, {"aten.scalar_tensor.default"}},
    {arange, {"aten.arange.default", "aten.arange.start"}},
    {triangle, {"aten.tril.default", "aten.triu.default"}},
    {one_hot, {"aten.one_hot.default"}},
    {evenly_spaced, {"aten.linspace.default"}},
    {identity_matrix, {"aten.eye.default", "aten.eye.m"}},
};

}  // namespace

std::span<const DecompositionRow> creation_decompositions() { return creation_rows; }

}  // namespace intaglio::decompose
