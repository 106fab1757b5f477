#include "hidreamer/config/agent_config.h"

#include "hidreamer/base/error.h"

namespace hidreamer::config {
namespace {

constexpr int64_t kMostPositions =
    4096;  // of a sequence: its attention alone is 16M products a head

AgentConfig GpuPreset() {
  AgentConfig config;
  config.device = "cuda";
  config.precision = "bf16";
  // Small kernels take their time however little they do: few optimizer steps, large batches.
  config.collect.steps_per_update = 32;
  config.tokenizer.channels = 64;
  config.tokenizer.batch = 256;
  config.world_model.channels = 128;
  config.world_model.width = 384;
  config.world_model.heads = 6;
  config.world_model.batch = 96;
  config.world_model.minibatches = 2;
  config.policy.batch = 512;
  config.policy.hidden_width = 512;
  return config;
}

// Learns catch in minutes on a plain CPU.
AgentConfig TestPreset() {
  AgentConfig config;
  config.game = "catch";
  config.steps = 14000;
  config.precision = "f32";
  config.evaluations = 8;
  config.evaluation_episodes = 20;
  config.collect.prefill = 1000;
  config.collect.steps_per_update = 8;
  config.replay.near_reward_share = 0.5;
  config.tokenizer.channels = 8;
  config.tokenizer.batch = 48;
  config.tokenizer.head_start = 300;
  config.tokenizer.online_lr = 1e-3;
  config.tokenizer.final_lr = 2e-4;
  config.tokenizer.freeze_after = 700;  // a code that flips late costs the policy what it knows
  config.world_model.channels = 24;
  config.world_model.width = 64;
  config.world_model.heads = 2;
  config.world_model.layers = 1;
  config.world_model.local_frames = 4;
  config.world_model.batch = 16;
  config.world_model.minibatches = 2;
  config.world_model.window = 16;
  config.world_model.changed_weight = 8;
  config.world_model.cpc_scale = 0;
  config.world_model.lr = 2e-3;
  config.world_model.warmup_updates = 1;
  config.world_model.final_lr_share = 0.15;
  config.policy.batch = 48;
  config.policy.context = 4;
  config.policy.horizon = 12;
  config.policy.hidden_width = 64;
  config.policy.start_after = 300;
  config.policy.entropy = 3e-3;
  config.policy.final_entropy = 3e-3;
  config.policy.temperature = 1.0;
  config.policy.lr = 5e-4;
  return config;
}

}  // namespace

AgentConfig AgentPreset(const std::string& name) {
  if (name == "cpu") {
    return {};
  }
  if (name == "gpu") {
    return GpuPreset();
  }
  if (name == "test") {
    return TestPreset();
  }
  throw UserError("cpu, gpu or test", "no preset '{}'", name);
}

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
