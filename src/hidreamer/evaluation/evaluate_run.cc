#include "hidreamer/evaluation/evaluate_run.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "hidreamer/base/error.h"
#include "hidreamer/evaluation/open_loop_evaluation.h"
#include "hidreamer/evaluation/parts.h"
#include "hidreamer/evaluation/probe.h"
#include "hidreamer/evaluation/run_parts.h"

namespace hidreamer::evaluation {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json Together(const std::vector<json>& settings) {
  json all = json::object();
  for (const json& some : settings) {
    all.update(some);
  }
  return all;
}

std::string Tokens(const std::string& game) { return "tokens/" + game + ".safetensors"; }

}  // namespace

const std::vector<Part>& AllParts() {
  static const std::vector<Part> parts = {Part::kPlay,       Part::kEmbedding, Part::kCodes,
                                          Part::kPrediction, Part::kDream,     Part::kOpenLoop,
                                          Part::kProbe,      Part::kOutcomes};
  return parts;
}

std::vector<Figure> EvaluateRun(const fs::path& path, const config::Config& config,
                                const std::vector<Part>& parts) {
  Parts evaluation(path);
  const std::unique_ptr<LoadedRun> loaded = LoadRun(path, config);
  const LoadedRun& run = *loaded;
  if (run.games.empty()) {
    throw UserError("collect first: hidreamer run CONFIG, or hidreamer collect",
                    "{} holds no recording of {}", path.string(), fmt::join(config.games, ", "));
  }
  const auto wanted = [&](Part part) {
    return std::find(parts.begin(), parts.end(), part) != parts.end();
  };
  static const std::string kModel = "world_model/model.safetensors";
  static const std::string kTokenizer = "tokenizer/model.safetensors";
  const config::EvaluationConfig& settings = config.evaluation;
  // What the parts depend on beside the artefacts.
  const json seed = {{"seed", config.seed}};
  const json split = {{"split", config.split.by}, {"validation", config.split.validation}};
  const json of_games = {{"games", run.games}};
  const json windows = {{"open_loop_windows", settings.open_loop_windows}};
  const json dreams = {{"open_loop_steps", settings.open_loop_steps},
                       {"context", settings.context}};
  const json probes = {{"probe_frames", settings.probe_frames}};
  if (wanted(Part::kPlay)) {
    const auto& games = config.policy_games.empty() ? config.games : config.policy_games;
    for (const std::string& game : games) {
      for (const std::string& protocol : settings.protocols) {
        evaluation.Measure(
            "play_" + game + "_" + protocol, {"policy/" + game + "/model.safetensors"},
            Together({seed,
                      {{"episodes", settings.episodes},
                       {"environments", settings.environments},
                       {"max_frames", settings.max_frames}}}),
            [&] { return MeasurePlayPart(run, game, protocol); }, PlayFigures);
      }
    }
  }
  std::vector<std::string> tokens;
  for (const std::string& game : run.games) {
    tokens.push_back(Tokens(game));
  }
  if (wanted(Part::kEmbedding)) {
    evaluation.Measure(
        "embedding", {"embeddings"}, Together({seed, split, of_games}),
        [&] { return MeasureEmbeddingPart(run); }, EmbeddingFigures);
  }
  if (wanted(Part::kCodes)) {
    std::vector<std::string> tokens_and_single = tokens;
    if (evaluation.Has("single_vq/model.safetensors")) {
      tokens_and_single.push_back("single_vq/model.safetensors");
    }
    evaluation.Measure(
        "codes", tokens_and_single, Together({seed, of_games}),
        [&] { return MeasureCodesPart(run); }, CodesFigures);
  }
  std::vector<std::string> model_and_tokens = tokens;
  model_and_tokens.push_back(kModel);
  if (wanted(Part::kPrediction)) {
    const json window = {{"window", config.world_model.window}};
    evaluation.Measure(
        "prediction", model_and_tokens, Together({seed, split, of_games, windows, window}),
        [&] { return MeasurePredictionPart(run, run.artefacts[0].world_model, config.split); },
        PredictionFigures);
    config::SplitConfig other = config.split;
    other.by = config.split.by == "episode" ? "windows" : "episode";
    const std::string other_model = "world_model_" + other.by + "/model.safetensors";
    if (evaluation.Has(other_model)) {
      evaluation.Measure(
          "prediction_" + other.by, {other_model},
          Together({seed, split, of_games, windows, window}),
          [&] {
            return MeasurePredictionPart(run, world_model::LoadWorldModel(path / other_model),
                                         other);
          },
          PredictionFigures);
    }
    if (evaluation.Has(kModel) && !run.tokens.empty()) {
      evaluation.Measure(
          "masks", {kModel}, json::object(), [&] { return MeasureMasksPart(run); }, nullptr);
    }
  }
  for (size_t i = 0; i < run.games.size(); ++i) {
    const std::string& game = run.games[i];
    const GameArtefacts& artefacts = run.artefacts[i];
    const SeedTree seeds = run.seeds.Subtree(game);
    const std::vector<std::string> inputs = {kModel, kTokenizer, Tokens(game)};
    if (wanted(Part::kDream)) {
      evaluation.Measure(
          "dream_" + game, inputs, Together({seed, split, dreams}),
          [&] {
            return DreamPictures(artefacts, settings.context, settings.open_loop_steps, seeds);
          },
          nullptr);
    }
    if (wanted(Part::kOpenLoop)) {
      evaluation.Measure(
          "open_loop_" + game, inputs, Together({seed, split, windows, dreams, probes}),
          [&] {
            return MeasureOpenLoop(WorldOf(artefacts, settings.context),
                                   EpisodesOf(artefacts, artefacts.split.train),
                                   EpisodesOf(artefacts, artefacts.split.validation),
                                   {.windows = settings.open_loop_windows,
                                    .steps = settings.open_loop_steps,
                                    .probe_frames = settings.probe_frames});
          },
          OpenLoopFigures);
    }
    if (wanted(Part::kProbe)) {
      // Probes what is there; measured again when a later stage adds a state to probe.
      std::vector<std::string> present = {"data/" + game};
      for (const std::string& input :
           {"embeddings/" + game + ".safetensors", Tokens(game), kModel}) {
        if (evaluation.Has(input)) {
          present.push_back(input);
        }
      }
      evaluation.Measure(
          "probe_" + game, present, Together({seed, split, windows, dreams, probes}),
          [&] {
            return ProbeGame(artefacts,
                             {.frames = settings.probe_frames,
                              .context = settings.context,
                              .dream_windows = settings.open_loop_windows},
                             seeds);
          },
          ProbeFigures);
    }
    if (wanted(Part::kOutcomes) && evaluation.Has("policy/" + game)) {
      auto with_policy = inputs;
      with_policy.push_back("policy/" + game + "/model.safetensors");
      evaluation.Measure(
          "outcomes_" + game, with_policy, Together({seed, split, windows}),
          [&] { return MeasureOutcomesPart(run, i); }, OutcomesFigures);
      with_policy.push_back("encoder/model.safetensors");
      evaluation.Measure(
          "returns_" + game, with_policy, Together({seed, windows}),
          [&] { return MeasureReturnsPart(run, i); }, ReturnsFigures);
    }
  }
  return evaluation.figures();
}

}  // namespace hidreamer::evaluation
