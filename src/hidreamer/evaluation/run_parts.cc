#include "hidreamer/evaluation/run_parts.h"

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/data/collect.h"
#include "hidreamer/encoder/embed.h"
#include "hidreamer/encoder/embedding_metrics.h"
#include "hidreamer/encoder/encoder.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/evaluation/agent_parts.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/imagination/outcome_metrics.h"
#include "hidreamer/imagination/player.h"
#include "hidreamer/imagination/replay_windows.h"
#include "hidreamer/imagination/staged_agent.h"
#include "hidreamer/policy/policy_model.h"
#include "hidreamer/tokenizer/token_metrics.h"
#include "hidreamer/world_model/world_model_learner.h"

namespace hidreamer::evaluation {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kExampleCodes = 6;
constexpr int64_t kExampleFrames = 8;
constexpr int64_t kPredictionBatch = 16;
constexpr int64_t kPlayedSteps = 2000;  // that dreams are held against

// The most used codes of L0 and a few frames of each, spread over the recording.
json CodeExamples(const tokenizer::TokenizedGame& game, int64_t codes) {
  const torch::Tensor coarse = game.tokens.select(1, 0).contiguous();
  const auto order = torch::bincount(coarse, {}, codes).argsort(0, /*descending=*/true);
  json list = json::array();
  for (int64_t i = 0; i < std::min(kExampleCodes, codes); ++i) {
    const int64_t code = order[i].item<int64_t>();
    const torch::Tensor rows = coarse.eq(code).nonzero().select(1, 0);
    if (rows.numel() == 0) {
      break;
    }
    json chosen = json::array();
    for (int64_t k = 0; k < std::min(kExampleFrames, rows.numel()); ++k) {
      chosen.push_back(
          rows[k * rows.numel() / std::min(kExampleFrames, rows.numel())].item<int64_t>());
    }
    list.push_back(
        {{"code", code},
         {"share", static_cast<double>(rows.numel()) / static_cast<double>(coarse.numel())},
         {"rows", chosen}});
  }
  return {{"game", game.game}, {"codes", list}};
}

// A world model that was trained along with the policy lies beside it.
world_model::WorldModel PolicyWorldModel(const LoadedRun& run, size_t index) {
  const fs::path joint = run.path / "policy" / run.games[index] / "world_model.safetensors";
  return fs::exists(joint) ? world_model::LoadWorldModel(joint) : run.artefacts[index].world_model;
}

}  // namespace

std::unique_ptr<LoadedRun> LoadRun(const fs::path& run, const config::Config& config) {
  auto loaded = std::make_unique<LoadedRun>();
  loaded->path = run;
  loaded->config = &config;
  const SeedTree root(static_cast<uint64_t>(config.seed));
  loaded->seeds = root.Subtree("evaluation");
  tokenizer::ResidualQuantizer quantizer{nullptr};
  world_model::WorldModel model{nullptr};
  if (const auto path = run / "tokenizer" / "model.safetensors"; fs::exists(path)) {
    quantizer = tokenizer::LoadResidualQuantizer(path);
  }
  if (const auto path = run / "world_model" / "model.safetensors"; fs::exists(path)) {
    model = world_model::LoadWorldModel(path);
  }
  bool all_tokens = true;
  for (const std::string& game : config.games) {
    if (!fs::exists(run / "data" / game)) {
      continue;
    }
    loaded->games.push_back(game);
    loaded->stores.push_back(std::make_unique<data::EpisodeStore>(run / "data" / game));
    const auto path = run / "tokens" / (game + ".safetensors");
    all_tokens = all_tokens && fs::exists(path);
    if (all_tokens) {
      loaded->tokens.push_back(tokenizer::LoadTokenizedGame(path));
    }
  }
  if (!all_tokens) {
    loaded->tokens.clear();
  }
  for (size_t i = 0; i < loaded->games.size(); ++i) {
    const std::string& game = loaded->games[i];
    GameArtefacts artefacts;
    artefacts.store = loaded->stores[i].get();
    artefacts.split = data::SplitEpisodes(artefacts.store->episodes(), config.split.validation,
                                          root.Subtree(game));
    if (const auto path = run / "embeddings" / (game + ".safetensors"); fs::exists(path)) {
      const auto file = formats::LoadSafetensors(path);
      const auto found = file.tensors.find("embeddings");
      if (found == file.tensors.end() || found->second.size(0) != artefacts.store->size()) {
        throw UserError("remove it and run again", "{} does not fit the recording", path.string());
      }
      artefacts.embeddings = found->second;
    }
    if (all_tokens) {
      artefacts.tokens = &loaded->tokens[i];
      artefacts.quantizer = quantizer;
      artefacts.world_model = model;
    }
    loaded->artefacts.push_back(artefacts);
  }
  return loaded;
}

json MeasureEmbeddingPart(const LoadedRun& run) {
  json part;
  torch::manual_seed(run.seeds.Stream("untrained encoder"));
  encoder::Encoder untrained;
  untrained->eval();
  std::vector<encoder::EmbeddedGame> games;
  for (const GameArtefacts& game : run.artefacts) {
    if (!game.embeddings.defined()) {
      continue;
    }
    games.push_back({game.embeddings, game.split.validation});
    part[game.game()] = {{"trained", encoder::MeasureEmbeddings(games.back(), run.seeds)},
                         {"untrained", encoder::MeasureEncoder(untrained, *game.store,
                                                               game.split.validation, run.seeds)}};
  }
  if (games.size() > 1) {
    part["all games"]["trained"] = encoder::MeasureJointEmbeddings(games, run.seeds);
  }
  return part;
}

json MeasureCodesPart(const LoadedRun& run) {
  json part = {{"levels", json::array()}, {"examples", json::array()}};
  std::vector<const tokenizer::TokenizedGame*> all;
  for (const tokenizer::TokenizedGame& game : run.tokens) {
    all.push_back(&game);
  }
  const auto together = tokenizer::MeasureTokens(all);
  std::vector<std::vector<tokenizer::LevelTokenMetrics>> apart;
  for (const tokenizer::TokenizedGame* game : all) {
    apart.push_back(tokenizer::MeasureTokens({game}));
    part["examples"].push_back(CodeExamples(*game, game->codes));
  }
  for (size_t level = 0; level < together.size(); ++level) {
    json games = json::array();
    for (size_t g = 0; g < all.size(); ++g) {
      json row = apart[g][level];
      row["game"] = all[g]->game;
      games.push_back(row);
    }
    part["levels"].push_back({{"all", together[level]}, {"games", games}});
  }
  if (all.size() > 1) {
    part["sharing"] = tokenizer::MeasureSharing(all, run.seeds);
  }
  // The text's single codebook, where there is one.
  const auto single = run.path / "single_vq" / "model.safetensors";
  if (fs::exists(single)) {
    tokenizer::ResidualQuantizer quantizer = tokenizer::LoadResidualQuantizer(single);
    std::vector<tokenizer::TokenizedGame> coded;
    std::vector<const tokenizer::TokenizedGame*> pointers;
    for (const GameArtefacts& game : run.artefacts) {
      if (game.embeddings.defined()) {
        coded.push_back(tokenizer::TokenizeStore(quantizer, *game.store, game.embeddings));
      }
    }
    for (const auto& game : coded) {
      pointers.push_back(&game);
    }
    if (!pointers.empty()) {
      part["single_vq"] = tokenizer::MeasureTokens(pointers).front();
    }
  }
  return part;
}

json MeasurePredictionPart(const LoadedRun& run, world_model::WorldModel model,
                           const config::SplitConfig& split_config) {
  const config::Config& config = *run.config;
  const int64_t length = config.world_model.window;
  const SeedTree root(static_cast<uint64_t>(config.seed));
  const world_model::WindowSplit split =
      world_model::SplitWindows(run.tokens, length, split_config, root);
  const world_model::CountingBaselines baselines(run.tokens, split.train, length,
                                                 world_model::LayoutOf(run.tokens));
  std::vector<data::WindowStart> windows = split.validation;
  const auto wanted = static_cast<size_t>(config.evaluation.open_loop_windows);
  if (windows.size() > wanted) {
    std::vector<data::WindowStart> chosen;
    for (size_t i = 0; i < wanted; ++i) {
      chosen.push_back(windows[i * windows.size() / wanted]);
    }
    windows = chosen;
  }
  if (windows.empty()) {
    return json::object();
  }
  json part = world_model::EvaluatePrediction(model, run.tokens, windows, length, kPredictionBatch,
                                              &baselines)
                  .ToJson();
  part["windows"] = windows.size();
  part["length"] = length;
  part["split"] = split_config.by;
  return part;
}

json MeasureMasksPart(const LoadedRun& run) {
  constexpr int64_t kSteps = 4;
  const world_model::WorldModelOptions options = run.artefacts[0].world_model->options();
  const int64_t positions = kSteps * options.layout.positions_per_step();
  json part = {{"used", world_model::MaskName(options.mask)}, {"masks", json::array()}};
  for (int64_t level = 0; level < options.layout.levels; ++level) {
    part["labels"].push_back("L" + std::to_string(level));
  }
  part["labels"].push_back("A");
  for (const auto kind : {world_model::MaskKind::kReference, world_model::MaskKind::kStrict,
                          world_model::MaskKind::kCausal}) {
    json rows = json::array();
    for (int64_t q = 0; q < positions; ++q) {
      std::string row;
      for (int64_t k = 0; k < positions; ++k) {
        row += world_model::MayAttend(options.layout, kind, q, k) ? '1' : '0';
      }
      rows.push_back(row);
    }
    part["masks"].push_back({{"kind", world_model::MaskName(kind)}, {"rows", rows}});
  }
  return part;
}

json MeasureOutcomesPart(const LoadedRun& run, size_t index) {
  const GameArtefacts& game = run.artefacts[index];
  policy::PolicyModel policy =
      policy::LoadPolicyModel(run.path / "policy" / game.game() / "model.safetensors");
  policy->eval();
  const world_model::WorldModel model = PolicyWorldModel(run, index);
  const auto& options = policy->options();
  const imagination::StateFeatures features(options.feature, model->options(),
                                            imagination::Codebooks(game.quantizer));
  const imagination::ReplayWindows windows(*game.tokens, game.split.validation);
  std::vector<int64_t> starts =
      SpreadWindowStarts(game.split.validation, options.context + options.horizon, options.horizon,
                         run.config->evaluation.open_loop_windows);
  if (starts.empty()) {
    return json::object();
  }
  return imagination::ToJson(imagination::ScoreHeads(policy, model, features, windows, starts),
                             game.game());
}

json MeasureReturnsPart(const LoadedRun& run, size_t index) {
  const std::string& name = run.games[index];
  const auto agent =
      std::make_shared<imagination::StagedAgent>(imagination::LoadStagedNetworks(run.path, name));
  imagination::Player player(agent, /*temperature=*/1);
  const fs::path recording = run.path / "evaluation" / "played" / name;
  data::CollectEpisodes({.game = name,
                         .protocol = run.stores[index]->info().protocol,
                         .steps = kPlayedSteps,
                         .environments = 4,
                         .seed = run.seeds.Stream("returns/" + name)},
                        player, recording);
  const world_model::WorldOptions& world = agent->world().options();
  return MeasureDreamReturn(*agent, data::EpisodeStore(recording),
                            {.starts = run.config->evaluation.open_loop_windows,
                             .horizon = world.max_steps - world.context,
                             .seed = run.seeds.Stream("returns/dreams/" + name)});
}

json MeasurePlayPart(const LoadedRun& run, const std::string& game, const std::string& protocol) {
  const config::EvaluationConfig& config = run.config->evaluation;
  const auto factory = [&] {
    return env::MakeEnvironment(game, protocol, {.rom_dir = {}, .max_frames = config.max_frames});
  };
  const PlayOptions options{.episodes = config.episodes,
                            .environments = config.environments,
                            .max_frames = config.max_frames,
                            .seed = run.seeds.Stream("play/" + game + "/" + protocol)};
  return MeasurePlay(
      std::make_shared<imagination::StagedAgent>(imagination::LoadStagedNetworks(run.path, game)),
      factory, options);
}

}  // namespace hidreamer::evaluation
