#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/config/agent_config.h"
#include "hidreamer/formats/tensor_map.h"
#include "hidreamer/policy/action_distribution.h"
#include "hidreamer/policy/networks.h"
#include "hidreamer/policy/two_hot.h"
#include "hidreamer/tokenizer/spatial_tokenizer.h"
#include "hidreamer/world_model/step_model.h"

namespace hidreamer::agent {

struct AgentOptions {
  std::string game;
  int64_t actions = 6;
  std::string sees = "codes+hidden";  // what actor and critic see of a state
  int64_t hidden_width = 256;         // of actor and critic
  double unimix = 0.01;
  std::string precision = "f32";  // it was trained in, and plays in
  tokenizer::SpatialTokenizerOptions tokenizer;
  world_model::StepModelOptions world_model;

  std::string ToJson() const;
  // Throws a user Error where a key is missing.
  static AgentOptions FromJson(const std::string& json);
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(AgentOptions, game, actions, sees, hidden_width, unimix, precision,
                                 tokenizer, world_model)
};

AgentOptions OptionsOf(const config::AgentConfig& config, int64_t actions);

// A state as everything above the world model takes it.
struct AgentState {
  torch::Tensor values;  // (N, C, G, G) quantised grid
  torch::Tensor hidden;  // (N, D)
  torch::Tensor local;   // (N, K, G, G)
};

// All networks of an online agent. State names tokenizer., world_model., actor., critic.,
// slow_critic.
class AgentModelsImpl : public torch::nn::Module {
 public:
  explicit AgentModelsImpl(const AgentOptions& options);

  const AgentOptions& options() const { return options_; }
  const policy::ScalarCoding& scalars() const { return scalars_; }
  // What actor and critic see, (N, F) f32.
  torch::Tensor Features(const AgentState& state);
  policy::ActionDistribution Policy(const torch::Tensor& features);  // (..., F)

  tokenizer::SpatialTokenizer tokenizer{nullptr};
  world_model::StepModel world_model{nullptr};
  policy::MlpHead actor{nullptr};
  policy::MlpHead critic{nullptr};       // two-hot symlog bins
  policy::MlpHead slow_critic{nullptr};  // moving average of the critic; never gets a gradient

 private:
  AgentOptions options_;
  policy::ScalarCoding scalars_;
};
TORCH_MODULE(AgentModels);

// RUN/agent/model.safetensors, the options as JSON under the metadata key "options". Throws a user
// Error where the run holds no agent.
AgentModels LoadAgentModels(const std::filesystem::path& run);
bool HoldsAgent(const std::filesystem::path& run);

}  // namespace hidreamer::agent
