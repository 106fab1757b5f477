#include "hidreamer/agent/measurements.h"

#include <algorithm>
#include <map>

#include "hidreamer/agent/observation.h"
#include "hidreamer/agent/pong_sight.h"
#include "hidreamer/evaluation/game_artefacts.h"
#include "hidreamer/evaluation/open_loop_evaluation.h"
#include "hidreamer/evaluation/statistics.h"
#include "hidreamer/imagination/outcome_metrics.h"
#include "hidreamer/imagination/windows.h"

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
  Share error, changing;
  std::vector<torch::Tensor> counts;
  for (const int64_t codes : level_codes) {
    counts.push_back(torch::zeros({codes}, torch::kLong));
  }
  for (const auto& rows : evaluation::Chunks(Spread(held_out.size() - 1, options.frames), kChunk)) {
    const auto pictures = Pictures(held_out, rows);
    const auto encoded = models->tokenizer->Encode(pictures);
    const auto all = torch::ones({pictures.size(0)}, torch::kBool);
    error.Add((models->tokenizer->Decode(encoded.values) - pictures).square().mean({1, 2, 3}), all);
    const auto next = models->tokenizer->Encode(Pictures(held_out, Shifted(rows, 1))).codes;
    changing.Add(next.ne(encoded.codes).to(torch::kFloat32).mean({1, 2}), all);
    for (size_t l = 0; l < counts.size(); ++l) {
      counts[l] += torch::bincount(encoded.codes.select(2, static_cast<int64_t>(l)).flatten(), {},
                                   level_codes[l]);
    }
  }
  nlohmann::json part = {{"squared_error", error.value()}, {"changing", changing.value()}};
  for (const torch::Tensor& count : counts) {
    const auto p = count.to(torch::kFloat64) / count.sum().to(torch::kFloat64);
    nlohmann::json level = {
        {"game", models->options().game},
        {"codes", count.numel()},
        {"used", count.gt(0).sum().item<int64_t>()},
        {"perplexity", torch::exp(-(p * torch::log(p.clamp_min(1e-12))).sum()).item<double>()},
        {"counts", std::vector<int64_t>(count.data_ptr<int64_t>(),
                                        count.data_ptr<int64_t>() + count.numel())}};
    part["levels"].push_back({{"games", nlohmann::json::array({level})}});
  }
  return part;
}

nlohmann::json ProbeCodes(AgentModels models, const data::EpisodeStore& fit,
                          const data::EpisodeStore& held_out, const MeasureOptions& options) {
  torch::NoGradGuard no_grad;
  const auto& background = models->tokenizer->background();
  const auto& level_codes = models->options().world_model.layout.level_codes;
  const auto variables = evaluation::ChooseVariables(held_out);
  if (variables.varying.empty()) {
    return nlohmann::json::object();
  }
  // Rows of a recording and their codes, one-hot and as values.
  struct Probed {
    std::vector<int64_t> rows;
    torch::Tensor one_hot, values;  // (N, P sum V), (N, C P)
    torch::Tensor in_play;          // (N) bool, the ball is in Pong's field
  };
  const auto read = [&](const data::EpisodeStore& store, int64_t frames) {
    Probed probed{
        .rows = Spread(store.size() - 1, frames), .one_hot = {}, .values = {}, .in_play = {}};
    std::vector<torch::Tensor> one_hot, values;
    for (const auto& rows : evaluation::Chunks(probed.rows, kChunk)) {
      const auto encoded = models->tokenizer->Encode(Pictures(store, rows));
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
    probed.one_hot = torch::cat(one_hot), probed.values = torch::cat(values);
    const auto all = torch::ones({probed.values.size(0)}, torch::kBool);
    probed.in_play =
        IsPong(store) ? PongTruth(store, background, options.frames).InPlay(probed.rows) : all;
    return probed;
  };
  const Probed fitted = read(fit, options.probe_frames), judged = read(held_out, options.frames);
  nlohmann::json part = {{"game", models->options().game},
                         {"train_rows", fitted.rows.size()},
                         {"test_rows", judged.rows.size()},
                         {"left_out", nlohmann::json::array()}};
  std::map<std::string, std::vector<double>> all_r2;
  for (const auto& variable : variables.varying) {
    // Where a ball that is not on the screen would be is no question.
    const bool ball = variable.name.starts_with("ball");
    const auto quality = [&](torch::Tensor Probed::*features) {
      const auto part_of = [&](const Probed& probed, const torch::Tensor& x) {
        const auto rows =
            ball ? probed.in_play.nonzero().squeeze(1) : torch::arange(x.size(0), torch::kLong);
        return x.index_select(0, rows);
      };
      const auto target = [&](const data::EpisodeStore& store, const Probed& probed) {
        return part_of(probed,
                       evaluation::VariableValues(store, {variable}, torch::tensor(probed.rows)));
      };
      const auto model =
          evaluation::FitRidge(part_of(fitted, fitted.*features), target(fit, fitted));
      return evaluation::MeasureFit(model.Predict(part_of(judged, judged.*features)),
                                    target(held_out, judged));
    };
    nlohmann::json row = {{"name", variable.name}, {"entropy", variable.entropy}};
    for (const auto& [source, features] :
         {std::pair("codes", &Probed::one_hot), std::pair("values", &Probed::values)}) {
      const auto fit_quality = quality(features);
      const double r2 = fit_quality.r2[0].item<double>();
      row["fits"][source] = {{"r2", r2},
                             {"mae", fit_quality.mean_absolute_error[0].item<double>()}};
      all_r2[source].push_back(r2);
    }
    part["variables"].push_back(row);
  }
  for (const auto& [source, r2] : all_r2) {
    part["median_r2"][source] = evaluation::Median(r2);
  }
  for (const auto& variable : variables.left_out) {
    part["left_out"].push_back({{"name", variable.name}, {"entropy", variable.entropy}});
  }
  return part;
}

OneStep MeasureOneStep(AgentModels models, const data::EpisodeStore& held_out,
                       const MeasureOptions& options) {
  torch::NoGradGuard no_grad;
  const int64_t context = models->options().world_model.context;
  const int64_t levels = models->options().world_model.layout.levels;
  const auto l_count = static_cast<size_t>(levels);
  std::vector<Share> right(l_count), copied(l_count), changed_right(l_count), nll(l_count);
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
    const auto counts = torch::tensor(valid, torch::kUInt8).to(torch::kBool).view({-1, 1});
    const auto target = steps.codes.select(1, context), now = steps.codes.select(1, last);
    for (size_t l = 0; l < l_count; ++l) {
      const auto level = static_cast<int64_t>(l);
      const auto goal = target.select(2, level), before = now.select(2, level);
      const auto all = counts.expand_as(goal);
      const auto logits = prediction.codes[l].squeeze(1);  // (N, P, V)
      const auto hit = logits.argmax(-1).eq(goal);
      right[l].Add(hit, all);
      copied[l].Add(before.eq(goal), all);
      changed_right[l].Add(hit, all.logical_and(before.ne(goal)));
      nll[l].Add(-torch::log_softmax(logits, -1).gather(2, goal.unsqueeze(2)).squeeze(2), all);
    }
  }
  OneStep result;
  result.prediction = {{"windows", starts.size()}, {"length", context + 1}, {"split", "recording"}};
  for (size_t l = 0; l < l_count; ++l) {
    result.prediction["levels"].push_back({{"accuracy", right[l].value()},
                                           {"copy_accuracy", copied[l].value()},
                                           {"changed_accuracy", changed_right[l].value()},
                                           {"changed_count", changed_right[l].count()},
                                           {"nll", nll[l].value()}});
  }
  result.outcomes = imagination::ToJson(
      imagination::ScoreOutcomes(torch::cat(rewards), torch::cat(true_rewards),
                                 torch::cat(continues), torch::cat(true_continues)),
      models->options().game);
  return result;
}

namespace {

// Codes of dreams of `steps` steps, the likeliest at each, (B, H, P, L): under the recorded
// actions, and under another window's.
struct OpenLoopDreams {
  torch::Tensor own, shuffled;
};
OpenLoopDreams DreamUnderRecordedActions(AgentModels models, const world_model::Steps& windows,
                                         int64_t steps) {
  const int64_t context = models->options().world_model.context;
  const auto actions = windows.actions.narrow(1, context - 1, steps);
  const auto dream = [&](const torch::Tensor& under) {
    return world_model::RunOpenLoop(*models->world_model, windows.Between(0, context), under,
                                    models->ValuesOfCodes(), /*temperature=*/0)
        .codes;
  };
  return {dream(actions), dream(actions.roll(1, 0))};
}

int64_t Horizon(AgentModels models, const MeasureOptions& options) {
  const auto& world = models->options().world_model;
  return std::min(options.steps, world.max_steps - world.context);
}

}  // namespace

nlohmann::json MeasureOpenLoop(AgentModels models, const data::EpisodeStore& fit,
                               const data::EpisodeStore& held_out, const MeasureOptions& options) {
  torch::NoGradGuard no_grad;
  const int64_t context = models->options().world_model.context;
  const int64_t steps = Horizon(models, options);
  const auto starts =
      evaluation::SpreadWindowStarts(held_out.episodes(), context + steps, 1, options.windows);
  if (starts.empty()) {
    return nlohmann::json::object();
  }
  std::map<std::string, std::vector<torch::Tensor>> parts;
  for (const auto& chunk : evaluation::Chunks(starts, kChunk)) {
    const auto windows = imagination::ReadWindows(*models, held_out, chunk, context + steps);
    const auto dreams = DreamUnderRecordedActions(models, windows, steps);
    const auto truth = windows.codes.narrow(1, context, steps);
    parts["truth"].push_back(truth);
    parts["model"].push_back(dreams.own);
    parts["shuffled"].push_back(dreams.shuffled);
    parts["copy"].push_back(windows.codes.narrow(1, context - 1, 1).expand_as(truth));
  }
  evaluation::OpenLoopCodes codes{.truth = torch::cat(parts["truth"]), .predicted = {}};
  for (const char* name : {"model", "shuffled", "copy"}) {
    codes.predicted[name] = torch::cat(parts[name]);
  }
  evaluation::PositionProbe probe{.variables = evaluation::PositionVariables(held_out),
                                  .model = {},
                                  .features = [&](const torch::Tensor& of) {
                                    return models->tokenizer->Values(of).flatten(1);
                                  }};
  torch::Tensor values;
  if (!probe.variables.empty()) {
    const auto rows = Spread(fit.size(), options.probe_frames);
    std::vector<torch::Tensor> features;
    for (const auto& chunk : evaluation::Chunks(rows, kChunk)) {
      features.push_back(models->tokenizer->Encode(Pictures(fit, chunk)).values.flatten(1));
    }
    probe.model =
        evaluation::FitRidge(torch::cat(features),
                             evaluation::VariableValues(fit, probe.variables, torch::tensor(rows)));
    values = evaluation::VariableValues(held_out, probe.variables,
                                        evaluation::WindowRows(Shifted(starts, context), steps));
  }
  nlohmann::json part = evaluation::ScoreOpenLoop(codes, probe, values);
  part["game"] = models->options().game;
  part["windows"] = starts.size();
  part["context"] = context;
  part["steps"] = steps;
  return part;
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
    const auto dreams = DreamUnderRecordedActions(models, windows, longest);
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
      const auto own = look(dreams.own.select(1, k - 1)),
                 other = look(dreams.shuffled.select(1, k - 1));
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
