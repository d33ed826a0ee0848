// What a seed draws: a handful of operators that PyTorch exports, strung together by the sizes of their values.
#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "random_graphs/random_graph.h"

namespace intaglio::random_graphs {
namespace {

using Ints = std::vector<int64_t>;
using Operands = std::vector<std::pair<std::string, Operand>>;

class Generator {
 public:
  explicit Generator(uint64_t seed) : random(seed) {}

  Random random;

  Id input(const Sizes& sizes) {
    const Id id = next_++;
    graph_.inputs.emplace_back(id, sizes);
    builder_.input(id, sizes);
    live_.push_back(id);
    return id;
  }
  std::vector<Id> list(const char* op, Operands operands, size_t count) {
    Step step{op, std::move(operands), {}};
    for (size_t i = 0; i < count; ++i) step.results.push_back(next_++);
    builder_.step(step);
    for (const auto& [name, operand] : step.operands) {
      if (const auto* id = std::get_if<Id>(&operand)) used_.insert(*id);
      if (const auto* ids = std::get_if<std::vector<Id>>(&operand)) used_.insert(ids->begin(), ids->end());
    }
    live_.insert(live_.end(), step.results.begin(), step.results.end());
    graph_.steps.push_back(step);
    return step.results;
  }
  Id op(const char* name, Operands operands) { return list(name, std::move(operands), 1).front(); }

  const Sizes& sizes(Id id) const { return builder_.sizes(id); }
  int64_t rank(Id id) const { return static_cast<int64_t>(sizes(id).size()); }
  Weight weight(Sizes sizes, double low, double high) { return {std::move(sizes), low, high, random.bits()}; }
  // A layer's weight that keeps the size of its values: `fan_in` products are summed.
  Weight layer(Sizes sizes, int64_t fan_in) {
    const double bound = std::sqrt(3.0 / static_cast<double>(fan_in));
    return weight(std::move(sizes), -bound, bound);
  }

  // Mostly one of the values made last, so that graphs are deep rather than wide.
  Id pick() { return random.chance(0.7) ? live_.back() : random.of(live_); }
  // Another value of these sizes, or the same one.
  Id like(Id x, const std::function<bool(const Sizes&)>& fits) {
    std::vector<Id> found;
    for (const Id id : live_)
      if (fits(sizes(id))) found.push_back(id);
    return found.empty() ? x : random.of(found);
  }

  RandomGraph finish() {
    for (const Id id : live_)
      if (!used_.contains(id)) graph_.outputs.push_back(id);
    // The first inputs may be among them; a graph's outputs are computed.
    std::erase_if(graph_.outputs, [&](Id id) {
      return std::any_of(graph_.inputs.begin(), graph_.inputs.end(), [&](const auto& input) { return input.first == id; });
    });
    if (graph_.outputs.size() > 3) graph_.outputs.erase(graph_.outputs.begin(), graph_.outputs.end() - 3);
    return trimmed(graph_);
  }

 private:
  RandomGraph graph_;
  Builder builder_;
  std::vector<Id> live_;
  std::set<Id> used_;
  Id next_ = 0;
};

using G = Generator;

void convolution(G& g, Id x, int64_t spatial) {
  const Sizes sizes = g.sizes(x);
  const int64_t channels = sizes[1];
  const int64_t groups = channels % 2 == 0 && g.random.chance(0.2) ? 2 : (g.random.chance(0.2) ? channels : 1);
  const int64_t out = groups * g.random.between(1, std::max<int64_t>(1, 6 / groups));
  Sizes weight = {out, channels / groups};
  Ints stride, padding, dilation;
  int64_t fan_in = channels / groups;
  for (int64_t d = 0; d < spatial; ++d) {
    const int64_t kernel = g.random.between(1, std::min<int64_t>(3, sizes[2 + d]));
    weight.push_back(kernel);
    fan_in *= kernel;
    stride.push_back(sizes[2 + d] > 4 ? g.random.between(1, 2) : 1);
    padding.push_back(kernel / 2);
    dilation.push_back(1);
  }
  Operands operands = {{"input", x}, {"weight", g.layer(weight, fan_in)}};
  if (g.random.chance(0.7)) operands.emplace_back("bias", g.weight({out}, -0.5, 0.5));
  else operands.emplace_back("bias", Argument());
  operands.insert(
      operands.end(),
      {{"stride", Argument(stride)}, {"padding", Argument(padding)}, {"dilation", Argument(dilation)}, {"groups", Argument(groups)}});
  const Id y = g.op(spatial == 1 ? "aten.conv1d.default" : "aten.conv2d.default", std::move(operands));
  const double next = g.random.uniform(0, 1);
  if (next < 0.3) g.op("aten.relu.default", {{"self", y}});
  if (next > 0.9) g.op("aten.hardtanh.default", {{"self", y}, {"min_val", Argument(0.0)}, {"max_val", Argument(6.0)}});
}

void conv_transpose(G& g, Id x) {
  const int64_t channels = g.sizes(x)[1], out = g.random.between(1, 5);
  g.op("aten.conv_transpose2d.input", {{"input", x},
                                       {"weight", g.layer({channels, out, 2, 3}, channels * 3)},
                                       {"bias", g.weight({out}, -0.5, 0.5)},
                                       {"stride", Argument(Ints{g.random.between(1, 2), 2})},
                                       {"padding", Argument(Ints{0, 1})}});
}

void batch_norm(G& g, Id x) {
  const int64_t channels = g.sizes(x)[1];
  g.op("aten.batch_norm.default", {{"input", x},
                                   {"weight", g.weight({channels}, 0.5, 1.5)},
                                   {"bias", g.weight({channels}, -0.5, 0.5)},
                                   {"running_mean", g.weight({channels}, -0.5, 0.5)},
                                   {"running_var", g.weight({channels}, 0.5, 2)},
                                   {"training", Argument(false)},
                                   {"momentum", Argument(0.1)},
                                   {"eps", Argument(1e-5)},
                                   {"cudnn_enabled", Argument(true)}});
}

void linear(G& g, Id x) {
  const int64_t in = g.sizes(x).back(), out = g.random.between(1, 8);
  Operands operands = {{"input", x}, {"weight", g.layer({out, in}, in)}};
  if (g.random.chance(0.7)) operands.emplace_back("bias", g.weight({out}, -0.5, 0.5));
  const Id y = g.op("aten.linear.default", std::move(operands));
  if (g.random.chance(0.3)) g.op("aten.relu.default", {{"self", y}});
}

void layer_norm(G& g, Id x) {
  const int64_t width = g.sizes(x).back();
  g.op("aten.layer_norm.default", {{"input", x},
                                   {"normalized_shape", Argument(Ints{width})},
                                   {"weight", g.weight({width}, 0.5, 1.5)},
                                   {"bias", g.weight({width}, -0.5, 0.5)}});
}

void binary(G& g, Id x, const char* op) {
  const Sizes sizes = g.sizes(x);
  if (g.random.chance(0.2)) {
    g.op(op, {{"self", x}, {"other", g.weight({sizes.back()}, 0.3, 1.7)}});
    return;
  }
  if (g.random.chance(0.15) && sizes.size() == 4) {
    g.op(op, {{"self", x}, {"other", g.weight({sizes[1], 1, 1}, 0.3, 1.7)}});
    return;
  }
  g.op(op, {{"self", x}, {"other", g.like(x, [&](const Sizes& other) { return other == sizes; })}});
}

void scalar(G& g, Id x, const char* op) { g.op(op, {{"self", x}, {"other", Argument(g.random.between(1, 6) * 0.5)}}); }

void pool(G& g, Id x, const char* op) {
  if (g.sizes(x)[2] < 2 || g.sizes(x)[3] < 2) return;
  g.op(op, {{"self", x}, {"kernel_size", Argument(Ints{2, 2})}, {"stride", Argument(Ints{g.random.between(1, 2), 2})}});
}

void cat(G& g, Id x) {
  const Sizes sizes = g.sizes(x);
  const int64_t dim = g.random.between(sizes.size() > 1 ? 1 : 0, static_cast<int64_t>(sizes.size()) - 1);
  std::vector<Id> parts = {x};
  for (int64_t i = g.random.between(1, 2); i > 0; --i)
    parts.push_back(g.like(x, [&](const Sizes& other) {
      if (other.size() != sizes.size()) return false;
      for (size_t d = 0; d < sizes.size(); ++d)
        if (static_cast<int64_t>(d) != dim && other[d] != sizes[d]) return false;
      return true;
    }));
  g.op("aten.cat.default", {{"tensors", parts}, {"dim", Argument(dim)}});
}

void reshape(G& g, Id x) {
  Sizes sizes = g.sizes(x);
  if (sizes.size() > 2 && g.random.chance(0.6)) {  // two neighbours become one
    const auto at = sizes.begin() + g.random.between(0, static_cast<int64_t>(sizes.size()) - 2);
    *at *= *(at + 1);
    sizes.erase(at + 1);
  } else if (sizes.size() < 4 && sizes.back() % 2 == 0) {
    sizes.back() /= 2;
    sizes.push_back(2);
  } else {
    sizes.insert(sizes.begin(), 1);
    if (sizes.size() > 4) sizes.erase(sizes.begin());
  }
  g.op("aten.reshape.default", {{"self", x}, {"shape", Argument(sizes)}});
}

void permute(G& g, Id x) {
  Ints order(g.sizes(x).size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  for (size_t i = order.size(); i-- > 1;) std::swap(order[i], order[g.random.between(0, static_cast<int64_t>(i))]);
  g.op("aten.permute.default", {{"self", x}, {"dims", Argument(order)}});
}

// A dimension with at least two entries, or -1.
int64_t wide_dim(G& g, Id x) {
  Ints wide;
  for (int64_t d = 0; d < g.rank(x); ++d)
    if (g.sizes(x)[d] > 1) wide.push_back(d);
  return wide.empty() ? -1 : g.random.of(wide);
}

void slice(G& g, Id x) {
  const int64_t dim = wide_dim(g, x);
  if (dim < 0) return;
  const int64_t start = g.random.between(0, g.sizes(x)[dim] - 2);
  g.op("aten.slice.Tensor",
       {{"self", x}, {"dim", Argument(dim)}, {"start", Argument(start)}, {"end", Argument(g.random.between(start + 1, g.sizes(x)[dim]))}});
}

void chunk(G& g, Id x) {
  const int64_t dim = wide_dim(g, x);
  if (dim >= 0) g.list("aten.chunk.default", {{"self", x}, {"chunks", Argument(2)}, {"dim", Argument(dim)}}, 2);
}

void select(G& g, Id x) {
  const int64_t dim = wide_dim(g, x);
  if (dim >= 0 && g.rank(x) > 2) g.op("aten.select.int", {{"self", x}, {"dim", Argument(dim)}, {"index", Argument(1)}});
}

void unsqueeze(G& g, Id x) {
  if (g.rank(x) < 4) g.op("aten.unsqueeze.default", {{"self", x}, {"dim", Argument(g.random.between(0, g.rank(x)))}});
}

// softmax, mean, sum and amax take one dimension each.
void softmax(G& g, Id x) { g.op("aten.softmax.int", {{"self", x}, {"dim", Argument(g.random.chance(0.8) ? -1 : g.rank(x) - 2)}}); }
void reduce(G& g, Id x, const char* op) {
  const int64_t dim = g.random.between(1, g.rank(x) - 1);
  g.op(op, {{"self", x}, {"dim", Argument(Ints{dim})}, {"keepdim", Argument(g.rank(x) < 3 || g.random.chance(0.5))}});
}
void spatial_mean(G& g, Id x) {
  if (g.random.chance(0.5)) g.op("aten.adaptive_avg_pool2d.default", {{"self", x}, {"output_size", Argument(Ints{1, 1})}});
  else g.op("aten.mean.dim", {{"self", x}, {"dim", Argument(Ints{-1, -2})}, {"keepdim", Argument(g.random.chance(0.5))}});
}

void pad(G& g, Id x) {
  g.op("aten.constant_pad_nd.default", {{"self", x},
                                        {"pad", Argument(Ints{g.random.between(0, 2), 1, 1, g.random.between(0, 1)})},
                                        {"value", Argument(g.random.chance(0.7) ? 0.0 : 0.75)}});
}

void upsample(G& g, Id x) {
  const Ints doubled = {g.sizes(x)[2] * 2, g.sizes(x)[3] * 2};
  if (g.random.chance(0.5))
    g.op("aten.upsample_bilinear2d.vec", {{"input", x},
                                          {"output_size", Argument(doubled)},
                                          {"align_corners", Argument(g.random.chance(0.5))},
                                          {"scale_factors", Argument()}});
  else g.op("aten.upsample_nearest2d.vec", {{"input", x}, {"output_size", Argument(doubled)}, {"scale_factors", Argument()}});
}

void group_norm(G& g, Id x) {
  const int64_t channels = g.sizes(x)[1];
  g.op("aten.group_norm.default", {{"input", x},
                                   {"num_groups", Argument(channels % 2 == 0 ? 2 : 1)},
                                   {"weight", g.weight({channels}, 0.5, 1.5)},
                                   {"bias", g.weight({channels}, -0.5, 0.5)}});
}

// softmax(x x' / sqrt(d)) x, as a layer writes it or as the one operator.
void attention(G& g, Id x) {
  const double scale = 1 / std::sqrt(static_cast<double>(g.sizes(x).back()));
  if (g.random.chance(0.3)) {
    const Id heads = g.op("aten.unsqueeze.default", {{"self", x}, {"dim", Argument(1)}});
    g.op("aten.scaled_dot_product_attention.default", {{"query", heads}, {"key", heads}, {"value", heads}});
    return;
  }
  const Id turned = g.op("aten.transpose.int", {{"self", x}, {"dim0", Argument(1)}, {"dim1", Argument(2)}});
  const Id scores = g.op("aten.matmul.default", {{"self", x}, {"other", turned}});
  const Id scaled = g.op("aten.mul.Tensor", {{"self", scores}, {"other", Argument(scale)}});
  const Id shares = g.op("aten.softmax.int", {{"self", scaled}, {"dim", Argument(-1)}});
  g.op("aten.matmul.default", {{"self", shares}, {"other", x}});
}

// What is only defined, or only tame, above zero.
void of_positive(G& g, Id x, const char* op) {
  const Id positive = g.op("aten.add.Tensor", {{"self", g.op("aten.abs.default", {{"self", x}})}, {"other", Argument(0.5)}});
  if (std::string(op) == "aten.div.Tensor")
    g.op(op, {{"self", g.like(x, [&](const Sizes& other) { return other == g.sizes(x); })}, {"other", positive}});
  else g.op(op, {{"self", positive}});
}

void bounded_exp(G& g, Id x) {
  g.op("aten.exp.default", {{"self", g.op("aten.clamp.default", {{"self", x}, {"min", Argument(-3.0)}, {"max", Argument(2.0)}})}});
}

struct Row {
  double weight;  // how often, relative to the others
  int64_t lowest_rank, highest_rank;
  std::function<void(G&, Id)> draw;
};

std::function<void(G&, Id)> unary(const char* op, Operands more = {}) {
  return [=](G& g, Id x) {
    Operands operands = {{"self", x}};
    operands.insert(operands.end(), more.begin(), more.end());
    g.op(op, std::move(operands));
  };
}
template <typename F>
std::function<void(G&, Id)> with(F draw, const char* op) {
  return [=](G& g, Id x) { draw(g, x, op); };
}

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {8, 4, 4, [](G& g, Id x) { convolution(g, x, 2); }},
      {3, 3, 3, [](G& g, Id x) { convolution(g, x, 1); }},
      {1, 4, 4, conv_transpose},
      {1.5, 4, 4, batch_norm},
      {5, 2, 3, linear},
      {1, 4, 4, linear},
      {1.5, 2, 4, layer_norm},
      {0.7, 4, 4, group_norm},
      {1.5, 3, 3, attention},
      {2.5, 1, 4, with(binary, "aten.add.Tensor")},
      {1.5, 1, 4, with(binary, "aten.mul.Tensor")},
      {0.8, 1, 4, with(binary, "aten.sub.Tensor")},
      {0.3, 1, 4, with(binary, "aten.minimum.default")},
      {0.3, 1, 4, with(binary, "aten.maximum.default")},
      {0.6, 1, 4, with(scalar, "aten.add.Tensor")},
      {0.6, 1, 4, with(scalar, "aten.mul.Tensor")},
      {0.4, 1, 4, with(scalar, "aten.div.Tensor")},
      {0.3, 1, 4, with(scalar, "aten.sub.Tensor")},
      {2, 2, 4, cat},
      {1, 4, 4, with(pool, "aten.max_pool2d.default")},
      {1, 4, 4, with(pool, "aten.avg_pool2d.default")},
      {1, 4, 4, spatial_mean},
      {0.8, 2, 4, with(reduce, "aten.mean.dim")},
      {0.3, 2, 4, with(reduce, "aten.sum.dim_IntList")},
      {0.3, 2, 4, with(reduce, "aten.amax.default")},
      {0.8, 2, 4, softmax},
      {1, 1, 4, unary("aten.relu.default")},
      {0.5, 1, 4, unary("aten.hardtanh.default", {{"min_val", Argument(-1.0)}, {"max_val", Argument(1.5)}})},
      {0.4, 1, 4, unary("aten.relu6.default")},
      {0.4, 1, 4, unary("aten.clamp.default", {{"min", Argument(-0.5)}})},
      {0.6, 1, 4, unary("aten.sigmoid.default")},
      {0.6, 1, 4, unary("aten.tanh.default")},
      {0.6, 1, 4, unary("aten.gelu.default")},
      {0.3, 1, 4, unary("aten.gelu.default", {{"approximate", Argument("tanh")}})},
      {0.6, 1, 4, unary("aten.silu.default")},
      {0.6, 1, 4, unary("aten.hardswish.default")},
      {0.3, 1, 4, unary("aten.hardsigmoid.default")},
      {0.3, 1, 4, unary("aten.elu.default", {{"alpha", Argument(0.7)}})},
      {0.3, 1, 4, unary("aten.leaky_relu.default", {{"negative_slope", Argument(0.2)}})},
      {0.2, 1, 4, unary("aten.abs.default")},
      {0.2, 1, 4, unary("aten.neg.default")},
      {0.2, 1, 4, unary("aten.sin.default")},
      {0.2, 1, 4, unary("aten.pow.Tensor_Scalar", {{"exponent", Argument(2)}})},
      {0.2, 1, 4, bounded_exp},
      {0.2, 1, 4, with(of_positive, "aten.sqrt.default")},
      {0.2, 1, 4, with(of_positive, "aten.rsqrt.default")},
      {0.2, 1, 4, with(of_positive, "aten.log.default")},
      {0.2, 1, 4, with(of_positive, "aten.div.Tensor")},
      {1, 1, 4, reshape},
      {0.6, 3, 4, unary("aten.flatten.using_ints", {{"start_dim", Argument(1)}})},
      {0.8, 2, 4, permute},
      {0.8, 1, 4, slice},
      {0.5, 2, 4, chunk},
      {0.4, 3, 4, select},
      {0.3, 1, 3, unsqueeze},
      {0.6, 3, 4, pad},
      {0.5, 4, 4, upsample},
  };
  return table;
}

void draw_step(G& g) {
  const Id x = g.pick();
  double total = 0;
  for (const Row& row : rows())
    if (g.rank(x) >= row.lowest_rank && g.rank(x) <= row.highest_rank) total += row.weight;
  double left = g.random.uniform(0, total);
  for (const Row& row : rows()) {
    if (g.rank(x) < row.lowest_rank || g.rank(x) > row.highest_rank) continue;
    left -= row.weight;
    if (left < 0) return row.draw(g, x);
  }
}

}  // namespace

RandomGraph generate(uint64_t seed) {
  Generator g(seed);
  Random& r = g.random;
  const double kind = r.uniform(0, 1);
  if (kind < 0.6) g.input({r.between(1, 2), r.between(1, 6), r.between(4, 10), r.between(4, 10)});
  else if (kind < 0.85) g.input({r.between(1, 2), r.between(2, 7), r.between(2, 9)});
  else g.input({r.between(1, 3), r.between(2, 12)});
  if (r.chance(0.3)) g.input(Sizes(g.sizes(0)));
  for (int64_t left = r.between(2, 8); left > 0; --left) draw_step(g);
  return g.finish();
}

}  // namespace intaglio::random_graphs
