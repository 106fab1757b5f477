#include "hidreamer/agent/measurements.h"

#include <algorithm>
#include <map>

#include "hidreamer/agent/observation.h"
#include "hidreamer/agent/pong_sight.h"
#include "hidreamer/evaluation/game_artefacts.h"
#include "hidreamer/evaluation/open_loop_evaluation.h"
#include "hidreamer/evaluation/probe.h"
#include "hidreamer/imagination/outcome_metrics.h"
#include "hidreamer/imagination/windows.h"
#include "hidreamer/tokenizer/token_metrics.h"
#include "hidreamer/world_model/prediction_metrics.h"

namespace hidreamer::agent {
namespace {

constexpr int64_t kChunk = 128;  // frames or windows at a time

torch::Tensor Pictures(const data::EpisodeStore& store, const std::vector<int64_t>& rows) {
  return ToTensor(ObserveRows(store, rows));
}

// `count` rows spread evenly over [0, size).
std::vector<int64_t> Spread(int64_t size, int64_t count) {
  return evaluation::SpreadWindowStarts({{.begin = 0, .end = size}}, 1, 1, count);
}

std::vector<int64_t> Shifted(const std::vector<int64_t>& rows, int64_t by) {
  std::vector<int64_t> moved;
  for (const int64_t row : rows) {
    moved.push_back(row + by);
  }
  return moved;
}

// A mean over the entries of several chunks that count.
class Share {
 public:
  void Add(const torch::Tensor& values, const torch::Tensor& counts) {
    sum_ += values.to(torch::kFloat64).masked_select(counts).sum().item<double>();
    count_ += counts.sum().item<int64_t>();
  }
  double value() const { return count_ > 0 ? sum_ / static_cast<double>(count_) : 0; }
  int64_t count() const { return count_; }

 private:
  double sum_ = 0;
  int64_t count_ = 0;
};

}  // namespace

nlohmann::json MeasureCodes(AgentModels models, const data::EpisodeStore& held_out,
                            const MeasureOptions& options) {
  torch::NoGradGuard no_grad;
  const auto& level_codes = models->options().world_model.layout.level_codes;
  Share error;
  std::vector<torch::Tensor> counts;
  std::vector<tokenizer::Persistence> persistence(level_codes.size());
  for (const int64_t codes : level_codes) {
    counts.push_back(torch::zeros({codes}, torch::kLong));
  }
  for (const auto& rows : evaluation::Chunks(Spread(held_out.size() - 1, options.frames), kChunk)) {
    const auto pictures = Pictures(held_out, rows);
    const auto encoded = models->tokenizer->Encode(pictures);
    error.Add((models->tokenizer->Decode(encoded.values) - pictures).square().mean({1, 2, 3}),
              torch::ones({pictures.size(0)}, torch::kBool));
    const auto next = models->tokenizer->Encode(Pictures(held_out, Shifted(rows, 1))).codes;
    for (size_t l = 0; l < counts.size(); ++l) {
      const auto of = [&](const torch::Tensor& codes) {
        return codes.select(2, static_cast<int64_t>(l)).flatten();
      };
      counts[l] += tokenizer::CountCodes(of(encoded.codes), level_codes[l]);
      persistence[l].pairs += of(next).numel();
      persistence[l].equal += of(next).eq(of(encoded.codes)).sum().item<int64_t>();
    }
  }
  nlohmann::json part = {{"squared_error", error.value()}};
  for (size_t l = 0; l < counts.size(); ++l) {
    const nlohmann::json all = tokenizer::MeasureUse(counts[l], persistence[l]);
    nlohmann::json game = all;
    game["game"] = models->options().game;
    part["levels"].push_back({{"all", all}, {"games", nlohmann::json::array({game})}});
  }
  return part;
}

nlohmann::json ProbeCodes(AgentModels models, const data::EpisodeStore& fit,
                          const data::EpisodeStore& held_out, const MeasureOptions& options) {
  torch::NoGradGuard no_grad;
  const auto& level_codes = models->options().world_model.layout.level_codes;
  const auto rows_of = [&](const data::EpisodeStore& store, int64_t frames) {
    const auto rows = Spread(store.size() - 1, frames);
    evaluation::ProbedRows probed{.store = &store, .rows = torch::tensor(rows)};
    if (IsPong(store)) {
      probed.ball_in_play =
          PongTruth(store, models->tokenizer->background(), options.frames).InPlay(rows);
    }
    return probed;
  };
  const auto fitted_rows = rows_of(fit, options.probe_frames),
             judged_rows = rows_of(held_out, options.frames);
  evaluation::Probes probes(fitted_rows, judged_rows);
  if (probes.empty()) {
    return nlohmann::json::object();
  }
  struct Features {
    torch::Tensor one_hot, values;  // (N, P sum V), (N, C P)
  };
  const auto features_of = [&](const evaluation::ProbedRows& probed) {
    std::vector<torch::Tensor> one_hot, values;
    const std::vector<int64_t> rows(probed.rows.data_ptr<int64_t>(),
                                    probed.rows.data_ptr<int64_t>() + probed.rows.numel());
    for (const auto& chunk : evaluation::Chunks(rows, kChunk)) {
      const auto encoded = models->tokenizer->Encode(Pictures(*probed.store, chunk));
      values.push_back(encoded.values.flatten(1));
      std::vector<torch::Tensor> levels;
      for (size_t l = 0; l < level_codes.size(); ++l) {
        levels.push_back(
            torch::one_hot(encoded.codes.select(2, static_cast<int64_t>(l)), level_codes[l])
                .to(torch::kFloat32)
                .flatten(1));
      }
      one_hot.push_back(torch::cat(levels, 1));
    }
    return Features{.one_hot = torch::cat(one_hot), .values = torch::cat(values)};
  };
  const Features fitted = features_of(fitted_rows), judged = features_of(judged_rows);
  probes.Fit("codes", fitted.one_hot, judged.one_hot);
  probes.Fit("values", fitted.values, judged.values);
  return probes.ToJson();
}

OneStep MeasureOneStep(AgentModels models, const data::EpisodeStore& held_out,
                       const MeasureOptions& options) {
  torch::NoGradGuard no_grad;
  const int64_t context = models->options().world_model.context;
  const int64_t levels = models->options().world_model.layout.levels;
  std::vector<world_model::LevelScore> scores(static_cast<size_t>(levels));
  std::vector<torch::Tensor> rewards, true_rewards, continues, true_continues;
  // Consecutive positions, so that rewards come as often as they do. An episode's last step has no
  // next frame: a window that ends there is judged on reward and end alone.
  std::vector<int64_t> starts;
  for (const auto& episode : held_out.episodes()) {
    for (int64_t row = episode.begin;
         row + context <= episode.end && static_cast<int64_t>(starts.size()) < 4 * options.frames;
         ++row) {
      starts.push_back(row);
    }
  }
  for (const auto& chunk : evaluation::Chunks(starts, kChunk)) {
    std::vector<int64_t> next;
    std::vector<uint8_t> valid;
    for (const int64_t start : chunk) {
      const int64_t row = start + context;
      valid.push_back(row < held_out.size() && held_out.EpisodeOf(row).begin != row);
      next.push_back(valid.back() != 0 ? row : start + context - 1);
    }
    auto steps = imagination::ReadWindows(*models, held_out, chunk, context)
                     .FollowedBy(imagination::ReadWindows(*models, held_out, next, 1));
    steps.firsts.select(1, context).fill_(false);  // an invalid one only fills the row
    const auto prediction = models->world_model->Predict(steps, context);
    const int64_t last = context - 1;
    rewards.push_back(models->scalars().Value(prediction.outcomes.rewards.select(1, last)));
    true_rewards.push_back(steps.rewards.select(1, last));
    continues.push_back(torch::sigmoid(prediction.outcomes.continues.select(1, last)));
    true_continues.push_back(steps.terminals.select(1, last).logical_not().to(torch::kFloat32));
    const auto counting = torch::tensor(valid, torch::kUInt8).nonzero().squeeze(1);
    const auto of = [&](const torch::Tensor& x) { return x.index_select(0, counting); };
    const auto target = of(steps.codes.select(1, context)), now = of(steps.codes.select(1, last));
    for (size_t l = 0; l < scores.size(); ++l) {
      const auto level = static_cast<int64_t>(l);
      scores[l].Add(of(prediction.codes[l].squeeze(1)), target.select(2, level),  // (N, P, V)
                    now.select(2, level));
    }
  }
  OneStep result;
  result.prediction = {{"windows", starts.size()}, {"length", context + 1}, {"split", "recording"}};
  for (const world_model::LevelScore& score : scores) {
    result.prediction["levels"].push_back(score.Result());
  }
  result.outcomes = imagination::ToJson(
      imagination::ScoreOutcomes(torch::cat(rewards), torch::cat(true_rewards),
                                 torch::cat(continues), torch::cat(true_continues)),
      models->options().game);
  return result;
}

namespace {

evaluation::JudgedWorld WorldOf(AgentModels models) {
  return {.world = models->world_model,
          .values = models->ValuesOfCodes(),
          .features = [models](const torch::Tensor& codes) {
            return models->tokenizer->Values(codes).flatten(1);
          }};
}

evaluation::JudgedEpisodes EpisodesOf(AgentModels models, const data::EpisodeStore& store) {
  return {.store = &store,
          .ranges = store.episodes(),
          .read = [models, &store](const std::vector<int64_t>& starts, int64_t length) mutable {
            return imagination::ReadWindows(*models, store, starts, length);
          }};
}

}  // namespace

nlohmann::json MeasureOpenLoop(AgentModels models, const data::EpisodeStore& fit,
                               const data::EpisodeStore& held_out, const MeasureOptions& options) {
  return evaluation::MeasureOpenLoop(
      WorldOf(models), EpisodesOf(models, fit), EpisodesOf(models, held_out),
      {.windows = options.windows, .steps = options.steps, .probe_frames = options.probe_frames});
}

nlohmann::json MeasurePongSight(AgentModels models, const data::EpisodeStore& held_out,
                                const MeasureOptions& options) {
  torch::NoGradGuard no_grad;
  if (!IsPong(held_out)) {
    return nlohmann::json::object();
  }
  const auto& background = models->tokenizer->background();
  const int64_t context = models->options().world_model.context;
  const std::vector<int64_t> horizons = {1, 5, 10};
  const int64_t longest = horizons.back();
  const evaluation::JudgedWorld judged = WorldOf(models);
  const PongTruth truth(held_out, background, options.frames);
  const auto starts = evaluation::SpreadWindowStarts(held_out.episodes(), context + longest + 1, 1,
                                                     options.windows);
  struct Row {
    Share ball, ball_shuffled, copying, extrapolated, decoder, paddle, paddle_shuffled,
        paddle_copying;
  };
  std::map<int64_t, Row> table;
  Share within2, within1, seen2;
  for (const auto& rows : evaluation::Chunks(Spread(held_out.size() - 1, options.frames), kChunk)) {
    const auto pictures = Pictures(held_out, rows);
    const auto decoded = models->tokenizer->Decode(models->tokenizer->Encode(pictures).values);
    const auto x = truth.X(rows), y = truth.Y(rows), in_play = truth.InPlay(rows);
    const auto distance = Distance(LookAtPong(decoded, background), x, y);
    within2.Add(distance.le(2), in_play);
    within1.Add(distance.le(1), in_play);
    seen2.Add(Distance(LookAtPong(pictures, background), x, y).le(2), in_play);
  }
  for (const auto& chunk : evaluation::Chunks(starts, kChunk)) {
    const auto windows = imagination::ReadWindows(*models, held_out, chunk, context + longest);
    const int64_t last = context - 1;
    const auto dreamed = [&](bool shuffled) {
      return evaluation::DreamUnderRecordedActions(judged, windows, longest, shuffled).codes;
    };
    const auto own_dream = dreamed(false), other_dream = dreamed(true);
    const auto now_rows = Shifted(chunk, last);
    const auto now = LookAtPong(Pictures(held_out, now_rows), background);
    const auto before = LookAtPong(Pictures(held_out, Shifted(now_rows, -1)), background);
    const auto starts_in_play =
        truth.InPlay(now_rows).logical_and(truth.InPlay(Shifted(now_rows, -1)));
    const auto look = [&](const torch::Tensor& codes) {
      return LookAtPong(models->tokenizer->Decode(models->tokenizer->Values(codes)), background);
    };
    for (const int64_t k : horizons) {
      const auto rows = Shifted(now_rows, k);
      const auto x = truth.X(rows), y = truth.Y(rows), paddle = truth.Paddle(rows);
      const auto counts = starts_in_play.logical_and(truth.InPlay(rows));
      const auto within = [&](const Sighting& sighting) { return Distance(sighting, x, y).le(2); };
      Row& row = table[k];
      const auto own = look(own_dream.select(1, k - 1)), other = look(other_dream.select(1, k - 1));
      const auto coded = look(windows.codes.select(1, last + k));
      row.ball.Add(within(own), counts);
      row.ball_shuffled.Add(within(other), counts);
      row.copying.Add(within(now), counts);
      row.decoder.Add(within(coded), counts);
      Sighting line = now;
      line.x = now.x + static_cast<double>(k) * (now.x - before.x);
      line.y = now.y + static_cast<double>(k) * (now.y - before.y);
      row.extrapolated.Add(within(line), counts);
      row.paddle.Add((own.paddle_y - paddle).abs(), counts);
      row.paddle_shuffled.Add((other.paddle_y - paddle).abs(), counts);
      row.paddle_copying.Add((now.paddle_y - paddle).abs(), counts);
    }
  }
  nlohmann::json result = {{"frames", within2.count()},
                           {"within_2px", within2.value()},
                           {"within_1px", within1.value()},
                           {"within_2px_in_the_true_picture", seen2.value()},
                           {"pixels_of_ram", truth.ToJson()}};
  for (const auto& [k, row] : table) {
    result["dreamed"].push_back({{"k", k},
                                 {"windows", row.ball.count()},
                                 {"ball_within_2px", row.ball.value()},
                                 {"ball_shuffled_actions", row.ball_shuffled.value()},
                                 {"ball_copying", row.copying.value()},
                                 {"ball_straight_line", row.extrapolated.value()},
                                 {"ball_decoder_limit", row.decoder.value()},
                                 {"paddle_error_px", row.paddle.value()},
                                 {"paddle_error_shuffled_px", row.paddle_shuffled.value()},
                                 {"paddle_error_copying_px", row.paddle_copying.value()}});
  }
  return result;
}

}  // namespace hidreamer::agent
