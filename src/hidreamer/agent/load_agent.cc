#include "hidreamer/agent/load_agent.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/base/error.h"
#include "hidreamer/config/load.h"
#include "hidreamer/data/windows.h"
#include "hidreamer/evaluation/frame_lookup.h"
#include "hidreamer/imagination/staged_agent.h"

namespace hidreamer::agent {
namespace {

namespace fs = std::filesystem;

// The one that is meant of those that the run has a policy for.
std::string ChooseGame(const fs::path& run, const std::string& game) {
  std::vector<std::string> games;
  if (fs::exists(run / "policy")) {
    for (const auto& entry : fs::directory_iterator(run / "policy")) {
      games.push_back(entry.path().filename().string());
    }
  }
  std::sort(games.begin(), games.end());
  if (game.empty() && games.size() == 1) {
    return games.front();
  }
  if (std::find(games.begin(), games.end(), game) == games.end()) {
    throw UserError(games.empty() ? "train one: hidreamer run CONFIG --out RUN"
                                  : fmt::format("--game with one of {}", fmt::join(games, ", ")),
                    "{} holds policies for {} games, and one is to be named", run.string(),
                    games.size());
  }
  return game;
}

// Shows codes with frames of the recording's training episodes.
class DrawnWithFrames {
 public:
  DrawnWithFrames(const fs::path& run, const std::string& game,
                  tokenizer::ResidualQuantizer quantizer)
      : tokens_(ReadTokens(run, game)),
        store_(run / "data" / game),
        lookup_(tokens_, std::move(quantizer), TrainEpisodes(run, game)) {}

  torch::Tensor operator()(const torch::Tensor& codes) const {
    const auto rows = lookup_.Find(codes.squeeze(1)).rows;
    torch::Tensor pictures =
        torch::empty({codes.size(0), env::kFrameSize, env::kFrameSize}, torch::kUInt8);
    for (size_t i = 0; i < rows.size(); ++i) {
      store_.ReadFrames(rows[i], rows[i] + 1,
                        pictures[static_cast<int64_t>(i)].data_ptr<uint8_t>());
    }
    return pictures;
  }

 private:
  static tokenizer::TokenizedGame ReadTokens(const fs::path& run, const std::string& game) {
    const auto path = run / "tokens" / (game + ".safetensors");
    if (!fs::exists(path)) {
      throw UserError("hidreamer run CONFIG --out RUN makes them",
                      "{} has no tokens whose frames could be shown", run.string());
    }
    return tokenizer::LoadTokenizedGame(path);
  }
  std::vector<data::EpisodeRange> TrainEpisodes(const fs::path& run, const std::string& game) {
    const config::Config config =
        config::LoadConfig(config::kStaged, {.file = run / "config.yaml"});
    return data::SplitEpisodes(store_.episodes(), config.split.validation,
                               SeedTree(static_cast<uint64_t>(config.seed)).Subtree(game))
        .train;
  }

  tokenizer::TokenizedGame tokens_;
  data::EpisodeStore store_;
  evaluation::FrameLookup lookup_;
};

std::shared_ptr<imagination::Agent> LoadStagedAgent(const fs::path& run, const std::string& game,
                                                    const LoadOptions& options) {
  const auto networks = imagination::LoadStagedNetworks(run, game);
  imagination::StagedAgent::Draw draw;
  if (options.pictures) {
    draw = [drawn = std::make_shared<DrawnWithFrames>(run, game, networks.quantizer)](
               const torch::Tensor& codes) { return (*drawn)(codes); };
  }
  return std::make_shared<imagination::StagedAgent>(networks, draw, options.device);
}

}  // namespace

std::shared_ptr<imagination::Agent> LoadAgent(const fs::path& run, const std::string& game,
                                              const LoadOptions& options) {
  if (!HoldsAgent(run) && fs::exists(run / "config.yaml")) {
    return LoadStagedAgent(run, ChooseGame(run, game), options);
  }
  AgentModels models = LoadAgentModels(run);
  if (!game.empty() && game != models->game()) {
    throw UserError("name that game, or none", "{} holds an agent for {}, not for {}", run.string(),
                    models->game(), game);
  }
  models->to(options.device);
  return models.ptr();
}

}  // namespace hidreamer::agent
