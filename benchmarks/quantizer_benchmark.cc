#include "hidreamer/layers/nearest_search.h"
#include "hidreamer/tokenizer/residual_quantizer.h"
#include "quality.h"

namespace hidreamer::benchmarks {
namespace {

constexpr int64_t kRowWidth = 384;

torch::Tensor UnitRows(int64_t rows) {
  torch::manual_seed(1);
  const torch::Tensor z = torch::randn({rows, kRowWidth});
  return z / z.norm(2, 1, /*keepdim=*/true);
}

void NearestRows(benchmark::State& state) {
  const int64_t rows = state.range(0), codes = state.range(1);
  const torch::Tensor z = UnitRows(rows);
  const torch::Tensor centers = torch::randn({codes, kRowWidth}) * 0.05;
  torch::Tensor nearest;
  for (auto _ : state) {
    nearest = layers::NearestRows(z, centers);
  }
  state.SetItemsProcessed(state.iterations() * rows);
  // How much farther than the nearest of all the chosen centers are: 0 where every choice is right.
  const torch::Tensor distances = torch::cdist(z.to(torch::kDouble), centers.to(torch::kDouble));
  CountError(state, distances.gather(1, nearest.unsqueeze(1)).squeeze(1),
             std::get<0>(distances.min(1)));
}
BENCHMARK(NearestRows)->Args({256, 256})->Args({16384, 256})->Unit(benchmark::kMillisecond);

void ResidualEncode(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const torch::Tensor z = UnitRows(rows);
  tokenizer::ResidualQuantizer quantizer;
  for (int64_t l = 0; l < quantizer->options().levels; ++l) {
    tokenizer::CodebookLevel(quantizer->level(l))
        ->Start(torch::randn({quantizer->options().codes, kRowWidth}) * 0.05);
  }
  torch::Tensor codes;
  for (auto _ : state) {
    codes = quantizer->Encode(z);
  }
  state.SetItemsProcessed(state.iterations() * rows);
  quantizer->to(torch::kDouble);
  const torch::Tensor exact = quantizer->Encode(z.to(torch::kDouble));
  state.counters["error_f64"] = codes.ne(exact).to(torch::kDouble).mean().item<double>();
}
BENCHMARK(ResidualEncode)->Arg(16384)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hidreamer::benchmarks
