#include "hidreamer/imagination/outcome_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "hidreamer/base/error.h"
#include "hidreamer/policy/two_hot.h"

namespace hidreamer::imagination {
namespace {

constexpr size_t kMostClasses = 8;
constexpr int64_t kBatch = 64;

ClassScore Score(const std::string& name, const torch::Tensor& predicted,
                 const torch::Tensor& truth) {
  return {name, truth.sum().item<int64_t>(), predicted.sum().item<int64_t>(),
          (predicted & truth).sum().item<int64_t>()};
}

// 0 and the commonest other values, ascending.
std::vector<float> RewardClasses(const torch::Tensor& rewards) {
  const auto flat = rewards.to(torch::kCPU, torch::kFloat32).contiguous();
  std::map<float, int64_t> counts;
  for (int64_t i = 0; i < flat.numel(); ++i) {
    counts[flat.data_ptr<float>()[i]]++;
  }
  counts.erase(0.0F);
  std::vector<std::pair<int64_t, float>> common;
  for (const auto& [value, count] : counts) {
    common.emplace_back(-count, value);
  }
  std::sort(common.begin(), common.end());
  common.resize(std::min(common.size(), kMostClasses));
  std::vector<float> classes = {0.0F};
  for (const auto& [count, value] : common) {
    classes.push_back(value);
  }
  std::sort(classes.begin(), classes.end());
  return classes;
}

nlohmann::json OptionalJson(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

nlohmann::json ClassJson(const ClassScore& score, const std::string& name) {
  return {{"name", name},
          {"count", score.positives},
          {"precision", OptionalJson(score.Precision())},
          {"recall", OptionalJson(score.Recall())},
          {"f1", OptionalJson(score.F1())}};
}

}  // namespace

std::optional<double> ClassScore::Precision() const {
  if (predicted == 0) {
    return std::nullopt;
  }
  return static_cast<double>(hits) / static_cast<double>(predicted);
}

std::optional<double> ClassScore::Recall() const {
  if (positives == 0) {
    return std::nullopt;
  }
  return static_cast<double>(hits) / static_cast<double>(positives);
}

std::optional<double> ClassScore::F1() const {
  if (positives == 0) {
    return std::nullopt;
  }
  return 2 * static_cast<double>(hits) / static_cast<double>(positives + predicted);
}

nlohmann::json ToJson(const OutcomeScores& scores, const std::string& game) {
  nlohmann::json json = {{"game", game},
                         {"steps", scores.steps},
                         {"reward_error", scores.reward_error},
                         {"classes", nlohmann::json::array()}};
  for (const ClassScore& score : scores.rewards) {
    json["classes"].push_back(ClassJson(score, score.name));
  }
  json["classes"].push_back(ClassJson(scores.all_rewards, "any reward"));
  json["classes"].push_back(ClassJson(scores.end, "end"));
  return json;
}

OutcomeScores ScoreOutcomes(const torch::Tensor& predicted_rewards,
                            const torch::Tensor& true_rewards,
                            const torch::Tensor& predicted_continues,
                            const torch::Tensor& true_continues) {
  const auto classes = RewardClasses(true_rewards);
  const auto values = torch::tensor(classes);
  const auto nearest = [&](const torch::Tensor& rewards) {
    return (policy::Symlog(rewards.to(torch::kCPU, torch::kFloat32)).unsqueeze(-1) -
            policy::Symlog(values))
        .abs()
        .argmin(-1);  // (N)
  };
  const auto predicted = nearest(predicted_rewards);
  const auto truth = nearest(true_rewards);
  OutcomeScores scores;
  int64_t zero = 0;
  for (size_t i = 0; i < classes.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    if (classes[i] == 0) {
      zero = index;
    } else {
      scores.rewards.push_back(
          Score(fmt::format("reward {:g}", classes[i]), predicted == index, truth == index));
    }
  }
  scores.all_rewards = Score("reward", predicted != zero, truth != zero);
  scores.end = Score("end", predicted_continues.cpu() < 0.5, true_continues.cpu() < 0.5);
  scores.reward_error = (predicted_rewards.cpu() - true_rewards.cpu())
                            .abs()
                            .to(torch::kFloat64)
                            .mean()
                            .item<double>();
  scores.steps = true_rewards.numel();
  return scores;
}

OutcomeScores ScoreHeads(policy::PolicyModel policy, world_model::WorldModel model,
                         const StateFeatures& features, const ReplayWindows& windows,
                         const std::vector<int64_t>& starts) {
  HID_CHECK(!starts.empty());
  torch::NoGradGuard no_grad;
  const auto device = policy->parameters().front().device();
  const int64_t length =
      std::min(policy->options().context + policy->options().horizon, windows.longest());
  std::vector<torch::Tensor> rewards, true_rewards, continues, true_continues;
  for (size_t first = 0; first < starts.size(); first += kBatch) {
    const size_t last = std::min(starts.size(), first + kBatch);
    const auto batch = windows.At({starts.begin() + static_cast<std::ptrdiff_t>(first),
                                   starts.begin() + static_cast<std::ptrdiff_t>(last)},
                                  length);
    const auto shown = FeaturesOfWindows(model, features, batch.codes.squeeze(2).to(device),
                                         batch.actions.to(device));
    rewards.push_back(policy->Reward(shown.outcomes).flatten().cpu());
    continues.push_back(policy->Continue(shown.outcomes).flatten().cpu());
    true_rewards.push_back(batch.rewards.flatten());
    true_continues.push_back(batch.terminals.logical_not().to(torch::kFloat32).flatten());
  }
  return ScoreOutcomes(torch::cat(rewards), torch::cat(true_rewards), torch::cat(continues),
                       torch::cat(true_continues));
}

}  // namespace hidreamer::imagination
