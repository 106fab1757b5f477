#include <fmt/format.h>

#include "hidreamer/imagination/dreams.h"
#include "hidreamer/imagination/staged_agent.h"
#include "hidreamer/performance/workload.h"
#include "hidreamer/world_model/world_model_learner.h"

namespace hidreamer::performance {
namespace {

constexpr int64_t kActions =
    9;  // of the largest action set of the three games: 11,341,440 parameters
constexpr double kLossWeights[] = {1.0, 0.5, 0.1, 0.1};  // by level

// One batch an update, so that an update is the training step that people compare.
config::WorldModelConfig WorldModelConfigOf(const WorkloadOptions& options,
                                            const WorldModelSize& size = {}) {
  config::WorldModelConfig config;
  config.accumulate = 1;
  config.batch = size.batch;
  config.window = size.window;
  config.max_steps = std::max(config.max_steps, size.window);
  config.loss_weights.assign(kLossWeights, kLossWeights + size.levels);
  if (options.quick) {
    config.layers = 1;
    config.batch = 2;
    config.window = 4;
  }
  return config;
}

// Three games of random tokens, as long as the real recordings.
std::vector<tokenizer::TokenizedGame> RandomGames(const WorkloadOptions& options,
                                                  const WorldModelSize& size) {
  const int64_t rows = options.quick ? 400 : 100000, episode = options.quick ? 100 : 1000;
  torch::manual_seed(kWorkloadSeed);
  std::vector<tokenizer::TokenizedGame> games(3);
  for (size_t g = 0; g < games.size(); ++g) {
    tokenizer::TokenizedGame& game = games[g];
    game.game = fmt::format("random{}", g);
    game.tokens = torch::randint(size.codes, {rows, size.levels}, torch::kLong);
    game.actions = torch::randint(kActions, {rows}, torch::kLong);
    game.rewards = torch::zeros({rows});
    game.terminals = torch::zeros({rows}, torch::kUInt8);
    game.truncateds = torch::zeros({rows}, torch::kUInt8);
    for (int64_t end = episode; end <= rows; end += episode) {
      game.episodes.push_back({end - episode, end});
      game.terminals[end - 1] = 1;
    }
    game.num_actions = kActions;
    game.codes = size.codes;
  }
  return games;
}

std::shared_ptr<world_model::WorldModelLearner> MakeLearner(const WorkloadOptions& options,
                                                            const WorldModelSize& size = {}) {
  return std::make_shared<world_model::WorldModelLearner>(
      RandomGames(options, size), WorldModelConfigOf(options, size), config::SplitConfig{},
      options.precision, SeedTree(kWorkloadSeed), options.device);
}

world_model::WorldModel MakeModel(const WorkloadOptions& options) {
  const WorldModelSize size;
  torch::manual_seed(kWorkloadSeed);
  world_model::WorldModel model(world_model::OptionsFromConfig(
      WorldModelConfigOf(options),
      {.levels = size.levels, .codes = size.codes, .actions = kActions}));
  model->to(options.device);
  model->eval();
  return model;
}

}  // namespace

Workload WorldModelTrain(const WorkloadOptions& options) { return WorldModelTrainOf({}, options); }

Workload WorldModelTrainOf(const WorldModelSize& size, const WorkloadOptions& options) {
  const config::WorldModelConfig config = WorldModelConfigOf(options, size);
  return {.shape =
              fmt::format("{} x {} steps, dropout {}", config.batch, config.window, config.dropout),
          .precision = options.precision,
          .run =
              [learner = MakeLearner(options, size), update = int64_t{0}]() mutable {
                learner->Update(update++ % learner->total_updates());
              },
          .unit = "updates"};
}

Workload WorldModelForward(const WorkloadOptions& options) {
  const config::WorldModelConfig config = WorldModelConfigOf(options);
  world_model::WorldModel model = MakeModel(options);
  const auto whole = torch::TensorOptions(options.device).dtype(torch::kLong);
  const torch::Tensor tokens = torch::randint(
      WorldModelSize{}.codes, {config.batch, config.window, WorldModelSize{}.levels}, whole);
  const torch::Tensor actions = torch::randint(kActions, {config.batch, config.window}, whole);
  return {.shape = fmt::format("{} x {} steps", config.batch, config.window),
          .precision = options.precision,
          .run =
              [model, tokens, actions, options]() mutable {
                const torch::NoGradGuard no_grad;
                const layers::AutocastGuard autocast(options.device, options.precision);
                model->forward(tokens, actions);
              },
          .unit = "batches"};
}

Workload Imagination(const WorkloadOptions& options) {
  const int64_t batch = options.quick ? 2 : 32, context = options.quick ? 3 : 16;
  const imagination::DreamOptions dreams{.horizon = options.quick ? 2 : 15};
  world_model::WorldModel model = MakeModel(options);
  const world_model::TokenLayout layout = model->options().layout;
  const auto codebooks = torch::randn({layout.levels, layout.codes, model->options().width},
                                      torch::TensorOptions(options.device));
  const imagination::StateFeatures features("hidden", model->options());
  policy::PolicyModel policy(policy::PolicyModelOptions{.game = "random",
                                                        .feature_width = features.state_width(),
                                                        .outcome_width = features.outcome_width(),
                                                        .actions = kActions,
                                                        .context = context,
                                                        .horizon = dreams.horizon});
  policy->to(options.device);
  auto dreamer = std::make_shared<imagination::StagedDreamer>(model, policy, codebooks);
  auto loop =
      std::make_shared<imagination::DreamLoop>(*dreamer, dreams, options.precision, options.device);
  const auto whole = torch::TensorOptions(options.device).dtype(torch::kLong);
  const world_model::Steps steps = world_model::StepsOfSlots(
      layout, torch::randint(layout.codes, {batch, context, layout.levels}, whole),
      torch::randint(kActions, {batch, context - 1}, whole), dreamer->ValuesOfCodes());
  return {
      .shape = fmt::format("{} rollouts, context {}, horizon {}", batch, context, dreams.horizon),
      .precision = options.precision,
      .run =
          [=, rng = Rng(kWorkloadSeed)]() mutable {
            loop->Run(steps,
                      imagination::DrawForDreams(*dreamer, batch, dreams, rng, options.device));
          },
      .items = static_cast<double>(batch * dreams.horizon),
      .unit = "dreamed steps"};
}

Workload WindowSampling(const WorkloadOptions& options) {
  const int64_t draws = options.quick ? 2 : 64;
  const config::WorldModelConfig config = WorldModelConfigOf(options);
  return {.shape = fmt::format("{} x {} steps", config.batch, config.window),
          .precision = layers::Precision::kF32,
          .run =
              [learner = MakeLearner(options), draws, update = int64_t{0}]() mutable {
                for (int64_t i = 0; i < draws; ++i) {
                  learner->DrawBatch(update++ % learner->total_updates(), 0);
                }
              },
          .items = static_cast<double>(draws),
          .unit = "batches"};
}

}  // namespace hidreamer::performance
