#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "hidreamer/agent/agent.h"
#include "hidreamer/evaluation/frame_lookup.h"
#include "hidreamer/evaluation/run_parts.h"
#include "hidreamer/imagination/agent_player.h"
#include "hidreamer/world_model/token_world.h"

namespace hidreamer::agent {

// What the stages of a run have trained, for one game. It has no decoder: codes are drawn with
// frames of the recording. Before a game's start it takes it to have stood still, where
// imagination::AgentPlayer reads fewer steps.
class StagedAgent : public Agent {
 public:
  // game "": the only one. Throws a user Error where a stage is missing.
  StagedAgent(const std::filesystem::path& run, const std::string& game);

  const std::string& game() const override { return parts_.policy->options().game; }
  int64_t actions() const override { return parts_.policy->options().actions; }
  layers::Precision precision() const override { return layers::Precision::kF32; }
  world_model::World& world() override { return *world_; }
  policy::ActorCritic& networks() override { return *parts_.policy; }
  torch::Tensor Features(const world_model::States& states) const override;
  Sight See(const uint8_t* stack) override;
  // Codewords side by side, (N, L Dq, 1, 1).
  world_model::ValuesOfCodes ValuesOfCodes() const override;
  torch::Tensor Pictures(const torch::Tensor& codes) override;

 private:
  config::Config config_;
  std::unique_ptr<evaluation::LoadedRun> run_;  // reads config_
  const data::EpisodeStore* store_ = nullptr;   // of run_
  imagination::PolicyParts parts_;
  imagination::StateFeatures words_;  // "codes"
  std::optional<evaluation::FrameLookup> lookup_;
  std::shared_ptr<world_model::TokenWorld> world_;
};

}  // namespace hidreamer::agent
