// LSTM, GRU and plain recurrent layers, unrolled over their steps, and their cells. The input's part of all gates is one product for all
// steps; the sequence length must be fixed.
#include "decompose/tables.h"

namespace intaglio::decompose {
namespace {

// What a cell carries from step to step: the hidden state and, in an LSTM, the cell state.
struct CellState {
  Value* hidden = nullptr;
  Value* cell = nullptr;
};

struct Cell {
  int64_t gates;
  // From the input's and the hidden state's shares of the gates [batch, gates * hidden].
  CellState (*step)(GraphBuilder&, Value* from_input, Value* from_hidden, const CellState&);
};

Value* gate(GraphBuilder& b, Value* gates, int64_t index, int64_t count) {
  const int64_t width = gates->sizes()[1].value() / count;
  return b.slice(gates, 1, index * width, (index + 1) * width);
}

// c' = f c + i g;  h' = o tanh(c')
CellState lstm_step(GraphBuilder& b, Value* from_input, Value* from_hidden, const CellState& state) {
  Value* gates = b("aten.add.Tensor", from_input, from_hidden);
  Value* in = b("aten.sigmoid.default", gate(b, gates, 0, 4));
  Value* forget = b("aten.sigmoid.default", gate(b, gates, 1, 4));
  Value* candidate = b("aten.tanh.default", gate(b, gates, 2, 4));
  Value* out = b("aten.sigmoid.default", gate(b, gates, 3, 4));
  Value* kept = b("aten.mul.Tensor", forget, state.cell);
  Value* added = b("aten.mul.Tensor", in, candidate);
  Value* cell = b("aten.add.Tensor", kept, added);
  return {b("aten.mul.Tensor", out, b("aten.tanh.default", cell)), cell};
}

// n = tanh(x_n + r h_n);  h' = n + z (h - n)
CellState gru_step(GraphBuilder& b, Value* from_input, Value* from_hidden, const CellState& state) {
  const auto both = [&](int64_t index) {
    Value* left = gate(b, from_input, index, 3);
    return b("aten.sigmoid.default", b("aten.add.Tensor", left, gate(b, from_hidden, index, 3)));
  };
  Value* reset = both(0);
  Value* update = both(1);
  Value* left = gate(b, from_input, 2, 3);
  Value* right = b("aten.mul.Tensor", reset, gate(b, from_hidden, 2, 3));
  Value* fresh = b("aten.tanh.default", b("aten.add.Tensor", left, right));
  Value* rest = b("aten.mul.Tensor", update, b("aten.sub.Tensor", state.hidden, fresh));
  return {b("aten.add.Tensor", fresh, rest), nullptr};
}

CellState tanh_step(GraphBuilder& b, Value* from_input, Value* from_hidden, const CellState&) {
  return {b("aten.tanh.default", b("aten.add.Tensor", from_input, from_hidden)), nullptr};
}
CellState relu_step(GraphBuilder& b, Value* from_input, Value* from_hidden, const CellState&) {
  return {b("aten.relu.default", b("aten.add.Tensor", from_input, from_hidden)), nullptr};
}

struct Layer {
  Value *input_weight, *hidden_weight;
  Argument input_bias, hidden_bias;
  Value* projection = nullptr;  // of an LSTM's hidden state
};

// One direction over x [steps, batch, features]; the hidden states [1, batch, hidden] by step.
Values run_direction(GraphBuilder& b, const Cell& cell, const Layer& layer, Value* x, CellState& state, bool backwards) {
  const int64_t steps = x->sizes()[0].value();
  Value* from_input = b("aten.linear.default", x, layer.input_weight, layer.input_bias);
  Values hidden(static_cast<size_t>(steps));
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t step = backwards ? steps - 1 - i : i;
    Value* own = b("aten.select.int", from_input, 0, step);
    Value* from_hidden = b("aten.linear.default", state.hidden, layer.hidden_weight, layer.hidden_bias);
    state = cell.step(b, own, from_hidden, state);
    if (layer.projection) state.hidden = b("aten.linear.default", state.hidden, layer.projection);
    hidden[static_cast<size_t>(step)] = b.unsqueeze(state.hidden, 0);
  }
  return hidden;
}

struct Recurrence {
  Value* output;
  Values last_hidden, last_cell;
};

Recurrence run(GraphBuilder& b, const Node& n, const Cell& cell, Value* hidden, Value* cells) {
  Value* x = n.tensor("input");
  const bool batch_first = n.boolean("batch_first"), biased = n.boolean("has_biases");
  const int64_t layers = n.integer("num_layers"), directions = n.boolean("bidirectional") ? 2 : 1;
  const Values parameters = n.tensors("params");
  const size_t without = biased ? 4 : 2, runs = static_cast<size_t>(layers * directions);
  const bool projected = cells && parameters.size() == (without + 1) * runs;
  const size_t each = without + (projected ? 1 : 0);
  if (n.boolean("train") && n.number("dropout") != 0) refuse(n, "dropout in training mode; call eval() before the export");
  if (parameters.size() != each * runs) refuse(n, "the number of weights does not fit the layers");
  if (batch_first) x = b.permute(x, {1, 0, 2});
  if (!x->sizes()[0].is_static() || x->sizes()[0].value() == 0) refuse(n, "the sequence length must be fixed");
  Recurrence result{x, {}, {}};
  for (int64_t i = 0; i < layers; ++i) {
    std::vector<Values> by_direction;
    for (int64_t d = 0; d < directions; ++d) {
      const int64_t place = i * directions + d;
      const size_t at = each * static_cast<size_t>(place);
      const Layer layer{parameters[at], parameters[at + 1], biased ? Argument(parameters[at + 2]) : Argument(),
                        biased ? Argument(parameters[at + 3]) : Argument(), projected ? parameters[at + without] : nullptr};
      CellState state{b("aten.select.int", hidden, 0, place), cells ? b("aten.select.int", cells, 0, place) : nullptr};
      by_direction.push_back(run_direction(b, cell, layer, result.output, state, d == 1));
      result.last_hidden.push_back(b.unsqueeze(state.hidden, 0));
      if (cells) result.last_cell.push_back(b.unsqueeze(state.cell, 0));
    }
    Values steps = by_direction[0];
    if (directions == 2)
      for (size_t s = 0; s < steps.size(); ++s) steps[s] = b("aten.cat.default", Values{steps[s], by_direction[1][s]}, 2);
    result.output = b("aten.cat.default", steps, 0);
  }
  if (batch_first) result.output = b.permute(result.output, {1, 0, 2});
  return result;
}

Values lstm(GraphBuilder& b, const Node& n) {
  const Values states = n.tensors("hx");
  if (states.size() != 2) refuse(n, "two initial states are needed");
  const Recurrence r = run(b, n, {4, lstm_step}, states[0], states[1]);
  Value* hidden = b("aten.cat.default", r.last_hidden, 0);
  return {r.output, hidden, b("aten.cat.default", r.last_cell, 0)};
}
Values one_state(GraphBuilder& b, const Node& n, const Cell& cell) {
  const Recurrence r = run(b, n, cell, n.tensor("hx"), nullptr);
  return {r.output, b("aten.cat.default", r.last_hidden, 0)};
}
Values gru(GraphBuilder& b, const Node& n) { return one_state(b, n, {3, gru_step}); }
Values rnn_tanh(GraphBuilder& b, const Node& n) { return one_state(b, n, {1, tanh_step}); }
Values rnn_relu(GraphBuilder& b, const Node& n) { return one_state(b, n, {1, relu_step}); }

// One step over [batch, features].
CellState one_step(GraphBuilder& b, const Node& n, const Cell& cell, const CellState& state) {
  const auto bias = [&](std::string_view argument) {
    Value* value = n.optional_tensor(argument);
    return value ? Argument(value) : Argument();
  };
  Value* from_input = b("aten.linear.default", n.tensor("input"), n.tensor("w_ih"), bias("b_ih"));
  Value* from_hidden = b("aten.linear.default", state.hidden, n.tensor("w_hh"), bias("b_hh"));
  return cell.step(b, from_input, from_hidden, state);
}
Values lstm_cell(GraphBuilder& b, const Node& n) {
  const Values states = n.tensors("hx");
  if (states.size() != 2) refuse(n, "two initial states are needed");
  const CellState next = one_step(b, n, {4, lstm_step}, {states[0], states[1]});
  return {next.hidden, next.cell};
}
Values gru_cell(GraphBuilder& b, const Node& n) { return {one_step(b, n, {3, gru_step}, {n.tensor("hx"), nullptr}).hidden}; }
Values rnn_tanh_cell(GraphBuilder& b, const Node& n) { return {one_step(b, n, {1, tanh_step}, {n.tensor("hx"), nullptr}).hidden}; }
Values rnn_relu_cell(GraphBuilder& b, const Node& n) { return {one_step(b, n, {1, relu_step}, {n.tensor("hx"), nullptr}).hidden}; }

const DecompositionRow recurrent_rows[] = {
    {lstm_cell, {"aten.lstm_cell.default"}},
    {gru_cell, {"aten.gru_cell.default"}},
    {rnn_tanh_cell, {"aten.rnn_tanh_cell.default"}},
    {rnn_relu_cell, {"aten.rnn_relu_cell.default"}},
    {lstm, {"aten.lstm.input"}},
    {gru, {"aten.gru.input"}},
    {rnn_tanh, {"aten.rnn_tanh.input"}},
    {rnn_relu, {"aten.rnn_relu.input"}},
};

}  // namespace

std::span<const DecompositionRow> recurrent_decompositions() { return recurrent_rows; }

}  // namespace intaglio::decompose
