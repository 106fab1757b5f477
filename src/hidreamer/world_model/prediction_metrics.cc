#include "hidreamer/world_model/prediction_metrics.h"

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/world_model/recorded_steps.h"

namespace hidreamer::world_model {
namespace {

int64_t CountTrue(const torch::Tensor& flags) { return flags.sum().item<int64_t>(); }

double Share(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

void to_json(nlohmann::json& json, const LevelPrediction& level) {
  json = {{"count", level.count},
          {"changed_count", level.changed_count},
          {"nll", level.nll},
          {"accuracy", level.accuracy},
          {"changed_accuracy", level.changed_accuracy},
          {"ece", level.ece},
          {"copy_accuracy", level.copy_accuracy}};
  if (level.baselines) {
    json["unigram_accuracy"] = level.unigram_accuracy;
    json["unigram_changed_accuracy"] = level.unigram_changed_accuracy;
    json["bigram_accuracy"] = level.bigram_accuracy;
    json["bigram_changed_accuracy"] = level.bigram_changed_accuracy;
    json["successor_changed_accuracy"] = level.successor_changed_accuracy;
  }
}

void LevelScore::Add(const torch::Tensor& logits, const torch::Tensor& target,
                     const torch::Tensor& previous) {
  if (target.numel() == 0) {
    return;
  }
  const torch::Tensor log_probabilities = torch::log_softmax(logits.to(torch::kFloat32), -1);
  const auto [best, predicted] = log_probabilities.max(-1);
  const torch::Tensor hit = predicted.eq(target);
  const torch::Tensor changed = target.ne(previous);
  nll_ -= log_probabilities.gather(-1, target.unsqueeze(-1)).sum(torch::kFloat64).item<double>();
  count_ += target.numel();
  changed_ += CountTrue(changed);
  correct_ += CountTrue(hit);
  changed_correct_ += CountTrue(hit.logical_and(changed));
  copied_ += CountTrue(changed.logical_not());
  const torch::Tensor confidence = best.exp().to(torch::kFloat64).reshape({-1}).cpu();
  const torch::Tensor bin =
      (confidence * static_cast<double>(kBins)).to(torch::kInt64).clamp(0, kBins - 1);
  bin_confidence_.index_add_(0, bin, confidence);
  bin_correct_.index_add_(0, bin, hit.reshape({-1}).cpu().to(torch::kFloat64));
}

void LevelScore::AddBaselines(const torch::Tensor& unigram, const torch::Tensor& bigram,
                              const torch::Tensor& successor, const torch::Tensor& changed) {
  baselines_ = true;
  unigram_ += CountTrue(unigram);
  unigram_changed_ += CountTrue(unigram.logical_and(changed));
  bigram_ += CountTrue(bigram);
  bigram_changed_ += CountTrue(bigram.logical_and(changed));
  successor_changed_ += CountTrue(successor.logical_and(changed));
}

LevelPrediction LevelScore::Result() const {
  if (count_ == 0) {
    return {};
  }
  const auto count = static_cast<double>(count_);
  return {.count = count_,
          .changed_count = changed_,
          .nll = nll_ / count,
          .accuracy = Share(correct_, count_),
          .changed_accuracy = Share(changed_correct_, changed_),
          .ece = (bin_confidence_ - bin_correct_).abs().sum().item<double>() / count,
          .copy_accuracy = Share(copied_, count_),
          .baselines = baselines_,
          .unigram_accuracy = Share(unigram_, count_),
          .unigram_changed_accuracy = Share(unigram_changed_, changed_),
          .bigram_accuracy = Share(bigram_, count_),
          .bigram_changed_accuracy = Share(bigram_changed_, changed_),
          .successor_changed_accuracy = Share(successor_changed_, changed_)};
}

CountingBaselines::CountingBaselines(const std::vector<tokenizer::TokenizedGame>& games,
                                     const std::vector<data::WindowStart>& training_windows,
                                     int64_t length, const TokenLayout& layout)
    : layout_(layout) {
  const int64_t levels = layout.levels, codes = layout.codes, actions = layout.actions;
  std::vector<torch::Tensor> unigrams, bigrams, successors;
  for (size_t g = 0; g < games.size(); ++g) {
    const tokenizer::TokenizedGame& game = games[g];
    // A row is a target if it lies in a window, behind its first row.
    std::vector<int> coverage(static_cast<size_t>(game.tokens.size(0)) + 1, 0);
    for (const data::WindowStart& window : training_windows) {
      if (window.source == static_cast<int64_t>(g)) {
        ++coverage[static_cast<size_t>(window.row + 1)];
        --coverage[static_cast<size_t>(window.row + length)];
      }
    }
    std::vector<int64_t> rows;
    int depth = 0;
    for (size_t row = 0; row + 1 < coverage.size(); ++row) {
      depth += coverage[row];
      if (depth > 0) {
        rows.push_back(static_cast<int64_t>(row));
      }
    }
    const torch::Tensor row = torch::tensor(rows, torch::kInt64);
    const torch::Tensor target = game.tokens.index_select(0, row);        // (R, L)
    const torch::Tensor previous = game.tokens.index_select(0, row - 1);  // (R, L)
    const torch::Tensor action = game.actions.index_select(0, row - 1);   // (R)
    for (int64_t level = 0; level < levels; ++level) {
      const torch::Tensor next = target.select(1, level), before = previous.select(1, level);
      unigrams.push_back(next.bincount({}, codes).argmax());
      const torch::Tensor key = (action * codes + before) * codes + next;
      torch::Tensor counts = key.bincount({}, actions * codes * codes)
                                 .view({actions, codes, codes});  // [action][previous][next]
      // Where a pair was never seen: keep the code (bigram), the game's most frequent (successor).
      const torch::Tensor keep = torch::eye(codes, torch::kBool);
      bigrams.push_back((counts * 2 + keep.to(torch::kInt64)).argmax(-1));
      torch::Tensor prior = torch::zeros({codes}, torch::kInt64);
      prior.index_fill_(0, unigrams.back(), 1);
      successors.push_back((counts * 2 + prior).masked_fill(keep, -1).argmax(-1));
    }
  }
  const auto count = static_cast<int64_t>(games.size());
  unigram_ = torch::stack(unigrams).view({count, levels});
  bigram_ = torch::stack(bigrams).view({count, levels, actions, codes});
  successor_ = torch::stack(successors).view({count, levels, actions, codes});
}

torch::Tensor CountingBaselines::Unigram(const torch::Tensor& previous,
                                         const torch::Tensor& game) const {
  return unigram_.index_select(0, game).unsqueeze(1).expand_as(previous);
}

torch::Tensor CountingBaselines::Bigram(const torch::Tensor& previous, const torch::Tensor& actions,
                                        const torch::Tensor& game) const {
  return Lookup(bigram_, previous, actions, game);
}

torch::Tensor CountingBaselines::Successor(const torch::Tensor& previous,
                                           const torch::Tensor& actions,
                                           const torch::Tensor& game) const {
  return Lookup(successor_, previous, actions, game);
}

torch::Tensor CountingBaselines::Lookup(const torch::Tensor& table, const torch::Tensor& previous,
                                        const torch::Tensor& actions,
                                        const torch::Tensor& game) const {
  const torch::Tensor level = torch::arange(layout_.levels);  // broadcast over (B, T-1, L)
  const torch::Tensor index =
      ((game.view({-1, 1, 1}) * layout_.levels + level) * layout_.actions + actions.unsqueeze(-1)) *
          layout_.codes +
      previous;
  return table.reshape({-1}).index_select(0, index.reshape({-1})).view(previous.sizes());
}

nlohmann::json PredictionMetrics::ToJson() const { return {{"levels", levels}}; }

PredictionMetrics EvaluatePrediction(WorldModel model,
                                     const std::vector<tokenizer::TokenizedGame>& games,
                                     const std::vector<data::WindowStart>& windows, int64_t length,
                                     int64_t batch, const CountingBaselines* baselines) {
  HID_CHECK(length >= 2 && batch >= 1, "windows of {} steps, batches of {}", length, batch);
  const torch::NoGradGuard no_grad;
  const bool was_training = model->is_training();
  const torch::Device device = model->final_norm()->weight.device();
  model->eval();
  std::vector<LevelScore> scores(static_cast<size_t>(model->options().layout.levels));
  for (size_t begin = 0; begin < windows.size(); begin += static_cast<size_t>(batch)) {
    const size_t end = std::min(windows.size(), begin + static_cast<size_t>(batch));
    const std::vector<data::WindowStart> part(windows.begin() + static_cast<std::ptrdiff_t>(begin),
                                              windows.begin() + static_cast<std::ptrdiff_t>(end));
    const Steps steps = ReadSteps(games, part, length);
    const torch::Tensor all = steps.codes.squeeze(2), tokens = all.to(device);
    const auto logits = model->Predict(tokens, steps.actions.to(device));
    for (size_t level = 0; level < scores.size(); ++level) {
      const torch::Tensor codes = tokens.select(2, static_cast<int64_t>(level));  // (B, T)
      scores[level].Add(logits[level].narrow(1, level == 0 ? 0 : 1, length - 1),
                        codes.narrow(1, 1, length - 1), codes.narrow(1, 0, length - 1));
    }
    if (baselines == nullptr) {
      continue;
    }
    std::vector<int64_t> game_list;
    for (const data::WindowStart& window : part) {
      game_list.push_back(window.source);
    }
    const torch::Tensor game = torch::tensor(game_list, torch::kInt64);    // (B)
    const torch::Tensor previous = all.narrow(1, 0, length - 1);           // (B, T-1, L)
    const torch::Tensor target = all.narrow(1, 1, length - 1);             // (B, T-1, L)
    const torch::Tensor actions = steps.actions.narrow(1, 0, length - 1);  // (B, T-1)
    const torch::Tensor changed = target.ne(previous);
    const torch::Tensor unigram = baselines->Unigram(previous, game).eq(target);
    const torch::Tensor bigram = baselines->Bigram(previous, actions, game).eq(target);
    const torch::Tensor successor = baselines->Successor(previous, actions, game).eq(target);
    for (size_t level = 0; level < scores.size(); ++level) {
      const auto l = static_cast<int64_t>(level);
      scores[level].AddBaselines(unigram.select(2, l), bigram.select(2, l), successor.select(2, l),
                                 changed.select(2, l));
    }
  }
  model->train(was_training);
  PredictionMetrics metrics;
  for (const LevelScore& score : scores) {
    metrics.levels.push_back(score.Result());
  }
  return metrics;
}

}  // namespace hidreamer::world_model
