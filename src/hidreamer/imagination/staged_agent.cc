#include "hidreamer/imagination/staged_agent.h"

#include <cstring>

#include "hidreamer/base/error.h"
#include "hidreamer/training/device.h"

namespace hidreamer::imagination {
namespace {

void CheckFits(const policy::PolicyModelOptions& policy, const StateFeatures& features,
               const world_model::WorldModelOptions& world) {
  if (policy.feature_width != features.state_width() ||
      policy.outcome_width != features.outcome_width() || policy.actions > world.layout.actions ||
      policy.context + policy.horizon > world.max_steps) {
    throw UserError("take encoder, tokenizer, world model and policy from one run",
                    "the policy of {} does not fit the world model or the tokenizer", policy.game);
  }
}

}  // namespace

StagedDreamer::StagedDreamer(world_model::WorldModel world_model, policy::PolicyModel policy,
                             torch::Tensor codebooks)
    : policy_(std::move(policy)),
      features_(policy_->options().feature, world_model->options(), codebooks),
      words_("codes", world_model->options(), codebooks) {
  const policy::PolicyModelOptions& options = policy_->options();
  CheckFits(options, features_, world_model->options());
  world_model->eval();
  policy_->eval();
  world_ = std::make_shared<world_model::TokenWorld>(
      world_model, words_.state_width(), options.context, options.context + options.horizon,
      [this](const world_model::States& states, const torch::Tensor& action_hidden,
             const torch::Tensor& actions) { return OutcomesOf(states, action_hidden, actions); });
  world_->eval();
}

torch::Tensor StagedDreamer::Features(const world_model::States& states) const {
  return features_.needs_hidden() ? states.hidden : states.codes;
}

world_model::ValuesOfCodes StagedDreamer::ValuesOfCodes() const {
  return [words = words_](const torch::Tensor& codes) {
    return words.State({}, codes.squeeze(1)).unsqueeze(-1).unsqueeze(-1);
  };
}

world_model::Outcomes StagedDreamer::OutcomesOf(const world_model::States& states,
                                                const torch::Tensor& action_hidden,
                                                const torch::Tensor& actions) {
  const torch::Tensor outcome = features_.Outcome(Features(states), action_hidden, actions);
  return {.rewards = policy_->reward->forward(outcome),
          .continues = policy_->continues->forward(outcome).squeeze(-1)};
}

StagedAgent::StagedAgent(const Networks& networks, Draw draw, torch::Device device)
    : encoder_(networks.encoder),
      quantizer_(networks.quantizer),
      dreamer_(networks.world_model, networks.policy, Codebooks(networks.quantizer).to(device)),
      draw_(std::move(draw)),
      device_(device) {
  encoder_->to(device);
  quantizer_->to(device);
  dreamer_.world().to(device);
  dreamer_.networks().to(device);
  encoder_->eval();
  quantizer_->eval();
}

torch::Tensor StagedAgent::Frames(const std::vector<env::PlayerView>& games) {
  constexpr size_t kStackBytes = static_cast<size_t>(env::kStackDepth) * env::kFrameBytes;
  auto stacks = torch::empty(
      {std::ssize(games), env::kStackDepth, env::kFrameSize, env::kFrameSize}, torch::kUInt8);
  for (size_t i = 0; i < games.size(); ++i) {
    std::memcpy(stacks.data_ptr<uint8_t>() + i * kStackBytes, games[i].stack, kStackBytes);
  }
  return training::ToDevice(stacks, device_);
}

torch::Tensor StagedAgent::Frames(const data::EpisodeStore& recording,
                                  const std::vector<int64_t>& rows) {
  auto stacks = torch::empty({std::ssize(rows), env::kStackDepth, env::kFrameSize, env::kFrameSize},
                             torch::kUInt8);
  recording.ReadStacks(rows, stacks.data_ptr<uint8_t>());
  return training::ToDevice(stacks, device_);
}

Agent::Sight StagedAgent::See(const torch::Tensor& frames) {
  torch::NoGradGuard no_grad;
  const torch::Tensor codes = quantizer_->Encode(encoder_->forward(frames)).unsqueeze(1);
  return {.codes = codes, .values = ValuesOfCodes()(codes)};
}

torch::Tensor StagedAgent::Pictures(const torch::Tensor& codes) {
  HID_CHECK(draw_ != nullptr, "an agent that was loaded without pictures is to draw");
  return draw_(codes);
}

StagedAgent::Networks LoadStagedNetworks(const std::filesystem::path& run,
                                         const std::string& game) {
  constexpr char kModel[] = "model.safetensors";
  const auto policy = run / "policy" / game;
  if (!std::filesystem::exists(policy / kModel)) {
    throw UserError("train one: hidreamer train policy", "{} holds no policy for {}", run.string(),
                    game);
  }
  const auto joint = policy / "world_model.safetensors";
  return {.encoder = encoder::LoadEncoder(run / "encoder" / kModel),
          .quantizer = tokenizer::LoadResidualQuantizer(run / "tokenizer" / kModel),
          .world_model = world_model::LoadWorldModel(
              std::filesystem::exists(joint) ? joint : run / "world_model" / kModel),
          .policy = policy::LoadPolicyModel(policy / kModel)};
}

}  // namespace hidreamer::imagination
