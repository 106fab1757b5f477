#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/config/config.h"
#include "hidreamer/evaluation/figure.h"
#include "hidreamer/evaluation/game_artefacts.h"

// The parts that EvaluateRun is made of: each measures one thing and says it as JSON (for the
// report) and as figures (for the summary, from the JSON alone).
namespace hidreamer::evaluation {

// Everything of a run that could be loaded.
struct LoadedRun {
  std::filesystem::path path;
  const config::Config* config = nullptr;
  SeedTree seeds{0};
  std::vector<std::string> games;  // those with a recording
  std::vector<std::unique_ptr<data::EpisodeStore>> stores;
  std::vector<tokenizer::TokenizedGame> tokens;  // of all games, or empty
  std::vector<GameArtefacts> artefacts;          // beside `games`
};
// Missing artefacts stay empty; corrupt ones are user Errors.
std::unique_ptr<LoadedRun> LoadRun(const std::filesystem::path& run, const config::Config& config);

nlohmann::json MeasureEmbeddingPart(const LoadedRun& run);
nlohmann::json MeasureCodesPart(const LoadedRun& run);
// One-step figures of a world model that was trained under this split.
nlohmann::json MeasurePredictionPart(const LoadedRun& run, world_model::WorldModel model,
                                     const config::SplitConfig& split);
nlohmann::json MeasureMasksPart(const LoadedRun& run);
nlohmann::json MeasureOutcomesPart(const LoadedRun& run, size_t game);
// Lets the policy play some steps of the real game and dreams on from states of that recording.
nlohmann::json MeasureReturnsPart(const LoadedRun& run, size_t game);
nlohmann::json MeasurePlayPart(const LoadedRun& run, const std::string& game,
                               const std::string& protocol);

std::vector<Figure> EmbeddingFigures(const nlohmann::json& part);
std::vector<Figure> CodesFigures(const nlohmann::json& part);
std::vector<Figure> ProbeFigures(const nlohmann::json& part);
std::vector<Figure> PredictionFigures(const nlohmann::json& part);
std::vector<Figure> OpenLoopFigures(const nlohmann::json& part);
std::vector<Figure> OutcomesFigures(const nlohmann::json& part);
std::vector<Figure> ReturnsFigures(const nlohmann::json& part);
std::vector<Figure> PlayFigures(const nlohmann::json& part);

}  // namespace hidreamer::evaluation
