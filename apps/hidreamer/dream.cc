#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/config/load.h"
#include "hidreamer/evaluation/open_loop_evaluation.h"
#include "hidreamer/evaluation/run_parts.h"
#include "hidreamer/report/animation.h"

namespace hidreamer::app {
namespace {

struct DreamArguments {
  std::filesystem::path run;
  std::string game;
  std::filesystem::path out = "dream.webp";
  int64_t steps = 45;
  int64_t context = 16;
  uint64_t seed = 0;
};

void Dream(const DreamArguments& arguments) {
  constexpr int kMillisecondsPerStep = 120;
  constexpr int64_t kColumns = 4;
  const std::string kind = arguments.out.extension().string();
  if (kind != ".webp" && kind != ".png") {
    throw UserError("name the file something.webp (moving) or something.png (a sheet)",
                    "--out {} is neither .webp nor .png", arguments.out.string());
  }
  const auto config = config::LoadConfig(arguments.run / "config.yaml");
  const auto loaded = evaluation::LoadRun(arguments.run, config);
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
  const auto dream = evaluation::DreamPictures(artefacts, arguments.context, arguments.steps,
                                               SeedTree(arguments.seed));
  if (dream.empty()) {
    throw UserError("dream fewer steps (--steps) or from less (--context)",
                    "no held-out episode has room for {} real and some dreamed steps",
                    arguments.context);
  }
  const auto pictures = report::DreamAnimation(dream, [&](int64_t row) {
    report::GrayImage image(env::kFrameSize, env::kFrameSize);
    artefacts.store->ReadFrames(row, row + 1, image.pixels.data());
    return image;
  });
  WriteFileAtomically(arguments.out,
                      kind == ".webp" ? report::EncodeWebpAnimation(pictures, kMillisecondsPerStep)
                                      : report::EncodePng(report::Tile(pictures, kColumns, 8)));
  fmt::print("{}: {} real and {} dreamed steps, {} of them drawn with a frame of the same codes\n",
             arguments.out.string(), dream["context_rows"].size(), dream["dream_rows"].size(),
             dream["exact"].get<int64_t>());
}

}  // namespace

void AddDreamCommand(CLI::App& app) {
  auto arguments = std::make_shared<DreamArguments>();
  CLI::App* command = app.add_subcommand(
      "dream", "a moving picture: the game at the left, the world model's dream at the right");
  command->add_option("--run", arguments->run, "run directory")->required();
  command->add_option("--game", arguments->game, "one of the run's games")->required();
  command->add_option("--steps", arguments->steps, "dreamed steps, at most")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1024}));
  command->add_option("--context", arguments->context, "real steps before")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1024}));
  command->add_option("--seed", arguments->seed, "of the dream's draws")->capture_default_str();
  command->add_option("--out", arguments->out, "FILE.webp (moving) or FILE.png (a sheet)")
      ->capture_default_str();
  command->footer("Example: hidreamer dream --run runs/seed --game pong --out dream.webp");
  command->callback([arguments] { Dream(*arguments); });
}

}  // namespace hidreamer::app
