#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "commands.h"
#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/load_agent.h"
#include "hidreamer/base/error.h"
#include "hidreamer/config/load.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/evaluation/open_loop_evaluation.h"
#include "hidreamer/evaluation/run_parts.h"
#include "hidreamer/pipeline/agent_film.h"
#include "hidreamer/report/animation.h"
#include "options.h"

namespace hidreamer::app {
namespace {

struct DreamArguments {
  std::filesystem::path run;
  std::string game;
  std::filesystem::path out = "dream.webp";
  std::optional<int64_t> steps, context;
  uint64_t seed = 0;
};

constexpr int64_t kUsualSteps = 45, kUsualContext = 16;

struct DreamLength {
  int64_t context = 0, steps = 0;
};

// What was given, and for the rest the usual, or as much as fits into the run's episodes.
DreamLength ChooseLength(const DreamArguments& arguments,
                         const evaluation::GameArtefacts& artefacts) {
  int64_t room = 0;
  for (const data::EpisodeRange& episode : artefacts.split.validation) {
    room = std::max(room, episode.size());
  }
  room = std::min(room, artefacts.world_model->options().max_steps);
  const int64_t before =
      std::clamp(room - arguments.steps.value_or(room / 2), int64_t{1}, kUsualContext);
  const int64_t context = arguments.context.value_or(before);
  const int64_t after = std::clamp(room - context, int64_t{1}, kUsualSteps);
  const DreamLength length = {.context = context, .steps = arguments.steps.value_or(after)};
  if (context >= room) {
    throw UserError("dream from less (--context), or collect longer episodes",
                    "{} real steps leave no room for a dream: at most {} fit together", context,
                    room);
  }
  return length;
}

FileKind KindOf(const std::filesystem::path& out) {
  const std::string kind = out.extension().string();
  if (kind == ".webp" || IsSpecialFile(out)) {
    return FileKind::kWebp;
  }
  if (kind != ".png") {
    throw UserError("name the file something.webp (moving) or something.png (a sheet)",
                    "--out {} is neither .webp nor .png", out.string());
  }
  return FileKind::kPng;
}

void WritePictures(const std::filesystem::path& out, FileKind kind,
                   const std::vector<report::Image>& pictures) {
  constexpr int64_t kColumns = 4;
  WriteOutputFile(out, kind,
                  kind == FileKind::kWebp
                      ? report::EncodeWebpAnimation(pictures, pipeline::kFilmMilliseconds)
                      : report::EncodePng(report::Tile(pictures, kColumns, 8)));
}

// An online agent dreams beside a game that it plays: it needs no recording.
void DreamOfAgent(const DreamArguments& arguments, FileKind kind) {
  const auto agent = agent::LoadAgent(arguments.run, arguments.game);
  pipeline::AgentFilmOptions options{.seed = arguments.seed};
  options.lead = arguments.context.value_or(options.lead);
  options.steps = arguments.steps.value_or(options.steps);
  WritePictures(
      arguments.out, kind,
      pipeline::FilmAgent(agent, env::MakeEnvironment(agent->game(), "atari100k"), options));
  fmt::print(WordsBeside(arguments.out), "{}: the game, the same by its codes, the dream\n",
             arguments.out.string());
}

void Dream(DreamArguments arguments) {
  const FileKind kind = KindOf(arguments.out);
  CheckOutputFile(arguments.out, kind);
  CheckIsRun(arguments.run);
  if (agent::HoldsAgent(arguments.run)) {
    DreamOfAgent(arguments, kind);
    return;
  }
  CheckIsPipelineRun(arguments.run);
  const auto config = config::LoadConfig(config::kStaged, {.file = arguments.run / "config.yaml"});
  const auto loaded = evaluation::LoadRun(arguments.run, config);
  if (arguments.game.empty()) {
    arguments.game = OnlyGame(arguments.run, loaded->games, "recording",
                              "collect first: hidreamer run CONFIG --out RUN");
  }
  const auto game = std::find(loaded->games.begin(), loaded->games.end(), arguments.game);
  if (game == loaded->games.end()) {
    throw UserError("games with a recording: " + fmt::format("{}", fmt::join(loaded->games, ", ")),
                    "{} holds no recording of '{}'", arguments.run.string(), arguments.game);
  }
  const evaluation::GameArtefacts& artefacts =
      loaded->artefacts[static_cast<size_t>(game - loaded->games.begin())];
  if (artefacts.world_model.is_empty() || artefacts.quantizer.is_empty()) {
    throw UserError("train first: hidreamer run CONFIG --out RUN",
                    "{} has no tokens and world model to dream with", arguments.run.string());
  }
  const DreamLength length = ChooseLength(arguments, artefacts);
  const auto dream =
      evaluation::DreamPictures(artefacts, length.context, length.steps, SeedTree(arguments.seed));
  if (dream.empty()) {
    throw UserError("dream fewer steps (--steps) or from less (--context)",
                    "no held-out episode has room for {} real and {} dreamed steps", length.context,
                    length.steps);
  }
  const auto pictures = report::DreamAnimation(dream, [&](int64_t row) {
    report::Image image(env::kFrameSize, env::kFrameSize);
    artefacts.store->ReadFrames(row, row + 1, image.pixels.data());
    return image;
  });
  WritePictures(arguments.out, kind, pictures);
  fmt::print(WordsBeside(arguments.out),
             "{}: {} real and {} dreamed steps, {} of them drawn with a frame of the same codes\n",
             arguments.out.string(), dream["context_rows"].size(), dream["dream_rows"].size(),
             dream["exact"].get<int64_t>());
}

}  // namespace

void AddDreamCommand(CLI::App& app) {
  auto arguments = std::make_shared<DreamArguments>();
  CLI::App* command = app.add_subcommand(
      "dream", "a moving picture: the game at the left, the dream of it at the right");
  AddRun(*command, arguments->run)->required();
  command->add_option("--game", arguments->game, "one of the run's games (default: the only one)");
  command
      ->add_option("--steps", arguments->steps,
                   fmt::format("dreamed steps, at most (default: {}, or what fits)", kUsualSteps))
      ->check(CLI::Range(int64_t{1}, int64_t{1024}));
  command
      ->add_option("--context", arguments->context,
                   fmt::format("real steps before (default: {}, or what fits; an online agent: 60)",
                               kUsualContext))
      ->check(CLI::Range(int64_t{1}, int64_t{1024}));
  command->add_option("--seed", arguments->seed, "of the dream's draws")->capture_default_str();
  AddOutputFile(*command, "--out", arguments->out, "FILE.webp (moving) or FILE.png (a sheet)")
      ->capture_default_str();
  command->footer(
      "Example: hidreamer dream runs/agent_pong\n"
      "Example: hidreamer dream runs/seed --game pong --out dream.webp");
  command->callback([arguments] { Dream(*arguments); });
}

}  // namespace hidreamer::app
