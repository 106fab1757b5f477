#include "hidreamer/env/area_resize.h"
#include "quality.h"

namespace hidreamer::benchmarks {
namespace {

// Between two screens that differ in the first `range` rows.
void AreaResize(benchmark::State& state) {
  constexpr int kScreenHeight = 210, kScreenWidth = 160, kSize = 84;
  torch::manual_seed(1);
  const torch::Tensor screen = torch::randint(256, {kScreenHeight, kScreenWidth}, torch::kUInt8);
  const torch::Tensor other = screen.clone();
  other.narrow(0, 0, state.range(0)).bitwise_not_();
  torch::Tensor out = torch::empty({kSize, kSize}, torch::kUInt8), exact = torch::empty_like(out);
  env::AreaResizer resizer(kScreenHeight, kScreenWidth, kSize, kSize);
  for (auto _ : state) {  // two pictures
    resizer.Resize(other.data_ptr<uint8_t>(), out.data_ptr<uint8_t>());
    benchmark::ClobberMemory();
    resizer.Resize(screen.data_ptr<uint8_t>(), out.data_ptr<uint8_t>());
    benchmark::ClobberMemory();
  }
  env::ResizeByDefinition(screen.data_ptr<uint8_t>(), kScreenHeight, kScreenWidth,
                          exact.data_ptr<uint8_t>(), kSize, kSize);
  CountError(state, out, exact.to(torch::kDouble));
}
BENCHMARK(AreaResize)->Arg(60)->Arg(210)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hidreamer::benchmarks
