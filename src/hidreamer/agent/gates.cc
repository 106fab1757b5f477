#include "hidreamer/agent/gates.h"

#include <algorithm>
#include <map>

#include "hidreamer/agent/dreams.h"
#include "hidreamer/agent/observation.h"
#include "hidreamer/agent/pong_sight.h"
#include "hidreamer/agent/windows.h"
#include "hidreamer/evaluation/game_artefacts.h"
#include "hidreamer/evaluation/probe.h"
#include "hidreamer/evaluation/ridge.h"
#include "hidreamer/imagination/outcome_metrics.h"
#include "hidreamer/policy/return_comparison.h"

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

world_model::Steps ReadWindows(AgentModels models, const data::EpisodeStore& store,
                               const std::vector<int64_t>& starts, int64_t length) {
  return ReadWindows(models, ReadRecording(store, starts, length), torch::kCPU);
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

std::vector<std::vector<int64_t>> Chunks(const std::vector<int64_t>& all, size_t size) {
  std::vector<std::vector<int64_t>> chunks;
  for (size_t i = 0; i < all.size(); i += size) {
    chunks.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(i),
                        all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), i + size)));
  }
  return chunks;
}

}  // namespace

nlohmann::json MeasureCodes(AgentModels models, const data::EpisodeStore& fit,
                            const data::EpisodeStore& held_out, const GateOptions& options) {
  torch::NoGradGuard no_grad;
  nlohmann::json result;
  const auto& background = models->tokenizer->background();
  const auto& level_codes = models->options().world_model.layout.level_codes;
  std::unique_ptr<PongTruth> truth;
  if (IsPong(held_out)) {
    truth = std::make_unique<PongTruth>(held_out, background, options.frames);
    result["pixels_of_ram"] = truth->ToJson();
  }
  Share within2, within1, seen2, error, changing;
  std::vector<torch::Tensor> counts;
  for (const int64_t codes : level_codes) {
    counts.push_back(torch::zeros({codes}, torch::kLong));
  }
  const auto rows_of = [&](const data::EpisodeStore& store, int64_t frames) {
    return Spread(store.size() - 1, frames);
  };
  for (const auto& rows : Chunks(rows_of(held_out, options.frames), kChunk)) {
    const auto pictures = Pictures(held_out, rows);
    const auto encoded = models->tokenizer->Encode(pictures);
    const auto decoded = models->tokenizer->Decode(encoded.values);
    const auto all = torch::ones({pictures.size(0)}, torch::kBool);
    error.Add((decoded - pictures).square().mean({1, 2, 3}), all);
    const auto next = models->tokenizer->Encode(Pictures(held_out, Shifted(rows, 1))).codes;
    changing.Add(next.ne(encoded.codes).to(torch::kFloat32).mean({1, 2}), all);
    for (size_t l = 0; l < counts.size(); ++l) {
      counts[l] += torch::bincount(encoded.codes.select(2, static_cast<int64_t>(l)).flatten(), {},
                                   level_codes[l]);
    }
    if (truth) {
      const auto x = truth->X(rows), y = truth->Y(rows);
      const auto in_play = truth->InPlay(rows);
      const auto distance = Distance(LookAtPong(decoded, background), x, y);
      within2.Add(distance.le(2), in_play);
      within1.Add(distance.le(1), in_play);
      seen2.Add(Distance(LookAtPong(pictures, background), x, y).le(2), in_play);
    }
  }
  // Rows of a recording, their codes one-hot and as values, and what is true of them.
  struct Probed {
    std::vector<int64_t> rows;
    torch::Tensor one_hot, values;  // (N, P sum V), (N, C P)
    torch::Tensor in_play;          // (N) bool, the ball is in Pong's field
  };
  const auto read = [&](const data::EpisodeStore& store, int64_t frames) {
    Probed probed{.rows = rows_of(store, frames), .one_hot = {}, .values = {}, .in_play = {}};
    std::vector<torch::Tensor> one_hot, values;
    for (const auto& rows : Chunks(probed.rows, kChunk)) {
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
  const auto variables = evaluation::ChooseVariables(held_out);
  if (!variables.varying.empty()) {
    const Probed fitted = read(fit, options.probe_frames), judged = read(held_out, options.frames);
    for (const auto& variable : variables.varying) {
      // Where a ball that is not on the screen would be is no question.
      const bool ball = variable.name.starts_with("ball");
      const auto quality = [&](torch::Tensor Probed::*features) {
        const auto part = [&](const Probed& probed, const torch::Tensor& x) {
          const auto rows =
              ball ? probed.in_play.nonzero().squeeze(1) : torch::arange(x.size(0), torch::kLong);
          return x.index_select(0, rows);
        };
        const auto target = [&](const data::EpisodeStore& store, const Probed& probed) {
          return part(probed,
                      evaluation::VariableValues(store, {variable}, torch::tensor(probed.rows)));
        };
        const auto model =
            evaluation::FitRidge(part(fitted, fitted.*features), target(fit, fitted));
        return evaluation::MeasureFit(model.Predict(part(judged, judged.*features)),
                                      target(held_out, judged));
      };
      const auto of_codes = quality(&Probed::one_hot), of_values = quality(&Probed::values);
      result["probe"][variable.name] = {{"r2", of_codes.r2[0].item<double>()},
                                        {"mae", of_codes.mean_absolute_error[0].item<double>()},
                                        {"r2_of_values", of_values.r2[0].item<double>()}};
    }
    for (const auto& variable : variables.left_out) {
      result["left_out"].push_back(variable.name);
    }
  }
  if (truth) {
    result["ball"] = {{"frames", within2.count()},
                      {"within_2px", within2.value()},
                      {"within_1px", within1.value()},
                      {"within_2px_in_the_true_picture", seen2.value()}};
  }
  result["squared_error"] = error.value();
  result["codes_changing_a_step"] = changing.value();
  for (size_t l = 0; l < counts.size(); ++l) {
    const auto p = counts[l].to(torch::kFloat64) / counts[l].sum().to(torch::kFloat64);
    result["levels"].push_back(
        {{"codes", level_codes[l]},
         {"dead", counts[l].eq(0).sum().item<int64_t>()},
         {"perplexity", torch::exp(-(p * torch::log(p.clamp_min(1e-12))).sum()).item<double>()}});
  }
  return result;
}

nlohmann::json MeasureOneStep(AgentModels models, const data::EpisodeStore& held_out,
                              const GateOptions& options) {
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
  for (const auto& chunk : Chunks(starts, kChunk)) {
    std::vector<int64_t> next;
    std::vector<uint8_t> valid;
    for (const int64_t start : chunk) {
      const int64_t row = start + context;
      valid.push_back(row < held_out.size() && held_out.EpisodeOf(row).begin != row);
      next.push_back(valid.back() != 0 ? row : start + context - 1);
    }
    auto steps = ReadWindows(models, held_out, chunk, context)
                     .FollowedBy(ReadWindows(models, held_out, next, 1));
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
  nlohmann::json result = {{"positions", starts.size()}};
  for (size_t l = 0; l < l_count; ++l) {
    result["levels"].push_back({{"accuracy", right[l].value()},
                                {"copying", copied[l].value()},
                                {"changed_accuracy", changed_right[l].value()},
                                {"changed", changed_right[l].count()},
                                {"nll", nll[l].value()}});
  }
  result["outcomes"] = imagination::ToJson(
      imagination::ScoreOutcomes(torch::cat(rewards), torch::cat(true_rewards),
                                 torch::cat(continues), torch::cat(true_continues)));
  return result;
}

nlohmann::json MeasureOpenLoop(AgentModels models, const data::EpisodeStore& held_out,
                               const GateOptions& options) {
  torch::NoGradGuard no_grad;
  if (!IsPong(held_out)) {
    return nlohmann::json::object();
  }
  const auto& background = models->tokenizer->background();
  const int64_t context = models->options().world_model.context;
  const int64_t longest = *std::max_element(options.horizons.begin(), options.horizons.end());
  const PongTruth truth(held_out, background, options.frames);
  const auto starts = evaluation::SpreadWindowStarts(held_out.episodes(), context + longest + 1, 1,
                                                     options.windows);
  struct Row {
    Share ball, ball_shuffled, copying, extrapolated, decoder, paddle, paddle_shuffled,
        paddle_copying;
  };
  std::map<int64_t, Row> table;
  Rng rng = SeedTree(options.seed).Generator("open_loop");
  for (const auto& chunk : Chunks(starts, kChunk)) {
    const auto windows = ReadWindows(models, held_out, chunk, context + longest);
    const int64_t last = context - 1;
    const auto seen = windows.Between(0, context);
    const auto actions = windows.actions.narrow(1, last, longest);
    // Another window's actions.
    const auto others = actions.roll(1, 0);
    DreamOptions dream{
        .horizon = longest, .temperature = 0, .keep_codes = true, .actions = actions};
    const auto dreamed = DreamOn(models, seen, dream, rng).codes;
    dream.actions = others;
    const auto shuffled = DreamOn(models, seen, dream, rng).codes;
    const auto now_rows = Shifted(chunk, last);
    const auto now = LookAtPong(Pictures(held_out, now_rows), background);
    const auto before = LookAtPong(Pictures(held_out, Shifted(now_rows, -1)), background);
    const auto starts_in_play =
        truth.InPlay(now_rows).logical_and(truth.InPlay(Shifted(now_rows, -1)));
    const auto look = [&](const torch::Tensor& codes) {
      return LookAtPong(models->tokenizer->Decode(models->tokenizer->Values(codes)), background);
    };
    for (const int64_t k : options.horizons) {
      const auto rows = Shifted(now_rows, k);
      const auto x = truth.X(rows), y = truth.Y(rows), paddle = truth.Paddle(rows);
      const auto counts = starts_in_play.logical_and(truth.InPlay(rows));
      const auto within = [&](const Sighting& sighting) { return Distance(sighting, x, y).le(2); };
      Row& row = table[k];
      const auto own = look(dreamed.select(1, k - 1)), other = look(shuffled.select(1, k - 1));
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
  auto result = nlohmann::json::array();
  for (const auto& [k, row] : table) {
    result.push_back({{"k", k},
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

nlohmann::json MeasureDreamReturn(AgentModels models, const data::EpisodeStore& own_play,
                                  int64_t horizon, const GateOptions& options) {
  torch::NoGradGuard no_grad;
  const int64_t context = models->options().world_model.context;
  Rng rng = SeedTree(options.seed).Generator("dream_return");
  std::vector<torch::Tensor> dreamed, continues, real;
  for (const auto& chunk :
       Chunks(evaluation::SpreadWindowStarts(own_play.episodes(), context + horizon - 1, 1,
                                             4 * options.windows),
              kChunk)) {
    const auto dream = DreamOn(models, ReadWindows(models, own_play, chunk, context),
                               {.horizon = horizon, .temperature = options.temperature}, rng);
    dreamed.push_back(dream.rewards);
    continues.push_back(dream.continues);
    for (const int64_t row : Shifted(chunk, context - 1)) {
      const float* const followed = own_play.rewards().data() + row;
      real.push_back(torch::tensor(std::vector(followed, followed + horizon)));
    }
  }
  nlohmann::json result =
      policy::CompareReturns(torch::cat(dreamed), torch::cat(continues), torch::stack(real));
  result["horizon"] = horizon;
  return result;
}

std::vector<int64_t> FilmStarts(AgentModels models, const data::EpisodeStore& recording,
                                int64_t steps, int64_t count) {
  return evaluation::SpreadWindowStarts(recording.episodes(),
                                        models->options().world_model.context + steps, 1, count);
}

DreamFilm FilmDream(AgentModels models, const data::EpisodeStore& recording, int64_t start,
                    int64_t steps, double temperature, uint64_t seed) {
  torch::NoGradGuard no_grad;
  const int64_t context = models->options().world_model.context;
  const auto windows = ReadWindows(models, recording, {start}, context + steps);
  const auto seen = windows.Between(0, context);
  Rng rng = SeedTree(seed).Generator("film");
  const auto codes = DreamOn(models, seen,
                             {.horizon = steps,
                              .temperature = temperature,
                              .keep_codes = true,
                              .actions = windows.actions.narrow(1, context - 1, steps)},
                             rng)
                         .codes[0];  // (S, P, L)
  const auto decode = [&](const torch::Tensor& c) {
    return models->tokenizer->Decode(models->tokenizer->Values(c)).squeeze(1).clamp(0, 1);
  };
  std::vector<int64_t> rows;
  for (int64_t k = 0; k <= steps; ++k) {
    rows.push_back(start + context - 1 + k);
  }
  const auto decoded = decode(windows.codes[0].narrow(0, context - 1, steps + 1));
  return {.real = Pictures(recording, rows).squeeze(1),
          .decoded = decoded,
          .dreamed = torch::cat({decoded.narrow(0, 0, 1), decode(codes)})};
}

}  // namespace hidreamer::agent
