#include "hidreamer/data/collect.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/pipeline/stages.h"
#include "options.h"

namespace hidreamer::app {
namespace {

struct CollectArguments {
  data::CollectOptions options;
  std::string policy = "random";
  std::filesystem::path out;
};

// `policy` names a built-in player or a run directory with a trained policy.
std::unique_ptr<env::Player> MakeCollectPlayer(const CollectArguments& arguments) {
  return pipeline::MakeAnyPlayer(arguments.policy, arguments.options.game);
}

void Collect(const CollectArguments& arguments) {
  const std::unique_ptr<env::Player> player = MakeCollectPlayer(arguments);
  const data::CollectSummary summary =
      data::CollectEpisodes(arguments.options, *player, arguments.out);
  const auto steps = static_cast<double>(summary.steps);
  fmt::print("{}: {} steps by {} in {:.1f} s ({:.0f} steps/s), frames {:.1f} MB\n",
             arguments.out.string(), summary.steps, player->name(), summary.seconds,
             steps / summary.seconds, static_cast<double>(summary.frame_bytes) / 1e6);
  if (summary.episodes > 0) {
    fmt::print("{} whole episodes, mean score {:.2f}\n", summary.episodes, summary.mean_score);
  }
}

}  // namespace

void AddCollectCommand(CLI::App& app) {
  auto arguments = std::make_shared<CollectArguments>();
  data::CollectOptions& options = arguments->options;
  CLI::App* command = app.add_subcommand("collect", "record frames from the real game");
  AddGame(*command, options.game)->required();
  command
      ->add_option("--out", arguments->out,
                   "directory of the recording; one that is there is replaced")
      ->required();
  command->add_option("--steps", options.steps, "agent steps (4 emulator frames each)")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000}));
  command
      ->add_option(
          "--policy", arguments->policy,
          "who plays: random, mixture (half the episodes random, half scripted), scripted, "
          "or a run directory")
      ->capture_default_str();
  AddPlaying(*command, options, options.protocol, options.environment.rom_dir);
  command->footer("Example: hidreamer collect --game pong --steps 100000 --out data/pong");
  command->callback([arguments] { Collect(*arguments); });
}

}  // namespace hidreamer::app
