#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "hidreamer/imagination/replay_windows.h"
#include "hidreamer/imagination/state_features.h"
#include "hidreamer/policy/policy_model.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::imagination {

// How well one kind of event was predicted.
struct ClassScore {
  std::string name;  // "reward 1", "end"
  int64_t positives = 0;
  int64_t predicted = 0;
  int64_t hits = 0;
  // Empty where nothing was predicted (precision) or there was nothing to find (recall).
  std::optional<double> Precision() const;
  std::optional<double> Recall() const;
  std::optional<double> F1() const;
};

struct OutcomeScores {
  std::vector<ClassScore> rewards;  // one for each of the commonest recorded values other than 0
  ClassScore all_rewards;           // reward other than 0, whatever its value
  ClassScore end;
  double reward_error = 0;  // mean absolute error, plain units
  int64_t steps = 0;
};
// {"game", "steps", "reward_error", "classes": [{"name", "count", "precision", "recall", "f1"}]}:
// each reward, "any reward" and "end"; null where a score does not exist.
nlohmann::json ToJson(const OutcomeScores& scores, const std::string& game);

// predicted and true rewards (N) plain units, continue probabilities and truths (N). A predicted
// reward belongs to the nearest recorded value (0 among them) in symlog space; an end is predicted
// where the continue probability is below 1/2.
OutcomeScores ScoreOutcomes(const torch::Tensor& predicted_rewards,
                            const torch::Tensor& true_rewards,
                            const torch::Tensor& predicted_continues,
                            const torch::Tensor& true_continues);

// The heads on real windows (context + horizon rows) that start at `starts`.
OutcomeScores ScoreHeads(policy::PolicyModel policy, world_model::WorldModel model,
                         const StateFeatures& features, const ReplayWindows& windows,
                         const std::vector<int64_t>& starts);

}  // namespace hidreamer::imagination
