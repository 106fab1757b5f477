#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hidreamer/encoder/encoder.h"
#include "hidreamer/imagination/agent.h"
#include "hidreamer/imagination/state_features.h"
#include "hidreamer/policy/policy_model.h"
#include "hidreamer/tokenizer/residual_quantizer.h"
#include "hidreamer/world_model/token_world.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::imagination {

// World model and policy that the stages of a run train. Its sequences are as long as in the
// policy's training, context + horizon steps.
class StagedDreamer : public Dreamer {
 public:
  // Contents are shared. codebooks (L, V, Dq) of the tokenizer, on the networks' device. Throws a
  // user Error where the parts do not fit together.
  StagedDreamer(world_model::WorldModel world_model, policy::PolicyModel policy,
                torch::Tensor codebooks);
  StagedDreamer(const StagedDreamer&) = delete;  // its world points to it
  StagedDreamer& operator=(const StagedDreamer&) = delete;

  world_model::World& world() override { return *world_; }
  policy::ActorCritic& networks() override { return *policy_; }
  torch::Tensor Features(const world_model::States& states) const override;
  // Codewords side by side, (N, L Dq, 1, 1).
  world_model::ValuesOfCodes ValuesOfCodes() const override;

  const policy::PolicyModel& policy() const { return policy_; }

 private:
  world_model::Outcomes OutcomesOf(const world_model::States& states,
                                   const torch::Tensor& action_hidden,
                                   const torch::Tensor& actions);

  policy::PolicyModel policy_;
  StateFeatures features_, words_;
  std::shared_ptr<world_model::TokenWorld> world_;
};

// What the stages of a run have trained, for one game.
class StagedAgent : public Agent {
 public:
  struct Networks {
    encoder::Encoder encoder{nullptr};
    tokenizer::ResidualQuantizer quantizer{nullptr};
    world_model::WorldModel world_model{nullptr};
    policy::PolicyModel policy{nullptr};
  };
  // (N, 1, L) -> (N, S, S) u8. There is no decoder.
  using Draw = std::function<torch::Tensor(const torch::Tensor& codes)>;

  // draw null: its codes are not to be shown. Throws a user Error where the networks do not fit
  // together.
  explicit StagedAgent(const Networks& networks, Draw draw = nullptr,
                       torch::Device device = torch::kCPU);

  world_model::World& world() override { return dreamer_.world(); }
  policy::ActorCritic& networks() override { return dreamer_.networks(); }
  torch::Tensor Features(const world_model::States& states) const override {
    return dreamer_.Features(states);
  }
  world_model::ValuesOfCodes ValuesOfCodes() const override { return dreamer_.ValuesOfCodes(); }

  const std::string& game() const override { return dreamer_.policy()->options().game; }
  int64_t actions() const override { return dreamer_.policy()->options().actions; }
  layers::Precision precision() const override { return layers::Precision::kF32; }
  torch::Device device() const override { return device_; }
  torch::Tensor Frames(const std::vector<env::PlayerView>& games) override;  // (N, 4, 84, 84) u8
  torch::Tensor Frames(const data::EpisodeStore& recording,
                       const std::vector<int64_t>& rows) override;
  Sight See(const torch::Tensor& frames) override;
  torch::Tensor Pictures(const torch::Tensor& codes) override;

 private:
  encoder::Encoder encoder_;
  tokenizer::ResidualQuantizer quantizer_;
  StagedDreamer dreamer_;
  Draw draw_;
  torch::Device device_;
};

// RUN/{encoder,tokenizer,world_model,policy/GAME}/model.safetensors; a world model that was trained
// along with the policy lies beside it. Throws a user Error where one is missing.
StagedAgent::Networks LoadStagedNetworks(const std::filesystem::path& run, const std::string& game);

}  // namespace hidreamer::imagination
