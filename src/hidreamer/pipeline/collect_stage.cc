#include <algorithm>

#include "hidreamer/agent/load_agent.h"
#include "hidreamer/data/collect.h"
#include "hidreamer/env/scripted_player.h"
#include "hidreamer/imagination/player.h"
#include "hidreamer/pipeline/stages.h"

namespace hidreamer::pipeline {

std::unique_ptr<env::Player> MakeAnyPlayer(const std::string& policy, const std::string& game,
                                           double temperature, torch::Device device) {
  if (!env::IsPlayerName(policy) && std::filesystem::is_directory(policy)) {
    return std::make_unique<imagination::Player>(
        agent::LoadAgent(policy, game, {.device = device, .pictures = false}), temperature);
  }
  return env::MakePlayer(policy);  // a user Error for an unknown name
}

data::EpisodeStore OpenRecording(const StageContext& context, const std::string& game) {
  return data::EpisodeStore(context.run.path() / "data" / game);
}

Stage CollectStage(const std::string& game) {
  const StageId id{.name = "collect/" + game, .settings = "collect", .folder = "data/" + game};
  const auto work = [id, game](StageContext& context) {
    const config::CollectConfig& config = context.config.collect;
    data::CollectOptions options;
    options.game = game;
    options.protocol = config.protocol;
    options.steps = config.steps;
    options.environments = static_cast<int>(std::min(config.environments, config.steps));
    options.threads = context.run.threads();
    options.seed = context.seeds.Stream("collect/" + game);
    const std::unique_ptr<env::Player> player = MakeAnyPlayer(config.policy, game);
    const data::CollectSummary summary =
        data::CollectEpisodes(options, *player, context.run.Folder(id));
    return nlohmann::json{{"steps", summary.steps},
                          {"episodes", summary.episodes},
                          {"mean_score", summary.mean_score},
                          {"frame_bytes", summary.frame_bytes}};
  };
  return {.id = id, .headline = "record " + game, .work = work};
}

}  // namespace hidreamer::pipeline
