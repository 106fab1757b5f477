#include "hidreamer/config/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "hidreamer/base/error.h"

namespace hidreamer::config {
namespace {

class Checker {
 public:
  explicit Checker(const Origins& origins) : origins_(origins) {}

  // "world_model.heads (a.yaml:7)".
  std::string Name(const std::string& key) const {
    const auto origin = origins_.find(key);
    return origin == origins_.end() ? key : fmt::format("{} ({})", key, origin->second);
  }

  void Levels(const std::string& key, size_t length, int64_t levels) const {
    if (length != static_cast<size_t>(levels)) {
      throw UserError("give one number a level", "{} has {} entries, but {} = {}", Name(key),
                      length, Name("tokenizer.levels"), levels);
    }
  }

  void AtMost(const std::string& what, int64_t value, const std::string& key, int64_t limit) const {
    if (value > limit) {
      throw UserError(fmt::format("raise {} or shorten the other", key),
                      "{} = {} is more than {} = {}", what, value, Name(key), limit);
    }
  }

  void GameList(const std::string& key, const std::vector<std::string>& games) const {
    std::set<std::string> seen;
    for (const std::string& game : games) {
      if (game.empty() || game.find('/') != std::string::npos) {
        throw UserError("use ALE's names, such as pong or ms_pacman", "{}: '{}' is no game's name",
                        Name(key), game);
      }
      if (!seen.insert(game).second) {
        throw UserError("", "{} names {} twice", Name(key), game);
      }
    }
  }

 private:
  const Origins& origins_;
};

}  // namespace

void CheckConfig(const ExperimentConfig& config, const Origins& origins) {
  const Checker check(origins);
  const WorldModelConfig& world = config.world_model;
  const PolicyConfig& policy = config.policy;
  const EvaluationConfig& evaluation = config.evaluation;

  if (config.games.empty()) {
    throw UserError("for example games: [pong]", "{} is empty", check.Name("games"));
  }
  check.GameList("games", config.games);
  check.GameList("policy_games", config.policy_games);
  for (const std::string& game : config.policy_games) {
    if (std::find(config.games.begin(), config.games.end(), game) == config.games.end()) {
      throw UserError(fmt::format("add {} to games", game), "{} names {}, which is not in {}",
                      check.Name("policy_games"), game, check.Name("games"));
    }
  }
  if (config.evaluation.protocols.empty()) {
    throw UserError("for example protocols: [atari100k]", "{} is empty",
                    check.Name("evaluation.protocols"));
  }
  if (world.width % world.heads != 0) {
    throw UserError("", "{} = {} does not divide {} = {}", check.Name("world_model.heads"),
                    world.heads, check.Name("world_model.width"), world.width);
  }
  check.Levels("tokenizer.commitment_costs", config.tokenizer.commitment_costs.size(),
               config.tokenizer.levels);
  check.Levels("world_model.loss_weights", world.loss_weights.size(), config.tokenizer.levels);
  check.AtMost(check.Name("world_model.window"), world.window, "world_model.max_steps",
               world.max_steps);
  check.AtMost(check.Name("policy.context") + " + " + check.Name("policy.horizon"),
               policy.context + policy.horizon, "world_model.max_steps", world.max_steps);
  check.AtMost(check.Name("evaluation.context"), evaluation.context, "world_model.max_steps",
               world.max_steps);
  check.AtMost(check.Name("policy.cpc_steps"), policy.cpc_steps, "policy.horizon", policy.horizon);
  check.AtMost(check.Name("world_model.window"), world.window, "collect.steps",
               config.collect.steps);
}

}  // namespace hidreamer::config
