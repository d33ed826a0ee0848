// LSTM, GRU and plain recurrent layers, step by step, in float32.
#include <algorithm>
#include <cmath>

#include "interpreter/fallbacks.h"
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

using Floats = std::vector<float>;

Floats floats_of(const Call& call, const Tensor& tensor) {
  const Tensor copy = own_copy(call, tensor, DType::float32);
  return {copy.data<float>(), copy.data<float>() + copy.numel()};
}

// y = W x + b for the rows of a batch. The weight is kept transposed, so that the inner loop runs over outputs.
struct Affine {
  int64_t inputs = 0, outputs = 0;
  Floats transposed, bias;

  Affine(Call& call, const Tensor& weight, const Tensor* bias_tensor) : inputs(weight.size(1)), outputs(weight.size(0)) {
    const int64_t order[] = {1, 0};
    transposed = floats_of(call, weight.permuted(order));
    bias = bias_tensor != nullptr ? floats_of(call, *bias_tensor) : Floats(static_cast<size_t>(outputs), 0.0f);
    call.require(std::ssize(bias) == outputs, "a bias does not fit its weight");
  }
  void operator()(const float* x, float* y) const {
    std::copy(bias.begin(), bias.end(), y);
    for (int64_t i = 0; i < inputs; ++i) {
      const float* row = transposed.data() + i * outputs;
      for (int64_t o = 0; o < outputs; ++o) y[o] += x[i] * row[o];
    }
  }
};

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// One step of one sample: from the input's and the hidden state's shares of the gates to the new states.
using Step = void (*)(const float* from_input, const float* from_hidden, int64_t width, float* hidden, float* cell);

// c' = f c + i g;  h' = o tanh(c')
void lstm_step(const float* x, const float* h, int64_t width, float* hidden, float* cell) {
  const auto gate = [&](int64_t index, int64_t j) { return x[index * width + j] + h[index * width + j]; };
  for (int64_t j = 0; j < width; ++j) {
    cell[j] = sigmoid(gate(1, j)) * cell[j] + sigmoid(gate(0, j)) * std::tanh(gate(2, j));
    hidden[j] = sigmoid(gate(3, j)) * std::tanh(cell[j]);
  }
}
// n = tanh(x_n + r h_n);  h' = n + z (h - n)
void gru_step(const float* x, const float* h, int64_t width, float* hidden, float*) {
  for (int64_t j = 0; j < width; ++j) {
    const float reset = sigmoid(x[j] + h[j]), update = sigmoid(x[width + j] + h[width + j]);
    const float fresh = std::tanh(x[2 * width + j] + reset * h[2 * width + j]);
    hidden[j] = fresh + update * (hidden[j] - fresh);
  }
}
void tanh_step(const float* x, const float* h, int64_t width, float* hidden, float*) {
  for (int64_t j = 0; j < width; ++j) hidden[j] = std::tanh(x[j] + h[j]);
}
void relu_step(const float* x, const float* h, int64_t width, float* hidden, float*) {
  for (int64_t j = 0; j < width; ++j) hidden[j] = std::max(x[j] + h[j], 0.0f);
}

struct CellKind {
  int64_t gates;
  Step step;
  bool has_cell;
};
constexpr CellKind kinds[] = {{4, lstm_step, true}, {3, gru_step, false}, {1, tanh_step, false}, {1, relu_step, false}};
enum : int { cell_lstm, cell_gru, cell_tanh, cell_relu };

// [steps, batch, features] in memory.
struct Sequence {
  int64_t steps = 0, batch = 0, features = 0;
  Floats data;
  float* at(int64_t step, int64_t sample) { return data.data() + (step * batch + sample) * features; }
};

// Runs one direction of one layer; `hidden` and `cell` [batch, width] go from first to last state. Results are written
// to `out` from feature `first` on.
void run_direction(const CellKind& kind, const Affine& input, const Affine& recurrent, Sequence& x, bool backwards, float* hidden,
                   float* cell, Sequence& out, int64_t first) {
  const int64_t width = recurrent.inputs;
  Floats from_input(static_cast<size_t>(input.outputs)), from_hidden(static_cast<size_t>(input.outputs));
  for (int64_t i = 0; i < x.steps; ++i) {
    const int64_t step = backwards ? x.steps - 1 - i : i;
    for (int64_t sample = 0; sample < x.batch; ++sample) {
      float* state = hidden + sample * width;
      input(x.at(step, sample), from_input.data());
      recurrent(state, from_hidden.data());
      kind.step(from_input.data(), from_hidden.data(), width, state, cell + sample * width);
      std::copy_n(state, width, out.at(step, sample) + first);
    }
  }
}

Tensor tensor_of(const Call& call, const Floats& values, Sizes sizes, DType dtype) {
  const Tensor tensor = call.empty(DType::float32, std::move(sizes));
  std::copy(values.begin(), values.end(), writable<float>(tensor));
  return converted(tensor, dtype);
}

void recurrent(Call& call) {
  const CellKind& kind = kinds[call.variant()];
  const Tensor& given = call.tensor("input");
  call.require(given.rank() == 3 && is_floating(given.dtype()), "the input must be [steps, batch, features] of floats");
  const bool batch_first = call.boolean("batch_first"), biased = call.boolean("has_biases");
  const int64_t layers = call.integer("num_layers"), directions = call.boolean("bidirectional") ? 2 : 1;
  if (call.boolean("train") && call.floating("dropout") != 0) call.unsupported("dropout in training mode; call eval() before the export");
  const std::vector<const Tensor*> parameters = call.tensors("params");
  const int64_t each = biased ? 4 : 2;
  call.require(layers > 0, "there must be a layer");
  if (std::ssize(parameters) == (each + 1) * layers * directions) return run_expanded(call);  // with projections
  call.require(std::ssize(parameters) == each * layers * directions, "the number of weights does not fit");
  for (int64_t i = 0; i < std::ssize(parameters); ++i)
    call.require(parameters[static_cast<size_t>(i)] != nullptr && parameters[static_cast<size_t>(i)]->rank() == (i % each < 2 ? 2 : 1),
                 "a weight or bias has the wrong rank");

  const int64_t order[] = {1, 0, 2};
  const Tensor moved = batch_first ? given.permuted(order) : given;
  Sequence x{moved.size(0), moved.size(1), moved.size(2), floats_of(call, moved)};
  const int64_t width = parameters[1]->size(1);
  const auto states = kind.has_cell ? call.tensors("hx") : std::vector<const Tensor*>{&call.tensor("hx")};
  call.require(states.size() == (kind.has_cell ? 2 : 1), "the initial states are missing");
  for (const Tensor* state : states)
    call.require(state != nullptr && state->sizes() == Sizes{layers * directions, x.batch, width}, "an initial state has the wrong sizes");
  Floats hidden = floats_of(call, *states[0]);
  Floats cell = kind.has_cell ? floats_of(call, *states[1]) : Floats(hidden.size());

  for (int64_t layer = 0; layer < layers; ++layer) {
    Sequence out{x.steps, x.batch, width * directions, Floats(static_cast<size_t>(x.steps * x.batch * width * directions))};
    for (int64_t direction = 0; direction < directions; ++direction) {
      const int64_t place = layer * directions + direction;
      const auto parameter = [&](int64_t i) { return parameters[static_cast<size_t>(place * each + i)]; };
      const Affine input(call, *parameter(0), biased ? parameter(2) : nullptr), own(call, *parameter(1), biased ? parameter(3) : nullptr);
      call.require(
          input.inputs == x.features && input.outputs == kind.gates * width && own.inputs == width && own.outputs == kind.gates * width,
          "a weight does not fit the layer");
      const int64_t at = place * x.batch * width;
      run_direction(kind, input, own, x, direction == 1, hidden.data() + at, cell.data() + at, out, direction * width);
    }
    x = std::move(out);
  }
  const Tensor output = tensor_of(call, x.data, {x.steps, x.batch, x.features}, given.dtype());
  call.set(batch_first ? output.permuted(order) : output, 0);
  call.set(tensor_of(call, hidden, states[0]->sizes(), given.dtype()), 1);
  if (kind.has_cell) call.set(tensor_of(call, cell, states[1]->sizes(), given.dtype()), 2);
}

}  // namespace

std::span<const Kernel> recurrent_kernels() {
  static const Kernel table[] = {
      {"aten.lstm.input", recurrent, cell_lstm},
      {"aten.gru.input", recurrent, cell_gru},
      {"aten.rnn_tanh.input", recurrent, cell_tanh},
      {"aten.rnn_relu.input", recurrent, cell_relu},
  };
  return table;
}

}  // namespace intaglio::interp
