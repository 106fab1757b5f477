#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/agent/dream_game.h"
#include "hidreamer/agent/load_agent.h"
#include "hidreamer/base/error.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/pipeline/agent_film.h"
#include "hidreamer/report/image.h"
#include "hidreamer/web/play_page.h"
#include "hidreamer/web/server.h"
#include "options.h"

namespace hidreamer::app {
namespace {

constexpr int64_t kLongestLead = 100000;

struct PlayArguments {
  std::filesystem::path run;
  std::string game;
  std::string host = "127.0.0.1";
  int port = 8080;
  int64_t lead = 60;
  std::string protocol = "atari100k";
  std::filesystem::path rom_dir;
};

std::string PngOf(const env::Screen& screen) {
  return report::DataUrl(report::EncodePng(report::ImageOf(screen)), "image/png");
}

nlohmann::json ToJson(const agent::GameView& view) {
  return {{"picture", PngOf(view.picture)},
          {"codes", view.codes},
          {"probabilities", view.probabilities},
          {"value", view.value},
          {"reward", view.reward},
          {"score", view.score}};
}

nlohmann::json ToJson(const agent::DreamGameMoment& moment) {
  return {{"step", moment.step},
          {"action", moment.action},
          {"picture", PngOf(moment.picture)},
          {"game", ToJson(moment.game)},
          {"dream", ToJson(moment.dream)},
          {"game_over", moment.game_over},
          {"continues", moment.continues}};
}

agent::Pilot PilotOf(const std::string& name) {
  if (name == "person") {
    return agent::Pilot::kPerson;
  }
  if (name == "game") {
    return agent::Pilot::kActorInGame;
  }
  if (name == "dream") {
    return agent::Pilot::kActorInDream;
  }
  throw UserError("person, game or dream", "no pilot '{}'", name);
}

// The games of all open pages, on one set of networks: one step is made at a time.
class Games {
 public:
  explicit Games(const PlayArguments& arguments)
      : arguments_(arguments),
        agent_(agent::LoadAgent(arguments.run, arguments.game)),
        actions_(MakeGame()->spec().action_names) {}  // tells at once of a ROM that is missing

  nlohmann::json Describe() const {
    nlohmann::json about = pipeline::DescribeCodes(*agent_);
    about.update({{"game", agent_->game()},
                  {"run", std::filesystem::weakly_canonical(arguments_.run).filename().string()},
                  {"actions", actions_}});
    return about;
  }

  nlohmann::json Begin(const nlohmann::json& asked) {
    const std::lock_guard lock(mutex_);
    const auto session = asked.at("session").get<std::string>();
    if (!asked.at("seed").is_number_unsigned()) {
      throw UserError("", "the seed {} is not a whole number of 0 or more", asked["seed"].dump());
    }
    const auto seed = asked["seed"].get<uint64_t>();
    const auto lead = asked.value("lead", arguments_.lead);
    if (lead < 0 || lead > kLongestLead) {
      throw UserError("", "a lead of {} steps is not between 0 and {}", lead, kLongestLead);
    }
    games_.remove_if([&](const Open& open) { return open.session == session; });
    if (games_.size() == kMostGames) {
      games_.pop_back();
    }
    games_.push_front({session, std::make_unique<agent::DreamGame>(agent_, MakeGame()), {}});
    return Of(session, [&](agent::DreamGame& game) { game.Begin(seed, lead); });
  }

  nlohmann::json Rejoin(const nlohmann::json& asked) {
    const std::lock_guard lock(mutex_);
    return Of(asked.at("session").get<std::string>(),
              [](agent::DreamGame& game) { game.Rejoin(); });
  }

  nlohmann::json Edit(const nlohmann::json& asked) {
    const std::lock_guard lock(mutex_);
    return Of(asked.at("session").get<std::string>(), [&](agent::DreamGame& game) {
      const auto place = asked.at("place").get<int64_t>(), level = asked.at("level").get<int64_t>(),
                 code = asked.at("code").get<int64_t>();
      const auto& layout = agent_->world().options().layout;
      if (place < 0 || place >= layout.places || level < 0 || level >= layout.levels || code < 0 ||
          code >= layout.codes_of(level)) {
        throw UserError("", "no code {} at level {} of place {}", code, level, place);
      }
      game.Edit(place, level, code);
    });
  }

  // The last kFilmSteps moments as an animation.
  nlohmann::json Film(const nlohmann::json& asked) {
    std::vector<report::Image> pictures;
    {
      const std::lock_guard lock(mutex_);
      for (const agent::DreamGameMoment& moment : Find(asked.at("session")).moments) {
        pictures.push_back(pipeline::DrawMoment(moment));
      }
    }
    return {
        {"steps", pictures.size()},
        {"film", report::DataUrl(report::EncodeWebpAnimation(pictures, pipeline::kFilmMilliseconds),
                                 "image/webp")}};
  }

  nlohmann::json Step(const nlohmann::json& asked) {
    const std::lock_guard lock(mutex_);
    return Of(asked.at("session").get<std::string>(), [&](agent::DreamGame& game) {
      const agent::Pilot pilot = PilotOf(asked.at("pilot").get<std::string>());
      const int action = asked.value("action", 0);
      const double temperature = asked.value("temperature", kTemperature);
      if (action < 0 || action >= std::ssize(actions_)) {
        throw UserError("", "action {} of {}", action, actions_.size());
      }
      if (!(temperature >= 0)) {
        throw UserError("0 or more", "temperature {}", temperature);
      }
      if (game.now().game_over) {
        throw UserError("begin another", "the game is over");
      }
      game.Step(pilot, action, temperature);
    });
  }

 private:
  static constexpr size_t kMostGames = 8;      // the one not used for longest is then forgotten
  static constexpr size_t kFilmSteps = 300;    // some 0.13 MB each
  static constexpr double kTemperature = 0.5;  // as policies dream
  struct Open {
    std::string session;
    std::unique_ptr<agent::DreamGame> game;
    std::deque<agent::DreamGameMoment> moments;  // the newest last
  };

  std::unique_ptr<env::Environment> MakeGame() const {
    return env::MakeEnvironment(agent_->game(), arguments_.protocol,
                                {.rom_dir = arguments_.rom_dir});
  }

  Open& Find(const std::string& session) {
    const auto open = std::find_if(games_.begin(), games_.end(),
                                   [&](const Open& one) { return one.session == session; });
    if (open == games_.end()) {
      throw UserError("begin another", "this game is no longer kept");
    }
    games_.splice(games_.begin(), games_, open);
    return games_.front();
  }

  template <class Do>
  nlohmann::json Of(const std::string& session, const Do& work) {
    Open& open = Find(session);
    work(*open.game);
    open.moments.push_back(open.game->now());
    if (open.moments.size() > kFilmSteps) {
      open.moments.pop_front();
    }
    return ToJson(open.game->now());
  }

  PlayArguments arguments_;
  std::mutex mutex_;
  std::shared_ptr<imagination::Agent> agent_;
  std::vector<std::string> actions_;
  std::list<Open> games_;  // the last used first
};

void Play(const PlayArguments& arguments) {
  at::set_num_threads(1);  // a step is short, and a team of threads for each request is not
  Games games(arguments);
  web::Server server(arguments.host, arguments.port);
  server.AddPage("/", web::PlayPage());
  server.AddCall("/api/game", [&](const nlohmann::json&) { return games.Describe(); });
  server.AddCall("/api/begin", [&](const nlohmann::json& asked) { return games.Begin(asked); });
  server.AddCall("/api/rejoin", [&](const nlohmann::json& asked) { return games.Rejoin(asked); });
  server.AddCall("/api/step", [&](const nlohmann::json& asked) { return games.Step(asked); });
  server.AddCall("/api/edit", [&](const nlohmann::json& asked) { return games.Edit(asked); });
  server.AddCall("/api/film", [&](const nlohmann::json& asked) { return games.Film(asked); });
  fmt::print("open {} in a browser; Ctrl-C ends\n", server.address());
  if (!server.token().empty()) {
    fmt::print("whoever has this address can play; everybody else is refused\n");
  }
  std::fflush(stdout);
  server.Run();
}

}  // namespace

void AddPlayCommand(CLI::App& app) {
  auto arguments = std::make_shared<PlayArguments>();
  CLI::App* command = app.add_subcommand(
      "play",
      "watch or play, in a browser, the real game and the agent's dream of it side by side");
  AddRun(*command, arguments->run)->required();
  command->add_option("--game", arguments->game, "of a staged run (default: the only one)");
  command
      ->add_option(
          "--host", arguments->host,
          "address to listen on; 0.0.0.0 lets other machines in that know the token printed")
      ->capture_default_str();
  command->add_option("--port", arguments->port, "0: any that is free")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  command
      ->add_option("--lead", arguments->lead, "steps that the agent plays before the dream begins")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, kLongestLead));
  command->add_option("--protocol", arguments->protocol, "atari100k or v5")->capture_default_str();
  command->add_option("--rom-dir", arguments->rom_dir, "where GAME.bin lies");
  command->footer(
      "Example: hidreamer play pong\n"
      "Example: hidreamer play runs/demo/pipeline --game breakout");
  command->callback([arguments] { Play(*arguments); });
}

}  // namespace hidreamer::app
