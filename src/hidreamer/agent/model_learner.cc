#include "hidreamer/agent/model_learner.h"

#include <algorithm>
#include <array>

#include "hidreamer/agent/observation.h"
#include "hidreamer/policy/networks.h"
#include "hidreamer/training/device.h"

namespace hidreamer::agent {
namespace {

constexpr double kReconstructionScale = 10;  // keeps the loss near 1, beside clipping
constexpr int64_t kReviveEvery = 20;         // updates (rvq)
constexpr int64_t kStartFrames = 512;        // for background and codebooks
constexpr int64_t kCpcWidth = 128;
constexpr std::array kModelMetrics = {"loss", "code_loss", "reward_loss", "continue_loss",
                                      "changed_accuracy"};

}  // namespace

ModelLearner::ModelLearner(AgentModels models, const config::Config& config, const SeedTree& seeds,
                           layers::Precision precision, torch::Device device)
    : models_(std::move(models)),
      config_(config),
      seeds_(seeds),
      precision_(precision),
      device_(device) {
  tokenizer_optimizer_ = std::make_unique<training::Adam>(
      training::NamedParameters(*models_->tokenizer), training::AdamOptions{});
  learning_ = world_model::MakeWorld(models_->options().world_model);
  learning_->to(device);
  training::MoveTowards(*learning_, *models_->world_model, 1);
  auto parameters = training::NamedParameters(*learning_);
  if (config.world_model.cpc_scale > 0) {
    cpc_ = policy::AcCpc(policy::AcCpcOptions{.feature_width = learning_->hidden_width(),
                                              .width = kCpcWidth,
                                              .steps = config.world_model.cpc_steps,
                                              .actions = models_->options().actions});
    cpc_->to(device);
    for (auto& parameter : training::NamedParameters(*cpc_, "cpc.")) {
      parameters.push_back(parameter);
    }
  }
  const bool muon = config.world_model.matrix_lr > 0;
  model_optimizer_ = std::make_unique<training::MuonWithAdam>(
      parameters, muon ? learning_->MuonMatrices() : std::vector<torch::Tensor>(),
      training::MuonOptions{},
      training::AdamOptions{.beta2 = 0.99, .weight_decay = 1e-4, .decoupled = true});
  tokenizer_gradients_ = std::make_unique<training::CapturedGraph>(
      [this](const training::CapturedGraph::Tensors& inputs) {
        return TokenizerGradients(inputs[0], inputs[1]);
      },
      tokenizer_optimizer_->parameters());
  model_gradients_ = std::make_unique<training::CapturedGraph>(
      [this](const training::CapturedGraph::Tensors& inputs) {
        return training::CapturedGraph::Tensors{
            WorldModelGradients(world_model::Steps::FromTensors(inputs))};
      },
      model_optimizer_->parameters());
}

void ModelLearner::Start(const ReplayReader& reader) {
  Rng rng = seeds_.Generator("model/start");
  const auto starts = reader.replay().Sample(kStartFrames, 1, {}, rng);
  models_->tokenizer->Start(reader.Frames(starts, 1), rng);
}

training::CapturedGraph::Tensors ModelLearner::TokenizerGradients(const torch::Tensor& frames,
                                                                  const torch::Tensor& previous) {
  auto& tokenizer = models_->tokenizer;
  torch::Tensor loss, reconstruction_loss, stillness_loss;
  {
    const layers::AutocastGuard autocast(device_, precision_);
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
  loss.backward();
  return {reconstruction_loss, stillness_loss};
}

void ModelLearner::StepTokenizer(const torch::Tensor& frames, const torch::Tensor& previous,
                                 int64_t update, double lr, training::Metrics& metrics) {
  auto& tokenizer = models_->tokenizer;
  tokenizer->train();
  // Counting the use of codebooks waits for the device.
  const auto losses = config_.tokenizer.quantizer == "rvq"
                          ? tokenizer_gradients_->Call({frames, previous})
                          : tokenizer_gradients_->Run({frames, previous});
  metrics.Add("reconstruction_loss", losses[0]);
  metrics.Add("stillness_loss", losses[1]);
  metrics.Add("tokenizer_grad_norm", training::ClipGradNorm(tokenizer_optimizer_->parameters(),
                                                            config_.world_model.clip_norm));
  tokenizer_optimizer_->Step(lr);
  tokenizer->eval();
  if (update % kReviveEvery == 0) {
    Rng rng = seeds_.Generator("model/revive", static_cast<uint64_t>(update));
    tokenizer->Revive(frames, rng);
  }
}

int64_t ModelLearner::MinibatchSize() const {
  const auto& config = config_.world_model;
  return (config.batch + config.minibatches - 1) / config.minibatches;
}

void ModelLearner::UpdateTokenizer(const ReplayReader& reader, int64_t update) {
  Rng rng = seeds_.Generator("model/head_start", static_cast<uint64_t>(update));
  const auto starts = reader.replay().Sample(config_.tokenizer.batch, 2, {}, rng);
  const auto pairs = reader.Frames(starts, 2).view({-1, 2, 1, kObservationSize, kObservationSize});
  training::Metrics unread;
  StepTokenizer(pairs.select(1, 1).contiguous(), pairs.select(1, 0).contiguous(), update,
                config_.tokenizer.lr, unread);
}

std::vector<data::WindowStart> ModelLearner::DrawWindows(const ReplayReader& reader,
                                                         Rng& rng) const {
  return reader.replay().Sample(config_.world_model.batch, config_.world_model.window,
                                SamplingOf(config_), rng);
}

formats::TensorMap ModelLearner::BatchOf(const ReplayReader& reader, int64_t update) const {
  Rng rng = seeds_.Generator("model/update", static_cast<uint64_t>(update));
  const int64_t length = config_.world_model.window;
  const auto starts = DrawWindows(reader, rng);
  const auto batch = reader.replay().Read(starts, length, /*frames=*/false);
  const auto shape = {batch.batch, batch.length};
  return {{"frames", reader.Frames(starts, length)},
          {"actions", torch::tensor(batch.actions, torch::kLong).view(shape)},
          {"rewards", torch::tensor(batch.rewards, torch::kFloat32).view(shape)},
          {"terminals", torch::tensor(batch.terminals, torch::kUInt8).view(shape)},
          {"firsts", torch::tensor(batch.firsts, torch::kUInt8).view(shape)}};
}

int64_t ModelLearner::TokenizerUpdates(int64_t total) const {
  const int64_t freeze_after = config_.tokenizer.freeze_after;
  return freeze_after == 0 ? total : std::min(freeze_after, total);
}

training::Metrics ModelLearner::Update(const ReplayReader& reader, int64_t update, int64_t total) {
  return UpdateParts(reader, update, total, update < TokenizerUpdates(total));
}

training::Metrics ModelLearner::UpdateWorldModel(const ReplayReader& reader, int64_t update,
                                                 int64_t total) {
  return UpdateParts(reader, update, total, /*with_tokenizer=*/false);
}

training::Metrics ModelLearner::UpdateParts(const ReplayReader& reader, int64_t update,
                                            int64_t total, bool with_tokenizer) {
  Rng rng = seeds_.Generator("model/update", static_cast<uint64_t>(update));
  const auto& config = config_.world_model;
  const auto starts = DrawWindows(reader, rng);
  const auto frames = reader.Frames(starts, config.window);  // (B T, 1, 64, 64)
  training::Metrics metrics;
  if (with_tokenizer) {
    // Some of the frames, each with the one before it in its window.
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < config_.tokenizer.batch; ++i) {
      rows.push_back(rng.UniformInt(config.batch) * config.window + 1 +
                     rng.UniformInt(config.window - 1));
    }
    const auto index = training::ToDevice(torch::tensor(rows, torch::kLong), device_);
    StepTokenizer(frames.index_select(0, index), frames.index_select(0, index - 1), update,
                  training::Cosine(
                      config_.tokenizer.online_lr, config_.tokenizer.final_lr,
                      static_cast<double>(update) / static_cast<double>(TokenizerUpdates(total))),
                  metrics);
  }
  world_model::Steps steps;
  {
    const layers::AutocastGuard autocast(device_, precision_);
    const auto batch = reader.replay().Read(starts, config.window, /*frames=*/false);
    steps = imagination::ReadWindows(*models_, batch, frames);
  }
  const double share =
      training::WarmupCosine(update, config.warmup_updates, total, config.final_lr_share);
  const int64_t size = MinibatchSize();
  for (int64_t begin = 0; begin < config.batch; begin += size) {
    StepWorldModel(steps.Some(begin, std::min(size, config.batch - begin)), share, metrics);
  }
  return metrics;
}

torch::Tensor ModelLearner::WorldModelGradients(const world_model::Steps& steps) {
  const auto& config = config_.world_model;
  const int64_t t = steps.length(), levels = steps.codes.size(3);
  torch::Tensor code_loss, reward_loss, continue_loss, cpc_loss, changed_accuracy;
  torch::Tensor loss;
  {
    const layers::AutocastGuard autocast(device_, precision_);
    // The first step of a window has no grid before it and is left out.
    const world_model::Prediction prediction = learning_->Predict(steps, 2);
    // Codes of the next step, where it belongs to the same episode.
    const auto targets = steps.codes.narrow(1, 2, t - 2).flatten(0, 1);  // (N, P, L)
    const auto now = steps.codes.narrow(1, 1, t - 2).flatten(0, 1);
    auto goes_on = steps.firsts.narrow(1, 2, t - 2).logical_not();  // (B, T - 2)
    if (prediction.known.defined()) {
      goes_on = goes_on.logical_and(prediction.known.narrow(1, 1, t - 2))
                    .logical_and(prediction.known.narrow(1, 2, t - 2));
    }
    const auto valid = goes_on.to(torch::kFloat32).flatten().view({-1, 1});  // (N, 1)
    const auto changed = targets.ne(now);                                    // (N, P, L)
    torch::Tensor weighted_sum = torch::zeros({}, steps.rewards.options());
    torch::Tensor weight_sum = torch::zeros({}, steps.rewards.options());
    torch::Tensor hits = torch::zeros({}, steps.rewards.options());
    torch::Tensor changes = torch::zeros({}, steps.rewards.options());
    for (int64_t l = 0; l < levels; ++l) {
      const auto level = prediction.codes[static_cast<size_t>(l)].flatten(0, 1);  // (N, P, V)
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
    // Of what was read behind a true past.
    const auto mean = [&](const torch::Tensor& losses) {  // (B, T - 1)
      if (!prediction.known.defined()) {
        return losses.mean();
      }
      const auto known = prediction.known.narrow(1, 1, t - 1).to(torch::kFloat32);
      return (known * losses).sum() / known.sum().clamp_min(1);
    };
    reward_loss = mean(models_->scalars().Loss(prediction.outcomes.rewards.narrow(1, 1, t - 1),
                                               steps.rewards.narrow(1, 1, t - 1)));
    continue_loss = mean(torch::binary_cross_entropy_with_logits(
        prediction.outcomes.continues.narrow(1, 1, t - 1),
        steps.terminals.narrow(1, 1, t - 1).logical_not().to(torch::kFloat32), {}, {},
        at::Reduction::None));
    loss = code_loss + reward_loss + continue_loss;
    if (cpc_) {
      cpc_loss = cpc_->forward(prediction.hidden, steps.actions);
      loss = loss + config.cpc_scale * cpc_loss;
    }
  }
  loss.backward();
  std::vector<torch::Tensor> numbers = {loss, code_loss, reward_loss, continue_loss,
                                        changed_accuracy};
  if (cpc_) {
    numbers.push_back(cpc_loss);
  }
  for (torch::Tensor& number : numbers) {
    number = number.detach().to(torch::kFloat32);
  }
  return torch::stack(numbers);
}

void ModelLearner::StepWorldModel(const world_model::Steps& steps, double share,
                                  training::Metrics& metrics) {
  const auto& config = config_.world_model;
  const bool usual = steps.windows() == MinibatchSize();
  const auto inputs = steps.ToTensors();
  const auto numbers = (usual ? model_gradients_->Run(inputs) : model_gradients_->Call(inputs))[0];
  const auto norm = training::ClipGradNorm(model_optimizer_->parameters(), config.clip_norm);
  for (size_t i = 0; i < kModelMetrics.size(); ++i) {
    metrics.Add(kModelMetrics[i], numbers[static_cast<int64_t>(i)]);
  }
  if (cpc_) {
    metrics.Add("cpc_loss", numbers[static_cast<int64_t>(kModelMetrics.size())]);
  }
  metrics.Add("model_grad_norm", norm);
  model_optimizer_->Step(share * config.matrix_lr, share * config.lr);
  training::MoveTowards(*models_->world_model, *learning_, 1 - config.average);
}

formats::TensorMap ModelLearner::State() const {
  formats::TensorMap state;
  formats::InsertWithPrefix(state, tokenizer_optimizer_->State(), "tokenizer.");
  formats::InsertWithPrefix(state, formats::NamedState(*learning_), "learning.");
  formats::InsertWithPrefix(state, model_optimizer_->State(), "model.");
  if (cpc_) {
    formats::InsertWithPrefix(state, formats::NamedState(*cpc_), "cpc.");
  }
  return state;
}

void ModelLearner::LoadState(const formats::TensorMap& state) {
  tokenizer_optimizer_->LoadState(formats::WithoutPrefix(state, "tokenizer."));
  formats::LoadNamedState(*learning_, state, "learning.");
  model_optimizer_->LoadState(formats::WithoutPrefix(state, "model."));
  if (cpc_) {
    formats::LoadNamedState(*cpc_, state, "cpc.");
  }
}

}  // namespace hidreamer::agent
