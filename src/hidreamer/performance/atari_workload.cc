#include <fmt/format.h>

#include "hidreamer/env/registry.h"
#include "hidreamer/env/scripted_player.h"
#include "hidreamer/env/vector_environment.h"
#include "hidreamer/performance/workload.h"

namespace hidreamer::performance {
namespace {

constexpr int kGames = 8;

// Random play of Pong, an episode after another.
class RandomPlay {
 public:
  explicit RandomPlay(int threads)
      : games_(kGames, threads, [] { return env::MakeEnvironment("pong", "atari100k"); }),
        episodes_(kGames, 0) {
    for (int slot = 0; slot < kGames; ++slot) {
      rngs_.push_back(seeds_.Generator("player", static_cast<uint64_t>(slot)));
      Begin(slot);
    }
  }

  void Step() {
    games_.Play(player_, rngs_, [this](int slot, int /*action*/, const env::StepResult& result) {
      if (result.terminal || result.truncated) {
        Begin(slot);
      }
    });
  }

 private:
  void Begin(int slot) {
    uint64_t& episode = episodes_[static_cast<size_t>(slot)];
    games_.Reset(slot, seeds_.Stream(fmt::format("episode/{}", slot), episode++));
  }

  SeedTree seeds_{kWorkloadSeed};
  env::RandomPlayer player_;
  env::VectorEnvironment games_;
  std::vector<uint64_t> episodes_;
  std::vector<Rng> rngs_;
};

}  // namespace

Workload Atari(const WorkloadOptions& options) {
  const int steps = options.quick ? 2 : 100;
  return {.shape = fmt::format("pong, {} games, stacks of 4, {} threads", kGames, options.threads),
          .precision = layers::Precision::kF32,
          .run =
              [play = std::make_shared<RandomPlay>(options.threads), steps] {
                for (int i = 0; i < steps; ++i) {
                  play->Step();
                }
              },
          .items = static_cast<double>(steps) * kGames,
          .unit = "agent steps"};
}

}  // namespace hidreamer::performance
