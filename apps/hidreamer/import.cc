#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>
#include <string>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/data/npz_import.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/pipeline/imported_stage.h"
#include "import_weights.h"

namespace hidreamer::app {
namespace {

namespace fs = std::filesystem;

struct ImportArguments {
  WeightsImport weights;  // file and out are those of a recording too
  std::string game;
  std::string protocol = "v5";
  std::string actions;
};

// From the root, with links as they were typed: their names tell what belongs there.
fs::path Folder(const fs::path& out) {
  const fs::path folder = fs::absolute(out).lexically_normal();
  return folder.has_filename() ? folder : folder.parent_path();
}

// RUN/data/GAME is where a run looks for the recording of GAME.
std::string GameOfFolder(const fs::path& folder) {
  return folder.parent_path().filename() == "data" ? folder.filename().string() : "";
}

// The game's name and actions, as far as it is known.
void FindGame(const ImportArguments& arguments, data::NpzImportOptions& options) {
  const std::string folder = GameOfFolder(arguments.weights.out);
  options.game = !arguments.game.empty() ? arguments.game : folder.empty() ? "unknown" : folder;
  env::CheckProtocol(options.protocol);
  if (arguments.game.empty() && folder.empty()) {
    spdlog::warn("no --game is given: the actions are not checked");
    return;
  }
  try {
    const auto environment = env::MakeEnvironment(options.game, options.protocol);
    options.game = environment->spec().game;
    options.action_names = environment->spec().action_names;
  } catch (const Error& error) {
    if (error.kind() != Error::Kind::kUser) {
      throw;
    }
    spdlog::warn("the game '{}' is not known here{}: its actions are not checked", options.game,
                 error.hint().empty() ? "" : " (" + error.hint() + ")");
  }
  if (!folder.empty() && options.game != folder) {
    throw UserError(fmt::format("--out …/data/{}, or another --game", options.game),
                    "{} is the folder of '{}', not of '{}'", arguments.weights.out.string(), folder,
                    options.game);
  }
}

void ImportRecording(const ImportArguments& arguments) {
  const fs::path& out = arguments.weights.out;
  data::NpzImportOptions options{.protocol = arguments.protocol, .actions = arguments.actions};
  FindGame(arguments, options);
  const data::NpzImportSummary summary = data::ImportNpz(arguments.weights.file, out, options);
  const std::string what =
      fmt::format("{} steps of {} in {} episodes", summary.steps, options.game, summary.episodes);
  pipeline::WriteImportedStage(
      out, {.stage = "collect", .file = arguments.weights.file.filename().string(), .what = what});
  for (const std::string& note : summary.notes) {
    spdlog::info("{}", note);
  }
  fmt::print("{}: {}\n", out.string(), what);
}

void Import(ImportArguments arguments) {
  arguments.weights.out = Folder(arguments.weights.out);
  std::string suffix = arguments.weights.file.extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (suffix == ".npz") {
    ImportRecording(arguments);
  } else {
    pipeline::CheckFreeForImport(arguments.weights.out);
    ImportWeights(arguments.weights);
  }
}

}  // namespace

void AddImportCommand(CLI::App& app) {
  auto arguments = std::make_shared<ImportArguments>();
  WeightsImport& weights = arguments->weights;
  CLI::App* command = app.add_subcommand(
      "import", "take over recordings (.npz) or weights (.pt, .pth, .safetensors) from elsewhere");
  command
      ->add_option("file", weights.file,
                   "NumPy archive of states, actions, rewards, dones; or a PyTorch file with the "
                   "weights of an encoder, a (residual) quantizer or a world model. Nothing in the "
                   "file is executed")
      ->required();
  command
      ->add_option(
          "--out", weights.out,
          "directory written: RUN/data/GAME for a recording; RUN/encoder, RUN/tokenizer or "
          "RUN/world_model for weights. `hidreamer run` takes what is imported there as "
          "done")
      ->required();
  command->add_option("--game", arguments->game,
                      ".npz: the game (default: GAME of --out …/data/GAME)");
  command->add_option("--protocol", arguments->protocol, ".npz: protocol it was recorded under")
      ->capture_default_str();
  command->add_option("--actions", arguments->actions,
                      ".npz: what the action ids mean. full: ALE's 18 ids; or pairs ID=ACTION, by "
                      "index or name: 0=0,2=1,3=RIGHT; or both: full,2=RIGHT. Default: the game's "
                      "own indices");
  command->add_option("--prefix", weights.prefix,
                      "weights: where they lie in a file with several models, such as ema_model");
  command
      ->add_option("--heads", weights.heads,
                   "world model: attention heads, which weights do not tell; 0: width / 64")
      ->capture_default_str();
  command->add_option("--mask", weights.mask, "world model: reference, strict or causal")
      ->capture_default_str();
  command->footer(
      "Examples: hidreamer import spatial_encoder_best.pt --out runs/seed/encoder\n"
      "          hidreamer import pong.npz --out runs/seed/data/pong --actions full");
  command->callback([arguments] { Import(*arguments); });
}

}  // namespace hidreamer::app
