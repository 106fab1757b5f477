#include "hidreamer/config/agent_config.h"

#include "hidreamer/base/error.h"

namespace hidreamer::config {
namespace {

constexpr int64_t kMostPositions =
    4096;  // of a sequence: its attention alone is 16M products a head

}  // namespace

void CheckAgentConfig(const AgentConfig& config) {
  const auto require = [](bool holds, const std::string& what, auto... values) {
    if (!holds) {
      throw UserError("hidreamer agent --defaults prints every key", "{}",
                      fmt::format(fmt::runtime(what), values...));
    }
  };
  require(config.collect.steps_per_update % config.collect.environments == 0,
          "collect.steps_per_update = {} is not a multiple of collect.environments = {}",
          config.collect.steps_per_update, config.collect.environments);
  require(config.world_model.window >= config.policy.context + config.policy.horizon,
          "world_model.window = {} is shorter than policy.context + policy.horizon = {} + {}",
          config.world_model.window, config.policy.context, config.policy.horizon);
  require(config.world_model.kind == "token" ||
              config.world_model.local_frames <= config.policy.context,
          "world_model.local_frames = {} reach beyond policy.context = {}",
          config.world_model.local_frames, config.policy.context);
  require(config.world_model.width % config.world_model.heads == 0,
          "world_model.heads = {} do not divide world_model.width = {}", config.world_model.heads,
          config.world_model.width);
  require(
      config.world_model.cpc_scale == 0 || config.world_model.cpc_steps < config.world_model.window,
      "world_model.cpc_steps = {} reach beyond world_model.window = {}",
      config.world_model.cpc_steps, config.world_model.window);
  const int64_t grid = config.tokenizer.grid;
  const int64_t levels = config.tokenizer.quantizer == "fsq"
                             ? static_cast<int64_t>(config.tokenizer.fsq_levels.size())
                             : config.tokenizer.rvq_levels;
  const int64_t positions = config.world_model.window * (grid * grid * levels + 1);
  require(
      config.world_model.kind == "step" || positions <= kMostPositions,
      "world_model.kind = token needs {} positions for {} steps of {} places with {} levels, and "
      "takes at most {}: choose a smaller tokenizer.grid or world_model.window",
      positions, config.world_model.window, grid * grid, levels, kMostPositions);
  require((grid & (grid - 1)) == 0, "tokenizer.grid = {} is no power of two", grid);
  for (const double codes : config.tokenizer.fsq_levels) {
    require(codes == static_cast<double>(static_cast<int64_t>(codes)),
            "tokenizer.fsq_levels holds {}, which is no whole number", codes);
  }
  const int64_t streams = config.collect.environments;
  require(config.collect.prefill / streams > config.world_model.window,
          "collect.prefill = {} over {} environments leaves no window of {} steps",
          config.collect.prefill, streams, config.world_model.window);
  require(config.steps > config.collect.prefill, "steps = {} are all spent on collect.prefill = {}",
          config.steps, config.collect.prefill);
}

}  // namespace hidreamer::config
