#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "hidreamer/policy/actor_critic.h"

namespace hidreamer::policy {

// All that is needed to build the networks again, and to play with them as they were trained.
struct PolicyModelOptions {
  std::string game;
  std::string feature = "hidden";   // "hidden" | "codes": what a state is shown as
  std::string scalars = "two_hot";  // coding of rewards and values: "two_hot" | "symlog_mse"
  int64_t feature_width = 1152;     // F, of a state
  int64_t outcome_width = 1536;     // G, of a state with the action chosen in it
  int64_t hidden_width = 512;
  int64_t actions = 6;  // A, the game's own
  int64_t cpc_width = 256;
  int64_t cpc_steps = 3;
  double unimix = 0.01;
  int64_t context = 16;  // C, real steps before a dream
  int64_t horizon = 15;  // H, dreamed steps

  std::string ToJson() const;
  // Throws a user Error where a key is missing.
  static PolicyModelOptions FromJson(const std::string& json);
};

// The networks that learn inside the world model.
//   state (..., F) --> extractor --> actor (..., A), critic
//   state with its action (..., G) --> reward, continue      (what followed the action)
class PolicyModelImpl : public ActorCritic {
 public:
  explicit PolicyModelImpl(const PolicyModelOptions& options);

  const PolicyModelOptions& options() const { return options_; }

  torch::Tensor Reward(const torch::Tensor& outcome);    // (..., G) -> (...) plain units
  torch::Tensor Continue(const torch::Tensor& outcome);  // (..., G) -> (...) in [0, 1]

  MlpHead reward{nullptr};
  MlpHead continues{nullptr};  // one logit

 private:
  PolicyModelOptions options_;
};
TORCH_MODULE(PolicyModel);

// safetensors with the options as JSON under the metadata key "options". Loading throws a user
// Error for a missing, foreign or corrupt file.
void SavePolicyModel(const PolicyModel& model, const std::filesystem::path& path);
PolicyModel LoadPolicyModel(const std::filesystem::path& path);

}  // namespace hidreamer::policy
