#include "hidreamer/agent/model_learner.h"

#include <algorithm>

#include "hidreamer/agent/observation.h"
#include "hidreamer/policy/networks.h"

namespace hidreamer::agent {
namespace {

constexpr double kReconstructionScale = 10;  // keeps the loss near 1, beside clipping
constexpr int64_t kReviveEvery = 20;         // updates (rvq)
constexpr int64_t kStartFrames = 512;        // for background and codebooks
constexpr int64_t kCpcWidth = 128;

// Adds every number of `log` to that of the same name.
void AddTo(nlohmann::json& sums, const nlohmann::json& log) {
  for (const auto& [key, value] : log.items()) {
    sums[key] = sums.value(key, 0.0) + value.get<double>();
  }
}

}  // namespace

ModelLearner::ModelLearner(AgentModels models, const config::AgentConfig& config,
                           const SeedTree& seeds, nn::Precision precision, torch::Device device)
    : models_(std::move(models)),
      config_(config),
      seeds_(seeds),
      precision_(precision),
      device_(device) {
  tokenizer_optimizer_ =
      std::make_unique<nn::Adam>(nn::NamedParameters(*models_->tokenizer), nn::AdamOptions{});
  learning_ = world_model::StepModel(models_->options().world_model);
  learning_->to(device);
  nn::MoveTowards(*learning_, *models_->world_model, 1);
  auto parameters = nn::NamedParameters(*learning_);
  if (config.world_model.cpc_scale > 0) {
    cpc_ = policy::AcCpc(policy::AcCpcOptions{.feature_width = config.world_model.width,
                                              .width = kCpcWidth,
                                              .steps = config.world_model.cpc_steps,
                                              .actions = models_->options().actions});
    cpc_->to(device);
    for (auto& parameter : nn::NamedParameters(*cpc_, "cpc.")) {
      parameters.push_back(parameter);
    }
  }
  const bool muon = config.world_model.matrix_lr > 0;
  model_optimizer_ = std::make_unique<nn::MuonWithAdam>(
      parameters, muon ? learning_->LocalMatrices() : std::vector<torch::Tensor>(),
      nn::MuonOptions{}, nn::AdamOptions{.beta2 = 0.99, .weight_decay = 1e-4, .decoupled = true});
}

void ModelLearner::Start(const data::ReplayBuffer& replay) {
  Rng rng = seeds_.Generator("model/start");
  const auto starts = replay.Sample(kStartFrames, 1, {}, rng);
  models_->tokenizer->Start(ToTensor(replay.Read(starts, 1).frames, device_), rng);
}

nlohmann::json ModelLearner::StepTokenizer(const torch::Tensor& frames,
                                           const torch::Tensor& previous, int64_t update,
                                           double lr) {
  auto& tokenizer = models_->tokenizer;
  tokenizer->train();
  torch::Tensor loss, reconstruction_loss, stillness_loss;
  {
    const nn::AutocastGuard autocast(device_, precision_);
    const int64_t n = frames.size(0);
    const auto codes = tokenizer->Encode(torch::cat({frames, previous}));
    const auto reconstruction = tokenizer->Decode(codes.values.narrow(0, 0, n));
    stillness_loss = config_.tokenizer.stillness *
                     (codes.latents.narrow(0, 0, n) - codes.latents.narrow(0, n, n)).abs().mean();
    tokenizer->CountDifferences(frames);
    const auto extra = config_.tokenizer.rarity
                           ? config_.tokenizer.change_weight * tokenizer->Rarity()
                           : torch::tensor(config_.tokenizer.change_weight, torch::kFloat32);
    reconstruction_loss =
        kReconstructionScale * tokenizer::ChangeWeightedLoss(reconstruction, frames, previous,
                                                             tokenizer->background(), extra);
    loss = reconstruction_loss + stillness_loss + codes.commitment;
  }
  tokenizer_optimizer_->ZeroGrad();
  loss.backward();
  nn::ClipGradNorm(tokenizer_optimizer_->parameters(), config_.world_model.clip_norm);
  tokenizer_optimizer_->Step(lr);
  tokenizer->eval();
  if (update % kReviveEvery == 0) {
    Rng rng = seeds_.Generator("model/revive", static_cast<uint64_t>(update));
    tokenizer->Revive(frames, rng);
  }
  return {{"reconstruction_loss", reconstruction_loss.item<double>()},
          {"stillness_loss", stillness_loss.item<double>()}};
}

nlohmann::json ModelLearner::UpdateTokenizer(const data::ReplayBuffer& replay, int64_t update) {
  Rng rng = seeds_.Generator("model/head_start", static_cast<uint64_t>(update));
  const auto starts = replay.Sample(config_.tokenizer.batch, 2, {}, rng);
  const auto pairs = ToTensor(replay.Read(starts, 2).frames, device_)
                         .view({-1, 2, 1, kObservationSize, kObservationSize});
  return StepTokenizer(pairs.select(1, 1).contiguous(), pairs.select(1, 0).contiguous(), update,
                       config_.tokenizer.lr);
}

nlohmann::json ModelLearner::Update(const data::ReplayBuffer& replay, int64_t update,
                                    int64_t total) {
  Rng rng = seeds_.Generator("model/update", static_cast<uint64_t>(update));
  const auto& config = config_.world_model;
  const auto starts = replay.Sample(config.batch, config.window,
                                    {.recent_share = config_.replay.recent_share,
                                     .recent_steps = config_.replay.recent_steps,
                                     .near_reward_share = config_.replay.near_reward_share,
                                     .horizon = config_.policy.horizon},
                                    rng);
  const auto batch = replay.Read(starts, config.window);
  const auto frames = ToTensor(batch.frames, device_);  // (B T, 1, 64, 64)
  nlohmann::json log = nlohmann::json::object();
  const int64_t freeze_after = config_.tokenizer.freeze_after;
  if (freeze_after == 0 || update < freeze_after) {
    // Some of the frames, each with the one before it in its window.
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < config_.tokenizer.batch; ++i) {
      rows.push_back(rng.UniformInt(config.batch) * config.window + 1 +
                     rng.UniformInt(config.window - 1));
    }
    const auto index = torch::tensor(rows, torch::kLong).to(device_);
    log.update(StepTokenizer(frames.index_select(0, index), frames.index_select(0, index - 1),
                             update,
                             nn::Cosine(config_.tokenizer.online_lr, config_.tokenizer.final_lr,
                                        static_cast<double>(update) / static_cast<double>(total))));
  }
  Windows windows;
  {
    const nn::AutocastGuard autocast(device_, precision_);
    windows = ReadWindows(models_, batch, device_);
  }
  const double share =
      nn::WarmupCosine(update, config.warmup_updates, total, config.final_lr_share);
  const int64_t size = (config.batch + config.minibatches - 1) / config.minibatches;
  int64_t parts = 0;
  nlohmann::json sums = nlohmann::json::object();
  for (int64_t begin = 0; begin < config.batch; begin += size, ++parts) {
    AddTo(sums, StepWorldModel(windows.Some(begin, std::min(size, config.batch - begin)), share));
  }
  for (const auto& [key, sum] : sums.items()) {
    log[key] = sum.get<double>() / static_cast<double>(parts);
  }
  return log;
}

nlohmann::json ModelLearner::StepWorldModel(const Windows& windows, double share) {
  const auto& config = config_.world_model;
  const auto& [inputs, codes, actions, rewards, terminals] = windows;
  auto& model = learning_;
  const int64_t b = windows.batch(), t = windows.length(), levels = codes.size(3);
  torch::Tensor code_loss, reward_loss, continue_loss, cpc_loss, changed_accuracy;
  torch::Tensor loss;
  {
    const nn::AutocastGuard autocast(device_, precision_);
    const auto states = model->Observe(inputs);
    const auto outcome =
        model->Foretell(states.hidden.flatten(0, 1), states.local.flatten(0, 1), actions.flatten());
    // Codes of the next step, where it belongs to the same episode; the first step of a window has
    // no grid before it and is left out.
    const auto places =
        outcome.places
            .view({b, t, outcome.places.size(1), outcome.places.size(2), outcome.places.size(3)})
            .narrow(1, 1, t - 2)
            .flatten(0, 1);
    const auto targets = codes.narrow(1, 2, t - 2).flatten(0, 1);  // (N, P, L)
    const auto now = codes.narrow(1, 1, t - 2).flatten(0, 1);
    const auto valid = inputs.first.narrow(1, 2, t - 2)
                           .logical_not()
                           .to(torch::kFloat32)
                           .flatten()
                           .view({-1, 1});  // (N, 1)
    const auto logits = model->Logits(places, targets);
    const auto changed = targets.ne(now);  // (N, P, L)
    torch::Tensor weighted_sum = torch::zeros({}, rewards.options());
    torch::Tensor weight_sum = torch::zeros({}, rewards.options());
    torch::Tensor hits = torch::zeros({}, rewards.options());
    torch::Tensor changes = torch::zeros({}, rewards.options());
    for (int64_t l = 0; l < levels; ++l) {
      const auto& level = logits[static_cast<size_t>(l)];
      const auto target = targets.select(2, l);
      const auto loss_of_code =
          torch::nn::functional::cross_entropy(
              level.flatten(0, 1), target.flatten(),
              torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kNone))
              .view_as(target);  // (N, P)
      const auto moved = changed.select(2, l).to(torch::kFloat32) * valid;
      const auto weights = valid + (config.changed_weight - 1) * moved;
      weighted_sum = weighted_sum + (weights * loss_of_code).sum();
      weight_sum = weight_sum + weights.sum();
      torch::NoGradGuard no_grad;
      hits = hits + (level.argmax(-1).eq(target).to(torch::kFloat32) * moved).sum();
      changes = changes + moved.sum();
    }
    code_loss = static_cast<double>(levels) * weighted_sum / weight_sum.clamp_min(1);
    changed_accuracy = hits / changes.clamp_min(1);
    const auto reward_logits = outcome.reward.view({b, t, -1}).narrow(1, 1, t - 1);
    reward_loss = models_->scalars().Loss(reward_logits, rewards.narrow(1, 1, t - 1)).mean();
    continue_loss = torch::binary_cross_entropy_with_logits(
        outcome.continues.view({b, t}).narrow(1, 1, t - 1),
        terminals.narrow(1, 1, t - 1).logical_not().to(torch::kFloat32));
    loss = code_loss + reward_loss + continue_loss;
    if (cpc_) {
      cpc_loss = cpc_->forward(states.hidden, actions);
      loss = loss + config.cpc_scale * cpc_loss;
    }
  }
  model_optimizer_->ZeroGrad();
  loss.backward();
  const auto norm = nn::ClipGradNorm(model_optimizer_->parameters(), config.clip_norm);
  model_optimizer_->Step(share * config.matrix_lr, share * config.lr);
  nn::MoveTowards(*models_->world_model, *learning_, 1 - config.average);
  nlohmann::json log = {{"loss", loss.item<double>()},
                        {"code_loss", code_loss.item<double>()},
                        {"reward_loss", reward_loss.item<double>()},
                        {"continue_loss", continue_loss.item<double>()},
                        {"changed_accuracy", changed_accuracy.item<double>()},
                        {"model_grad_norm", norm.item<double>()}};
  if (cpc_loss.defined()) {
    log["cpc_loss"] = cpc_loss.item<double>();
  }
  return log;
}

nn::TensorMap ModelLearner::State() const {
  nn::TensorMap state;
  nn::InsertWithPrefix(state, tokenizer_optimizer_->State(), "tokenizer.");
  nn::InsertWithPrefix(state, nn::NamedState(*learning_), "learning.");
  nn::InsertWithPrefix(state, model_optimizer_->State(), "model.");
  if (cpc_) {
    nn::InsertWithPrefix(state, nn::NamedState(*cpc_), "cpc.");
  }
  return state;
}

void ModelLearner::LoadState(const nn::TensorMap& state) {
  tokenizer_optimizer_->LoadState(nn::WithoutPrefix(state, "tokenizer."));
  nn::LoadNamedState(*learning_, state, "learning.");
  model_optimizer_->LoadState(nn::WithoutPrefix(state, "model."));
  if (cpc_) {
    nn::LoadNamedState(*cpc_, state, "cpc.");
  }
}

}  // namespace hidreamer::agent
