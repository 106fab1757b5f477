#include "hidreamer/pipeline/check_inputs.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/data/episode_store.h"
#include "hidreamer/encoder/encoder.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/pipeline/imported_stage.h"

namespace hidreamer::pipeline {
namespace {

namespace fs = std::filesystem;

void CheckRecording(const fs::path& path, const std::string& game,
                    const std::vector<std::string>& actions) {
  const data::EpisodeStore store(path);  // a user Error if it is damaged
  if (store.info().game != game) {
    throw UserError(fmt::format("import it again: hidreamer import FILE --out {} --game {}",
                                path.string(), game),
                    "{} is a recording of '{}'", path.string(), store.info().game);
  }
  if (store.info().action_names != actions) {
    throw UserError(
        fmt::format("import it again with --game {}, and with --actions where its ids are others",
                    game),
        "the actions of {} are not those of {}: {} and {}", path.string(), game,
        fmt::join(store.info().action_names, " "), fmt::join(actions, " "));
  }
}

// Returns the largest number of actions.
int64_t CheckGames(const config::Config& config, const fs::path& run,
                   const std::vector<std::string>& only) {
  size_t most_actions = 0;
  const std::vector<std::string> known = env::ListGames();
  for (const std::string& game : config.games) {
    const fs::path path = run / "data" / game;
    const bool recorded = fs::exists(path);
    // A single stage may be trained where the game itself cannot be played.
    if (recorded && !only.empty() && std::find(known.begin(), known.end(), game) == known.end()) {
      continue;
    }
    const auto environment = env::MakeEnvironment(game, config.collect.protocol);
    most_actions = std::max(most_actions, environment->spec().action_names.size());
    if (recorded) {
      CheckRecording(path, game, environment->spec().action_names);
    }
  }
  return static_cast<int64_t>(most_actions);
}

// The stage in `folder`, if it was imported, and is what belongs there and agrees with the config.
std::optional<ImportedStage> CheckImport(const config::Settings& config, const fs::path& folder,
                                         const std::string& stage) {
  std::optional<ImportedStage> imported = ReadImportedStage(folder);
  if (!imported) {
    return imported;
  }
  if (imported->stage != stage) {
    throw UserError(fmt::format("import it to the folder {} of the run", imported->stage),
                    "{} holds an imported {}", folder.string(), imported->stage);
  }
  for (const auto& [key, value] : imported->settings) {
    const auto now = config.find(key);
    if (now != config.end() && now->second != value) {
      throw UserError(fmt::format("--set {}={}, or import another one", key, value),
                      "the imported {} in {} has {} = {}, the configuration {}", stage,
                      folder.string(), key, value, now->second);
    }
  }
  spdlog::info("{}: imported from {}, {}", stage, imported->file, imported->what);
  return imported;
}

}  // namespace

void CheckInputs(const config::Config& config, const fs::path& run,
                 const std::vector<std::string>& only) {
  const int64_t actions = CheckGames(config, run, only);
  const config::Settings settings = config::Flatten(config);
  const auto encoder = CheckImport(settings, run / "encoder", "encoder");
  const auto tokenizer = CheckImport(settings, run / "tokenizer", "tokenizer");
  const auto world_model = CheckImport(settings, run / "world_model", "world_model");
  const int64_t width = encoder ? encoder->embedding_width : encoder::EncoderOptions{}.width;
  if (tokenizer && tokenizer->embedding_width != width) {
    throw UserError("import the encoder and the tokenizer that belong together",
                    "the imported tokenizer takes embeddings of {}, the encoder gives {}",
                    tokenizer->embedding_width, width);
  }
  if (world_model && world_model->actions < actions) {
    throw UserError("import one that was trained on these games",
                    "the imported world model knows {} actions, the games have up to {}",
                    world_model->actions, actions);
  }
  const auto done = [&](const char* stage) { return fs::exists(run / stage / "stage.json"); };
  if (world_model && !done("tokenizer")) {
    spdlog::warn(
        "the imported world model is of use only with the tokenizer it was trained with; "
        "another one is trained here");
  } else if (tokenizer && !done("encoder")) {
    spdlog::warn(
        "the imported tokenizer is of use only with the encoder it was trained with; "
        "another one is trained here");
  }
}

}  // namespace hidreamer::pipeline
