// weight_rates ROWS COLUMNS: CPU seconds that one thread takes for a float32 weight in memory, for bench/weights.py; a line each of
// int4 in groups of 32, int8 per channel, int4 in groups of 32 with fitted scales, code books of 3 bits over 16 rows.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>

#include <intaglio/error.h>

#include "quant/code_book.h"
#include "quant/intx.h"

namespace {

using namespace intaglio;

// The best of three: the first one also pays for memory that is new.
void print_seconds(const std::function<void()>& work) {
  double best = 1e9;
  for (int round = 0; round < 3; ++round) {
    const std::clock_t start = std::clock();
    work();
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  std::printf("%.6f\n", best);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) return 2;
  const int64_t rows = std::atoll(argv[1]), columns = std::atoll(argv[2]);
  Tensor weight = Tensor::empty(DType::float32, {rows, columns});
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> uniform(-0.03f, 0.03f);
  for (int64_t i = 0; i < weight.numel(); ++i) weight.mutable_data<float>()[i] = uniform(generator);
  print_seconds([&] { quant::quantize_intx(weight, {.bits = 4, .group_size = 32}, 1); });
  print_seconds([&] { quant::quantize_intx(weight, {.bits = 8, .group_size = columns}, 1); });
  print_seconds([&] { quant::quantize_intx(weight, {.bits = 4, .group_size = 32, .fit_scale = true}, 1); });
  print_seconds([&] { quant::quantize_to_code_book(weight, 3, 16, columns, 1); });
  return 0;
} catch (const intaglio::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
