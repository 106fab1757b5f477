#include "hidreamer/config/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "hidreamer/base/error.h"

namespace hidreamer::config {
namespace {

// Of a sequence: its attention alone is 16M products a head.
constexpr int64_t kMostPositions = 4096;

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

  void Multiple(const std::string& key, int64_t value, const std::string& of,
                int64_t divisor) const {
    if (value % divisor != 0) {
      throw UserError("", "{} = {} is not a multiple of {} = {}", Name(key), value, Name(of),
                      divisor);
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

void CheckStaged(const Checker& check, const Config& config) {
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
  if (evaluation.protocols.empty()) {
    throw UserError("for example protocols: [atari100k]", "{} is empty",
                    check.Name("evaluation.protocols"));
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

// A grid of G x G places with L codes each has to fit the transformer; other limits are the
// networks' own.
void CheckGrid(const Checker& check, const Config& config) {
  const TokenizerConfig& tokenizer = config.tokenizer;
  const int64_t grid = tokenizer.grid;
  if ((grid & (grid - 1)) != 0) {
    throw UserError("", "{} = {} is no power of two", check.Name("tokenizer.grid"), grid);
  }
  for (const double codes : tokenizer.fsq_levels) {
    if (codes != static_cast<double>(static_cast<int64_t>(codes))) {
      throw UserError("", "{} holds {}, which is no whole number",
                      check.Name("tokenizer.fsq_levels"), codes);
    }
  }
  const int64_t levels = tokenizer.quantizer == "fsq"
                             ? static_cast<int64_t>(tokenizer.fsq_levels.size())
                             : tokenizer.levels;
  const int64_t positions = config.world_model.window * (grid * grid * levels + 1);
  if (config.world_model.kind == "token" && positions > kMostPositions) {
    throw UserError("choose a smaller tokenizer.grid or world_model.window",
                    "{} = token needs {} positions for {} steps of {} places with {} levels, and "
                    "takes at most {}",
                    check.Name("world_model.kind"), positions, config.world_model.window,
                    grid * grid, levels, kMostPositions);
  }
}

void CheckOnline(const Checker& check, const Config& config) {
  const WorldModelConfig& world = config.world_model;
  const PolicyConfig& policy = config.policy;
  const CollectConfig& collect = config.collect;
  check.Multiple("collect.steps_per_update", collect.steps_per_update, "collect.environments",
                 collect.environments);
  check.AtMost(check.Name("policy.context") + " + " + check.Name("policy.horizon"),
               policy.context + policy.horizon, "world_model.window", world.window);
  if (world.kind == "step") {
    check.AtMost(check.Name("world_model.local_frames"), world.local_frames, "policy.context",
                 policy.context);
  }
  if (world.cpc_scale != 0) {
    check.AtMost(check.Name("world_model.cpc_steps") + " + 1", world.cpc_steps + 1,
                 "world_model.window", world.window);
  }
  CheckGrid(check, config);
  if (collect.prefill / collect.environments <= world.window) {
    throw UserError("", "{} = {} over {} environments leaves no window of {} steps",
                    check.Name("collect.prefill"), collect.prefill, collect.environments,
                    world.window);
  }
  if (config.steps <= collect.prefill) {
    throw UserError("", "{} = {} are all spent on {} = {}", check.Name("steps"), config.steps,
                    check.Name("collect.prefill"), collect.prefill);
  }
}

}  // namespace

void CheckConfig(const Config& config, const Origins& origins) {
  const Checker check(origins);
  const WorldModelConfig& world = config.world_model;
  check.Multiple("world_model.width", world.width, "world_model.heads", world.heads);
  if (config.schedule == kStaged) {
    CheckStaged(check, config);
  } else {
    CheckOnline(check, config);
  }
}

}  // namespace hidreamer::config
