#include "hidreamer/world_model/world_model_learner.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/data/left_out.h"
#include "hidreamer/data/windows.h"
#include "hidreamer/formats/tensor_map.h"
#include "hidreamer/training/device.h"
#include "hidreamer/training/metrics.h"
#include "hidreamer/world_model/loss.h"
#include "hidreamer/world_model/recorded_steps.h"

namespace hidreamer::world_model {
namespace {

std::string LevelName(const std::string& name, size_t level) {
  return name + "_l" + std::to_string(level);
}

void CheckTokensFit(const std::vector<tokenizer::TokenizedGame>& games, const TokenLayout& layout) {
  for (const tokenizer::TokenizedGame& game : games) {
    if (game.tokens.size(0) == 0) {
      throw UserError("", "{} has no tokens", game.game);
    }
    const int64_t largest_code = game.tokens.max().item<int64_t>();
    const int64_t largest_action = game.actions.max().item<int64_t>();
    if (largest_code >= layout.codes || largest_action >= layout.actions) {
      throw UserError("tokenize the game again", "{}: code {} of {}, action {} of {}", game.game,
                      largest_code, layout.codes, largest_action, layout.actions);
    }
  }
}

}  // namespace

TokenLayout LayoutOf(const std::vector<tokenizer::TokenizedGame>& games) {
  if (games.empty()) {
    throw UserError("name at least one game in `games`", "no game to train a world model on");
  }
  TokenLayout layout{games[0].tokens.size(1), games[0].codes, 0};
  for (const tokenizer::TokenizedGame& game : games) {
    if (game.tokens.size(1) != layout.levels || game.codes != layout.codes) {
      throw UserError("tokenize all games with the same tokenizer",
                      "{} has {} levels of {} codes, {} has {} of {}", games[0].game, layout.levels,
                      layout.codes, game.game, game.tokens.size(1), game.codes);
    }
    layout.actions = std::max(layout.actions, game.num_actions);
  }
  return layout;
}

WorldModelOptions OptionsFromConfig(const config::WorldModelConfig& config,
                                    const TokenLayout& layout) {
  if (config.width % config.heads != 0) {
    throw UserError("choose world_model.heads so that they divide world_model.width",
                    "width {} is not a multiple of {} heads", config.width, config.heads);
  }
  WorldModelOptions options;
  options.layout = layout;
  options.width = config.width;
  options.layers = config.layers;
  options.heads = config.heads;
  options.ffn_width = config.ffn_width;
  options.dropout = config.dropout;
  options.max_steps = config.max_steps;
  options.mask = MaskFromName(config.mask);
  return options;
}

WindowSplit SplitWindows(const std::vector<tokenizer::TokenizedGame>& games, int64_t length,
                         const config::SplitConfig& split, const SeedTree& seeds) {
  WindowSplit windows;
  for (size_t g = 0; g < games.size(); ++g) {
    const tokenizer::TokenizedGame& game = games[g];
    const SeedTree game_seeds = seeds.Subtree(game.game);
    data::Split starts;
    if (split.by == "windows") {
      const torch::Tensor ends = game.terminals.logical_or(game.truncateds).to(torch::kUInt8);
      starts =
          data::SplitWindowsAtRandom({ends.data_ptr<uint8_t>(), static_cast<size_t>(ends.numel())},
                                     length, split.validation, game_seeds);
    } else {
      starts = data::SplitWindowsByEpisode(game.episodes, length, split.validation, game_seeds);
    }
    for (const int64_t start : starts.train) {
      windows.train.push_back({static_cast<int64_t>(g), start});
    }
    for (const int64_t start : starts.validation) {
      windows.validation.push_back({static_cast<int64_t>(g), start});
    }
  }
  return windows;
}

WorldModelLearner::WorldModelLearner(std::vector<tokenizer::TokenizedGame> games,
                                     const config::WorldModelConfig& config,
                                     const config::SplitConfig& split, layers::Precision precision,
                                     const SeedTree& seeds, torch::Device device,
                                     training::ProcessGroup* group)
    : games_(std::move(games)),
      config_(config),
      precision_(precision),
      seeds_(seeds),
      device_(device),
      group_(group) {
  if (group_ != nullptr && config.batch % group_->size() != 0) {
    throw UserError("choose world_model.batch as a multiple of the number of processes",
                    "{} processes do not share a batch of {} windows evenly", group_->size(),
                    config.batch);
  }
  const TokenLayout layout = LayoutOf(games_);
  CheckTokensFit(games_, layout);
  if (config.window > config.max_steps) {
    throw UserError("world_model.window must not exceed world_model.max_steps",
                    "window of {} steps, the model has {}", config.window, config.max_steps);
  }
  if (static_cast<int64_t>(config.loss_weights.size()) != layout.levels) {
    throw UserError("give world_model.loss_weights one number a level",
                    "{} loss weights, {} levels", config.loss_weights.size(), layout.levels);
  }
  split_ = SplitWindows(games_, config.window, split, seeds);
  if (split_.train.empty()) {
    throw UserError("collect longer episodes or shorten world_model.window",
                    "no training episode has {} steps", config.window);
  }
  if (group_ == nullptr || group_->leads()) {
    for (const tokenizer::TokenizedGame& game : games_) {
      data::NoteLeftOut("world_model", game.game, game.episodes, config.window);
    }
    if (split_.validation.empty()) {
      spdlog::warn("world_model: no held-out episode has {} steps, so nothing is validated",
                   config.window);
    }
  }
  const auto windows = static_cast<int64_t>(split_.train.size());
  updates_per_epoch_ = std::max<int64_t>(1, windows / (config.batch * config.accumulate));
  if (config.updates_per_epoch > 0) {
    updates_per_epoch_ = std::min(updates_per_epoch_, config.updates_per_epoch);
  }
  torch::manual_seed(seeds.Stream("world_model/init"));
  model_ = WorldModel(OptionsFromConfig(config, layout));
  model_->to(device_);
  optimizer_.emplace(training::NamedParameters(*model_),
                     training::AdamOptions{.beta1 = config.beta1,
                                           .beta2 = config.beta2,
                                           .weight_decay = config.weight_decay,
                                           .decoupled = true});
  update_.emplace(
      [this](const training::CapturedGraph::Tensors& inputs) { return ComputeUpdate(inputs); },
      optimizer_->parameters());
}

std::vector<data::WindowStart> WorldModelLearner::BatchWindows(int64_t update, int64_t micro) {
  const int64_t epoch = update / updates_per_epoch_;
  if (epoch != order_epoch_) {
    order_ = seeds_.Generator("world_model/order", static_cast<uint64_t>(epoch))
                 .Permutation(static_cast<int64_t>(split_.train.size()));
    order_epoch_ = epoch;
  }
  const int64_t size = group_ == nullptr ? 1 : group_->size();
  const int64_t rank = group_ == nullptr ? 0 : group_->rank();
  const int64_t own = config_.batch / size;
  const int64_t first =
      ((update % updates_per_epoch_) * config_.accumulate + micro) * config_.batch + rank * own;
  std::vector<data::WindowStart> windows;
  for (int64_t i = first; i < first + own; ++i) {
    const int64_t window = order_[static_cast<size_t>(i) % order_.size()];
    windows.push_back(split_.train[static_cast<size_t>(window)]);
  }
  return windows;
}

Steps WorldModelLearner::DrawBatch(int64_t update, int64_t micro) {
  return ReadSteps(games_, BatchWindows(update, micro), config_.window);
}

formats::TensorMap WorldModelLearner::BatchOf(int64_t update) {
  std::vector<torch::Tensor> tokens, actions;
  for (int64_t micro = 0; micro < config_.accumulate; ++micro) {
    const Steps batch = DrawBatch(update, micro);
    tokens.push_back(batch.codes.squeeze(2));
    actions.push_back(batch.actions);
  }
  return {{"tokens", torch::stack(tokens)}, {"actions", torch::stack(actions)}};
}

torch::Tensor WorldModelLearner::ComputeGradients(const torch::Tensor& tokens,
                                                  const torch::Tensor& actions) {
  std::vector<torch::Tensor> rows;
  for (int64_t micro = 0; micro < tokens.size(0); ++micro) {
    HierarchicalLoss loss;
    {
      const layers::AutocastGuard autocast(device_, precision_);
      loss = ComputeLoss(model_->Predict(tokens[micro], actions[micro]), tokens[micro],
                         config_.loss_weights);
    }
    (loss.total / static_cast<double>(tokens.size(0))).backward();
    std::vector<torch::Tensor> row = {loss.total};
    for (size_t level = 0; level < loss.levels.size(); ++level) {
      row.push_back(loss.levels[level]);
      row.push_back(loss.correct[level] / loss.targets[level]);
    }
    rows.push_back(torch::stack(row).detach());
  }
  return torch::stack(rows).mean(0);
}

training::CapturedGraph::Tensors WorldModelLearner::ComputeUpdate(
    const training::CapturedGraph::Tensors& inputs) {
  const torch::Tensor numbers = ComputeGradients(inputs[0], inputs[1]);
  if (group_ != nullptr) {
    std::vector<torch::Tensor> averaged = {numbers};
    for (const auto& parameter : optimizer_->parameters()) {
      if (parameter.value.grad().defined()) {
        averaged.push_back(parameter.value.grad());
      }
    }
    group_->Average(averaged);
  }
  const torch::Tensor norm = training::ClipGradNorm(optimizer_->parameters(), config_.clip_norm);
  training::RequireFinite("loss", numbers[0]);
  training::RequireFinite("grad_norm", norm);
  optimizer_->Apply(inputs[2]);
  return {torch::cat({numbers, norm.view({1})})};
}

training::Metrics WorldModelLearner::Update(int64_t update) {
  const bool alone = group_ == nullptr || group_->leads();
  torch::manual_seed(seeds_.Stream(
      alone ? "world_model/dropout" : fmt::format("world_model/dropout/{}", group_->rank()),
      static_cast<uint64_t>(update)));
  model_->train();
  const formats::TensorMap batches = BatchOf(update);
  const double final_share = config_.lr > 0 ? config_.final_lr / config_.lr : 0.0;
  const double lr = config_.lr * training::WarmupCosine(update, config_.warmup_updates,
                                                        total_updates(), final_share);
  const training::CapturedGraph::Tensors inputs = {
      training::ToDevice(batches.at("tokens"), device_),
      training::ToDevice(batches.at("actions"), device_), optimizer_->Begin(lr)};
  // Where the host waits for the other processes' gradients, the update cannot be recorded.
  const bool waits = group_ != nullptr && group_->size() > 1 && !group_->ExchangesOn(device_);
  const torch::Tensor numbers = (waits ? update_->Call(inputs) : update_->Run(inputs))[0];
  training::Metrics metrics;
  metrics.Add("loss", numbers[0]);
  const auto levels = static_cast<size_t>(model_->options().layout.levels);
  for (size_t level = 0; level < levels; ++level) {
    const auto column = static_cast<int64_t>(1 + 2 * level);
    metrics.Add(LevelName("loss", level), numbers[column]);
    metrics.Add(LevelName("accuracy", level), numbers[column + 1]);
  }
  metrics.Add("grad_norm", numbers[-1]);
  metrics.Add("lr", lr);
  return metrics;
}

std::vector<data::WindowStart> WorldModelLearner::ValidationWindows() const {
  std::vector<data::WindowStart> windows = split_.validation;
  const int64_t wanted = config_.validation_windows;
  const auto count = static_cast<int64_t>(windows.size());
  if (wanted == 0 || wanted >= count) {
    return windows;
  }
  // The same random part after every epoch.
  const std::vector<int64_t> order = seeds_.Generator("world_model/validation").Permutation(count);
  std::vector<data::WindowStart> part;
  for (int64_t i = 0; i < wanted; ++i) {
    part.push_back(windows[static_cast<size_t>(order[static_cast<size_t>(i)])]);
  }
  return part;
}

nlohmann::json WorldModelLearner::EndEpoch(int64_t /*epoch*/) {
  const std::vector<data::WindowStart> windows = ValidationWindows();
  nlohmann::json record = {{"windows", windows.size()}};
  if (windows.empty()) {
    return record;
  }
  const layers::AutocastGuard autocast(device_, precision_);
  const PredictionMetrics metrics =
      EvaluatePrediction(model_, games_, windows, config_.window, config_.batch);
  double loss = 0;
  for (size_t level = 0; level < metrics.levels.size(); ++level) {
    const LevelPrediction& prediction = metrics.levels[level];
    loss += config_.loss_weights[level] * prediction.nll;
    record[LevelName("nll", level)] = prediction.nll;
    record[LevelName("accuracy", level)] = prediction.accuracy;
    record[LevelName("changed_accuracy", level)] = prediction.changed_accuracy;
    record[LevelName("copy_accuracy", level)] = prediction.copy_accuracy;
    record[LevelName("ece", level)] = prediction.ece;
  }
  record["validation_loss"] = loss;
  return record;
}

formats::TensorMap WorldModelLearner::State() const {
  formats::TensorMap state;
  formats::InsertWithPrefix(state, formats::NamedState(*model_), "model.");
  formats::InsertWithPrefix(state, optimizer_->State(), "optimizer.");
  return state;
}

void WorldModelLearner::LoadState(const formats::TensorMap& state) {
  formats::LoadNamedState(*model_, formats::WithoutPrefix(state, "model."));
  optimizer_->LoadState(formats::WithoutPrefix(state, "optimizer."));
}

}  // namespace hidreamer::world_model
