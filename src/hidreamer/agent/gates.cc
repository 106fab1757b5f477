#include "hidreamer/agent/gates.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "hidreamer/agent/dreams.h"
#include "hidreamer/agent/observation.h"
#include "hidreamer/base/error.h"
#include "hidreamer/env/ram_labels.h"
#include "hidreamer/evaluation/probe.h"
#include "hidreamer/evaluation/ridge.h"

namespace hidreamer::agent {
namespace {

constexpr int64_t kChunk = 128;  // frames or windows at a time
// Pong's field in the 64x64 picture: between the paddles, inside the walls.
constexpr int64_t kFieldLeft = 9, kFieldRight = 54, kFieldTop = 12, kFieldBottom = 58;
constexpr int64_t kOwnPaddleLeft = 55, kOwnPaddleRight = 59;
constexpr double kVisible = 0.1;  // contrast of a ball that counts as seen in the true picture

// Pictures of rows, (n, 1, 64, 64).
torch::Tensor Pictures(const data::EpisodeStore& store, const std::vector<int64_t>& rows) {
  std::vector<uint8_t> pixels(rows.size() * kObservationBytes);
  std::vector<uint8_t> frame(env::kFrameBytes);
  Observer observer;
  for (size_t i = 0; i < rows.size(); ++i) {
    store.ReadFrames(rows[i], rows[i] + 1, frame.data());
    observer.Observe(std::span<const uint8_t, env::kFrameBytes>(frame.data(), env::kFrameBytes),
                     pixels.data() + i * kObservationBytes);
  }
  return ToTensor(pixels);
}

// `count` rows spread evenly over [0, size).
std::vector<int64_t> Spread(int64_t size, int64_t count) {
  std::vector<int64_t> rows;
  count = std::min(size, count);
  for (int64_t i = 0; i < count; ++i) {
    rows.push_back(i * size / count);
  }
  return rows;
}

// Starts of windows of `length` rows inside episodes, `count` of them spread evenly.
std::vector<int64_t> WindowStarts(const data::EpisodeStore& store, int64_t length, int64_t count) {
  std::vector<int64_t> all;
  for (const auto& episode : store.episodes()) {
    for (int64_t row = episode.begin; row + length <= episode.end; ++row) {
      all.push_back(row);
    }
  }
  std::vector<int64_t> chosen;
  for (const int64_t i : Spread(static_cast<int64_t>(all.size()), count)) {
    chosen.push_back(all[static_cast<size_t>(i)]);
  }
  return chosen;
}

torch::Tensor Bytes(const data::EpisodeStore& store, const std::vector<int64_t>& rows,
                    const std::string& variable) {
  const int byte = env::RamByte(store.info().game, variable);
  std::vector<float> values;
  for (const int64_t row : rows) {
    values.push_back(store.ram()[static_cast<size_t>(row * env::kRamBytes + byte)]);
  }
  return torch::tensor(values);
}

// y = slope x + offset: least squares, then again on the points within 2 px.
struct Line {
  double slope = 0, offset = 0;
  torch::Tensor operator()(const torch::Tensor& x) const { return x * slope + offset; }
};
Line FitLine(torch::Tensor x, torch::Tensor y) {
  Line line;
  for (int round = 0; round < 4; ++round) {
    const auto mean_x = x.mean(), mean_y = y.mean();
    line.slope = (((x - mean_x) * (y - mean_y)).sum() / (x - mean_x).square().sum().clamp_min(1e-6))
                     .item<double>();
    line.offset = mean_y.item<double>() - line.slope * mean_x.item<double>();
    const auto near = (line(x) - y).abs().lt(round == 0 ? 8 : 3);
    if (near.sum().item<int64_t>() < 16) {
      break;
    }
    x = x.masked_select(near);
    y = y.masked_select(near);
  }
  return line;
}

// The truth about Pong's frames in pixels, from RAM through a map fitted on what is seen in the
// true pictures.
class PongTruth {
 public:
  PongTruth(const data::EpisodeStore& store, const torch::Tensor& background, int64_t frames)
      : store_(store) {
    const auto rows = Spread(store.size(), frames);
    std::vector<torch::Tensor> x, y, strength, paddle;
    for (size_t i = 0; i < rows.size(); i += kChunk) {
      const std::vector<int64_t> part(
          rows.begin() + static_cast<std::ptrdiff_t>(i),
          rows.begin() + static_cast<std::ptrdiff_t>(std::min(rows.size(), i + kChunk)));
      const auto seen = LookAtPong(Pictures(store, part), background);
      x.push_back(seen.x), y.push_back(seen.y), strength.push_back(seen.strength);
      paddle.push_back(seen.paddle_y);
    }
    const auto visible = torch::cat(strength).gt(kVisible);
    const auto fit = [&](const char* variable, const std::vector<torch::Tensor>& seen) {
      return FitLine(Bytes(store, rows, variable).masked_select(visible),
                     torch::cat(seen).masked_select(visible));
    };
    x_ = fit("ball_x", x);
    y_ = fit("ball_y", y);
    paddle_ = fit("player_y", paddle);
  }

  torch::Tensor X(const std::vector<int64_t>& rows) const {
    return x_(Bytes(store_, rows, "ball_x"));
  }
  torch::Tensor Y(const std::vector<int64_t>& rows) const {
    return y_(Bytes(store_, rows, "ball_y"));
  }
  torch::Tensor Paddle(const std::vector<int64_t>& rows) const {
    return paddle_(Bytes(store_, rows, "player_y"));
  }
  // The ball is in the field.
  torch::Tensor InPlay(const std::vector<int64_t>& rows) const {
    const auto x = X(rows), y = Y(rows);
    return x.gt(kFieldLeft + 2)
        .logical_and(x.lt(kFieldRight - 3))
        .logical_and(y.gt(kFieldTop + 1))
        .logical_and(y.lt(kFieldBottom - 2));
  }
  nlohmann::json ToJson() const {
    return {{"ball_x", {x_.slope, x_.offset}},
            {"ball_y", {y_.slope, y_.offset}},
            {"player_y", {paddle_.slope, paddle_.offset}}};
  }

 private:
  const data::EpisodeStore& store_;
  Line x_, y_, paddle_;
};

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

torch::Tensor Distance(const Sighting& seen, const torch::Tensor& x, const torch::Tensor& y) {
  return ((seen.x - x).square() + (seen.y - y).square()).sqrt();
}

// Windows of a recording as the world model reads them.
struct Windows {
  torch::Tensor codes;  // (B, T, P, L)
  world_model::StepInputs inputs;
  torch::Tensor actions, rewards, terminals;  // (B, T)
};

Windows ReadWindows(AgentModels models, const data::EpisodeStore& store,
                    const std::vector<int64_t>& starts, int64_t length) {
  std::vector<int64_t> rows;
  std::vector<int64_t> actions, previous;
  std::vector<float> rewards;
  std::vector<uint8_t> first, terminals;
  for (const int64_t start : starts) {
    for (int64_t row = start; row < start + length; ++row) {
      const auto i = static_cast<size_t>(row);
      rows.push_back(row);
      actions.push_back(store.actions()[i]);
      first.push_back(store.EpisodeOf(row).begin == row);
      previous.push_back(first.back() != 0 ? 0 : store.actions()[i - 1]);
      rewards.push_back(store.rewards()[i]);
      terminals.push_back(store.terminals()[i]);
    }
  }
  const auto encoded = models->tokenizer->Encode(Pictures(store, rows));
  const auto b = static_cast<int64_t>(starts.size());
  const auto grid = encoded.values.sizes();
  const std::vector<int64_t> shape = {b, length};
  return {.codes = encoded.codes.view({b, length, encoded.codes.size(1), encoded.codes.size(2)}),
          .inputs = {.values = encoded.values.view({b, length, grid[1], grid[2], grid[3]}),
                     .previous_actions = torch::tensor(previous, torch::kLong).view(shape),
                     .first = torch::tensor(first, torch::kUInt8).to(torch::kBool).view(shape)},
          .actions = torch::tensor(actions, torch::kLong).view(shape),
          .rewards = torch::tensor(rewards).view(shape),
          .terminals = torch::tensor(terminals, torch::kUInt8).to(torch::kBool).view(shape)};
}

std::vector<std::vector<int64_t>> Chunks(const std::vector<int64_t>& all, size_t size) {
  std::vector<std::vector<int64_t>> chunks;
  for (size_t i = 0; i < all.size(); i += size) {
    chunks.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(i),
                        all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), i + size)));
  }
  return chunks;
}

double Ratio(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// Precision, recall and F1 of one event.
struct EventCount {
  int64_t truth = 0, predicted = 0, hits = 0;
  void Add(const torch::Tensor& is, const torch::Tensor& said) {
    truth += is.sum().item<int64_t>();
    predicted += said.sum().item<int64_t>();
    hits += is.logical_and(said).sum().item<int64_t>();
  }
  nlohmann::json ToJson() const {
    return {{"events", truth},
            {"precision", Ratio(hits, predicted)},
            {"recall", Ratio(hits, truth)},
            {"f1", Ratio(2 * hits, truth + predicted)}};
  }
};

bool IsPong(const data::EpisodeStore& store) { return store.info().game == "pong"; }

}  // namespace

Sighting LookAtPong(const torch::Tensor& pictures, const torch::Tensor& background) {
  const int64_t n = pictures.size(0);
  const auto contrast = (pictures - background).abs().squeeze(1);  // (N, 64, 64)
  const int64_t height = kFieldBottom - kFieldTop, width = kFieldRight - kFieldLeft;
  const auto field = contrast.narrow(1, kFieldTop, height).narrow(2, kFieldLeft, width);
  const auto [strength, place] = field.flatten(1).max(1);
  const auto row = place.div(width, "floor").view({n, 1, 1}),
             column = (place % width).view({n, 1, 1});
  const auto rows = torch::arange(height).view({1, height, 1});
  const auto columns = torch::arange(width).view({1, 1, width});
  const auto near = (rows - row).abs().le(2).logical_and((columns - column).abs().le(2));
  const auto weights = field * near.to(torch::kFloat32);
  const auto mass = weights.sum({1, 2}).clamp_min(1e-6);
  const auto strip = contrast.narrow(1, kFieldTop, height)
                         .narrow(2, kOwnPaddleLeft, kOwnPaddleRight - kOwnPaddleLeft)
                         .sum(2);  // (N, height)
  const auto bright = torch::relu(strip - 0.5 * std::get<0>(strip.max(1, /*keepdim=*/true)));
  return {.x = (weights * columns).sum({1, 2}) / mass + static_cast<double>(kFieldLeft),
          .y = (weights * rows).sum({1, 2}) / mass + static_cast<double>(kFieldTop),
          .strength = strength,
          .paddle_y = (bright * torch::arange(height).view({1, height})).sum(1) /
                          bright.sum(1).clamp_min(1e-6) +
                      static_cast<double>(kFieldTop)};
}

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
  std::map<float, EventCount> reward_counts;
  EventCount end_count;
  std::vector<float> values;  // rewards that occur
  for (const float reward : held_out.rewards()) {
    if (std::find(values.begin(), values.end(), reward) == values.end()) {
      values.push_back(reward);
    }
  }
  const auto classes = torch::tensor(values);
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
    const auto windows = ReadWindows(models, held_out, chunk, context);
    const auto states = models->world_model->Observe(windows.inputs);
    const int64_t last = context - 1;
    const auto outcome =
        models->world_model->Foretell(states.hidden.select(1, last), states.local.select(1, last),
                                      windows.actions.select(1, last));
    const auto reward = models->scalars().Value(outcome.reward);
    const auto nearest =
        classes.index_select(0, (reward.unsqueeze(1) - classes.unsqueeze(0)).abs().argmin(1));
    const auto truth = windows.rewards.select(1, last);
    for (const float value : values) {
      if (value != 0) {
        reward_counts[value].Add(truth.eq(value), nearest.eq(value));
      }
    }
    end_count.Add(windows.terminals.select(1, last), outcome.continues.lt(0));
    std::vector<int64_t> next;
    std::vector<uint8_t> valid;
    for (const int64_t start : chunk) {
      const int64_t row = start + context;
      valid.push_back(row < held_out.size() && held_out.EpisodeOf(row).begin != row);
      next.push_back(valid.back() != 0 ? row : start);
    }
    const auto counts = torch::tensor(valid, torch::kUInt8).to(torch::kBool).view({-1, 1});
    const auto target = models->tokenizer->Encode(Pictures(held_out, next)).codes;  // (N, P, L)
    const auto now = windows.codes.select(1, last);
    const auto logits = models->world_model->Logits(outcome.places, target);
    for (size_t l = 0; l < l_count; ++l) {
      const auto level = static_cast<int64_t>(l);
      const auto goal = target.select(2, level), before = now.select(2, level);
      const auto all = counts.expand_as(goal);
      const auto hit = logits[l].argmax(-1).eq(goal);
      right[l].Add(hit, all);
      copied[l].Add(before.eq(goal), all);
      changed_right[l].Add(hit, all.logical_and(before.ne(goal)));
      nll[l].Add(-torch::log_softmax(logits[l], -1).gather(2, goal.unsqueeze(2)).squeeze(2), all);
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
  EventCount any;
  for (const auto& [value, count] : reward_counts) {
    nlohmann::json entry = count.ToJson();
    entry["reward"] = value;
    result["rewards"].push_back(entry);
    any.truth += count.truth, any.predicted += count.predicted, any.hits += count.hits;
  }
  result["any_reward"] = any.ToJson();
  result["end"] = end_count.ToJson();
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
  const auto starts = WindowStarts(held_out, context + longest + 1, options.windows);
  struct Row {
    Share ball, ball_shuffled, copying, extrapolated, decoder, paddle, paddle_shuffled,
        paddle_copying;
  };
  std::map<int64_t, Row> table;
  Rng rng = SeedTree(options.seed).Generator("open_loop");
  for (const auto& chunk : Chunks(starts, kChunk)) {
    const auto windows = ReadWindows(models, held_out, chunk, context + longest);
    const int64_t last = context - 1;
    const world_model::StepInputs seen = {
        .values = windows.inputs.values.narrow(1, 0, context),
        .previous_actions = windows.inputs.previous_actions.narrow(1, 0, context),
        .first = windows.inputs.first.narrow(1, 0, context)};
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
  std::vector<torch::Tensor> dreamed, real;
  for (const auto& chunk :
       Chunks(WindowStarts(own_play, context + horizon - 1, 4 * options.windows), kChunk)) {
    const auto windows = ReadWindows(models, own_play, chunk, context);
    const auto dream = DreamOn(models, windows.inputs, {.horizon = horizon, .temperature = 1}, rng);
    // A reward after a foretold end does not count.
    const auto alive = torch::cat({torch::ones({dream.continues.size(0), 1}),
                                   dream.continues.narrow(1, 0, horizon - 1).cumprod(1)},
                                  1);
    dreamed.push_back((dream.rewards * alive).sum(1));
    std::vector<float> sums;
    for (const int64_t start : chunk) {
      float sum = 0;
      for (int64_t row = start + context - 1; row < start + context - 1 + horizon; ++row) {
        sum += own_play.rewards()[static_cast<size_t>(row)];
      }
      sums.push_back(sum);
    }
    real.push_back(torch::tensor(sums));
  }
  const auto d = torch::cat(dreamed), r = torch::cat(real);
  const auto dc = d - d.mean(), rc = r - r.mean();
  const double spread = (dc.square().sum() * rc.square().sum()).sqrt().item<double>();
  const auto error_of_mean = [](const torch::Tensor& x) {
    return (x.std() / std::sqrt(static_cast<double>(x.numel()))).item<double>();
  };
  return {{"horizon", horizon},
          {"starts", d.numel()},
          {"dream_mean", d.mean().item<double>()},
          {"dream_error", error_of_mean(d)},
          {"real_mean", r.mean().item<double>()},
          {"real_error", error_of_mean(r)},
          {"correlation", spread > 0 ? (dc * rc).sum().item<double>() / spread : 0}};
}

std::vector<int64_t> FilmStarts(AgentModels models, const data::EpisodeStore& recording,
                                int64_t steps, int64_t count) {
  return WindowStarts(recording, models->options().world_model.context + steps, count);
}

DreamFilm FilmDream(AgentModels models, const data::EpisodeStore& recording, int64_t start,
                    int64_t steps, double temperature, uint64_t seed) {
  torch::NoGradGuard no_grad;
  const int64_t context = models->options().world_model.context;
  const auto windows = ReadWindows(models, recording, {start}, context + steps);
  const world_model::StepInputs seen = {
      .values = windows.inputs.values.narrow(1, 0, context),
      .previous_actions = windows.inputs.previous_actions.narrow(1, 0, context),
      .first = windows.inputs.first.narrow(1, 0, context)};
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
