#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/config/config.h"
#include "hidreamer/formats/tensor_map.h"
#include "hidreamer/imagination/agent.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/policy/actor_critic.h"
#include "hidreamer/tokenizer/spatial_tokenizer.h"
#include "hidreamer/world_model/world.h"

namespace hidreamer::agent {

struct AgentOptions {
  std::string game;
  int64_t actions = 6;
  std::string sees = "codes+hidden";  // what actor and critic see of a state
  int64_t hidden_width = 256;         // of actor and critic
  double unimix = 0.01;
  std::string precision = "f32";  // it was trained in, and plays in
  tokenizer::SpatialTokenizerOptions tokenizer;
  world_model::WorldOptions world_model;

  std::string ToJson() const;
  // Throws a user Error where a key is missing.
  static AgentOptions FromJson(const std::string& json);
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(AgentOptions, game, actions, sees, hidden_width, unimix, precision,
                                 tokenizer, world_model)
};

layers::Precision PrecisionOf(const AgentOptions& options);
AgentOptions OptionsOf(const config::Config& config, int64_t actions);

// All networks of an online agent. State names tokenizer., world_model., actor., critic.,
// slow_critic.
class AgentModelsImpl : public policy::ActorCritic, public imagination::Agent {
 public:
  explicit AgentModelsImpl(const AgentOptions& options);

  const AgentOptions& options() const { return options_; }
  const std::string& game() const override { return options_.game; }
  int64_t actions() const override { return options_.actions; }
  layers::Precision precision() const override { return PrecisionOf(options_); }
  world_model::World& world() override { return *world_model; }
  policy::ActorCritic& networks() override { return *this; }
  torch::Tensor Features(const world_model::States& states) const override;
  torch::Device device() const override;
  torch::Tensor Frames(const std::vector<env::PlayerView>& games) override;  // (N, 1, 64, 64) f32
  torch::Tensor Frames(const data::EpisodeStore& recording,
                       const std::vector<int64_t>& rows) override;
  Sight See(const torch::Tensor& frames) override;
  world_model::ValuesOfCodes ValuesOfCodes() const override;  // the tokenizer's
  torch::Tensor Pictures(const torch::Tensor& codes) override;

  tokenizer::SpatialTokenizer tokenizer{nullptr};
  std::shared_ptr<world_model::World> world_model;

 private:
  AgentOptions options_;
};
TORCH_MODULE(AgentModels);

constexpr const char* kSlowCritic = "slow_critic.";
// RUN/agent/model.safetensors, the options as JSON under the metadata key "options". A slow critic
// that the file leaves out is the critic. Throws a user Error where the run holds no agent.
AgentModels LoadAgentModels(const std::filesystem::path& run);
bool HoldsAgent(const std::filesystem::path& run);

}  // namespace hidreamer::agent
