#include "hidreamer/agent/policy_trainer.h"

#include <algorithm>

#include "hidreamer/base/cores.h"
#include "hidreamer/base/part.h"
#include "hidreamer/imagination/windows.h"
#include "hidreamer/training/device.h"

namespace hidreamer::agent {
namespace {

constexpr int64_t kDreamsOfPart = 64;  // fewer cost more each, more leave threads waiting

world_model::Steps Read(AgentModels models, const ReplayReader& reader,
                        const std::vector<data::WindowStart>& starts, int64_t length) {
  return imagination::ReadWindows(*models, reader.replay().Read(starts, length, /*frames=*/false),
                                  reader.Frames(starts, length));
}

}  // namespace

PolicyTrainer::PolicyTrainer(AgentModels models, const config::Config& config,
                             const SeedTree& seeds, layers::Precision precision,
                             torch::Device device)
    : models_(models),
      config_(config),
      seeds_(seeds),
      precision_(precision),
      device_(device),
      learner_(models.ptr(), policy::LearnerOptions(config.policy), precision, device) {}

void PolicyTrainer::Begin(AgentModels dreaming, const ReplayReader& reader, int64_t update,
                          int64_t total) {
  const auto& config = config_.policy;
  Rng rng = seeds_.Generator("policy/update", static_cast<uint64_t>(update));
  dreaming_ = std::move(dreaming);
  reader_ = &reader;
  parts_.clear();
  begun_ = dreamed_ = 0;
  learners_begun_ = 0;
  judged_ = {};
  is_judged_ = judged_.get_future().share();
  failed_.clear();
  progress_ = static_cast<double>(update) / static_cast<double>(total);
  const int64_t length = config.context + config.horizon;
  if (config.experience == "real") {
    // Windows of the newest steps: as many as there are states in a batch of dreams.
    const data::SampleOptions newest{.recent_share = 1,
                                     .recent_steps = config.batch * config.horizon};
    parts_.push_back({.starts = reader.replay().Sample(config.batch, length, newest, rng),
                      .rng = Rng(rng.Next())});
    return;
  }
  const auto starts = reader.replay().Sample(config.batch, length, SamplingOf(config_), rng);
  // A GPU dreams all at once.
  const int64_t count = device_.is_cuda() ? 1 : (config.batch + kDreamsOfPart - 1) / kDreamsOfPart;
  for (int64_t i = 0; i < count; ++i) {
    const hidreamer::Part share{i, count};
    parts_.push_back({.starts = {starts.begin() + share.Begin(config.batch),
                                 starts.begin() + share.End(config.batch)},
                      .rng = Rng(rng.Next())});
  }
}

void PolicyTrainer::Work(int threads) {
  const std::shared_future<void> is_judged = is_judged_;
  try {
    for (int64_t i = begun_++; i < parts(); i = begun_++) {
      Part& part = parts_[static_cast<size_t>(i)];
      part.dreams = config_.policy.experience == "dream" ? Imagine(part) : RealSteps(part);
      if (++dreamed_ == parts()) {
        learner_.ComputeTargets(AllDreams(), progress_);
        judged_.set_value();
      }
    }
  } catch (...) {
    if (!failed_.test_and_set()) {
      judged_.set_exception(std::current_exception());
    }
  }
  is_judged.get();
  at::set_num_threads(threads);
  for (int i = learners_begun_++; i < 2; i = learners_begun_++) {
    i == 0 ? learner_.LearnActor() : learner_.LearnCritic();
  }
}

std::vector<std::future<void>> PolicyTrainer::StartWorkers(int64_t count, int threads,
                                                           bool deferred) {
  std::vector<std::future<void>> workers;
  for (int64_t i = 0; i < count; ++i) {
    workers.push_back(
        std::async(deferred ? std::launch::deferred : std::launch::async, [this, threads] {
          RunOnAnyCore();
          at::set_num_threads(1);
          const training::OwnStream stream(device_);
          Work(threads);
        }));
  }
  return workers;
}

policy::Dreams PolicyTrainer::AllDreams() const {
  const auto all = [&](torch::Tensor policy::Dreams::*field) {
    std::vector<torch::Tensor> pieces;
    for (const Part& part : parts_) {
      pieces.push_back(part.dreams.*field);
    }
    return pieces.size() == 1 ? pieces.front() : torch::cat(pieces);
  };
  return {.states = all(&policy::Dreams::states),
          .actions = all(&policy::Dreams::actions),
          .log_probs = all(&policy::Dreams::log_probs),
          .rewards = all(&policy::Dreams::rewards),
          .continues = all(&policy::Dreams::continues)};
}

policy::Dreams PolicyTrainer::Imagine(Part& part) {
  const auto& config = config_.policy;
  const layers::AutocastGuard autocast(device_, precision_);
  const auto context = Read(dreaming_, *reader_, part.starts, config.context);
  const imagination::DreamOptions options{.horizon = config.horizon,
                                          .temperature = config.temperature};
  const imagination::DreamDraws draws =
      imagination::DrawForDreams(*dreaming_, std::ssize(part.starts), options, part.rng, device_);
  if (!device_.is_cuda()) {  // several parts at a time, each with a rollout of its own
    return imagination::DreamOn(*dreaming_, context, options, draws);
  }
  if (!loop_) {
    loop_ = std::make_unique<imagination::DreamLoop>(*dreaming_, options, precision_, device_);
  }
  return loop_->Run(context, draws);
}

policy::Dreams PolicyTrainer::RealSteps(const Part& part) {
  const auto& config = config_.policy;
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(device_, precision_);
  const world_model::Steps steps =
      Read(dreaming_, *reader_, part.starts, config.context + config.horizon);
  const int64_t first = config.context - 1, h = config.horizon;
  policy::Dreams real;
  real.states = dreaming_->Features(dreaming_->world_model->Observe(steps)).narrow(1, first, h + 1);
  real.actions = steps.actions.narrow(1, first, h);
  real.rewards = steps.rewards.narrow(1, first, h);
  // An episode ends where its step was terminal, or (cut off) where the next one begins anew.
  real.continues = 1 - steps.terminals.narrow(1, first, h)
                           .logical_or(steps.firsts.narrow(1, config.context, h))
                           .to(torch::kFloat32);
  real.log_probs = models_->Policy(real.states.narrow(1, 0, h)).LogProb(real.actions);
  return real;
}

training::Metrics PolicyTrainer::Finish() {
  parts_.clear();
  return learner_.Finish();
}

}  // namespace hidreamer::agent
