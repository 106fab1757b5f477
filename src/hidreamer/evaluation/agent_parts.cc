#include "hidreamer/evaluation/agent_parts.h"

#include <utility>
#include <vector>

#include "hidreamer/env/scripted_player.h"
#include "hidreamer/evaluation/game_artefacts.h"
#include "hidreamer/imagination/dreams.h"
#include "hidreamer/imagination/player.h"
#include "hidreamer/imagination/windows.h"
#include "hidreamer/policy/action_distribution.h"
#include "hidreamer/policy/return_comparison.h"

namespace hidreamer::evaluation {
namespace {

constexpr size_t kStartsAtATime = 128;

}  // namespace

nlohmann::json MeasurePlay(std::shared_ptr<imagination::Agent> agent,
                           const EnvironmentFactory& factory, const PlayOptions& options) {
  env::RandomPlayer random;
  const PlayResult baseline = PlayEpisodes(factory, random, options);
  imagination::Player player(std::move(agent), policy::kScoringTemperature);
  return ToJson(PlayEpisodes(factory, player, options), &baseline);
}

nlohmann::json MeasureDreamReturn(imagination::Agent& agent, const data::EpisodeStore& own_play,
                                  const DreamReturnOptions& options) {
  torch::NoGradGuard no_grad;
  const int64_t context = agent.world().options().context, horizon = options.horizon;
  Rng rng = SeedTree(options.seed).Generator("dream_return");
  std::vector<torch::Tensor> dreamed, continues, real;
  for (const auto& chunk :
       Chunks(SpreadWindowStarts(own_play.episodes(), context + horizon - 1, 1, options.starts),
              kStartsAtATime)) {
    const auto dream =
        imagination::DreamOn(agent, imagination::ReadWindows(agent, own_play, chunk, context),
                             {.horizon = horizon, .temperature = options.temperature}, rng);
    dreamed.push_back(dream.rewards);
    continues.push_back(dream.continues);
    for (const int64_t start : chunk) {
      const float* const followed = own_play.rewards().data() + start + context - 1;
      real.push_back(torch::tensor(std::vector(followed, followed + horizon)));
    }
  }
  if (dreamed.empty()) {
    return nlohmann::json::object();
  }
  nlohmann::json part =
      policy::CompareReturns(torch::cat(dreamed), torch::cat(continues), torch::stack(real));
  part["game"] = agent.game();
  part["horizon"] = horizon;
  return part;
}

}  // namespace hidreamer::evaluation
