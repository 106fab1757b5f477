#include "hidreamer/evaluation/probe.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/encoder/embed.h"
#include "hidreamer/encoder/encoder.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/evaluation/open_loop_evaluation.h"
#include "hidreamer/evaluation/statistics.h"

namespace hidreamer::evaluation {
namespace {

constexpr int64_t kChunk = 256;           // windows or frames at a time
constexpr size_t kHiddenChunk = 32;       // windows at a time, whole
constexpr int64_t kComponents = 128;      // of the pixels
constexpr int64_t kComponentRows = 1500;  // that they are fitted on

std::vector<int64_t> ToRows(const torch::Tensor& rows) {
  const torch::Tensor flat = rows.reshape({-1}).contiguous();
  return {flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel()};
}

// Stacks at half resolution, (n, 4 * 42 * 42) f32.
torch::Tensor HalfSizePixels(const data::EpisodeStore& store, const torch::Tensor& rows) {
  const std::vector<int64_t> list = ToRows(rows);
  torch::Tensor stacks = torch::empty(
      {rows.numel(), env::kStackDepth, env::kFrameSize, env::kFrameSize}, torch::kUInt8);
  store.ReadStacks(list, stacks.data_ptr<uint8_t>());
  return torch::avg_pool2d(stacks.to(torch::kFloat32) / 255, 2).flatten(1);
}

torch::Tensor PixelComponents(const data::EpisodeStore& store,
                              const PrincipalComponents& components, const torch::Tensor& rows) {
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& chunk : rows.reshape({-1}).split(kChunk)) {
    parts.push_back(components.Project(HalfSizePixels(store, chunk)));
  }
  return torch::cat(parts);
}

struct RowSets {
  torch::Tensor train, test;  // (B, W) rows of windows; only those from `first` on are used
  int64_t first = 0;
  torch::Tensor Used(const torch::Tensor& windows) const {
    return windows.slice(1, first).reshape({-1});
  }
};

RowSets ChooseRows(const GameArtefacts& game, const ProbeOptions& options) {
  int64_t length = 2 * options.context;
  if (!game.world_model.is_empty()) {
    length = std::min(length, game.world_model->options().max_steps);
  }
  const int64_t first = std::min(options.context, length - 1);
  const int64_t used = length - first;
  const auto starts = [&](const std::vector<data::EpisodeRange>& episodes, int64_t frames) {
    return SpreadWindowStarts(episodes, length, used, std::max<int64_t>(1, frames / used));
  };
  const auto train = starts(game.split.train, options.frames);
  const auto test = starts(game.split.validation, options.frames / 4);
  if (train.empty() || test.empty()) {
    return {};
  }
  return {WindowRows(train, length), WindowRows(test, length), first};
}

}  // namespace

ProbeVariables ChooseVariables(const data::EpisodeStore& store) {
  ProbeVariables chosen;
  const auto ram = store.ram();
  for (const env::RamLabel& label : env::RamLabels(store.info().game)) {
    std::array<int64_t, 256> counts{};
    for (int64_t row = 0; row < store.size(); ++row) {
      ++counts[ram[static_cast<size_t>(row * env::kRamBytes + label.byte)]];
    }
    ProbeVariable variable{label.name, label.byte, 0};
    for (const int64_t count : counts) {
      if (count > 0) {
        const double p = static_cast<double>(count) / static_cast<double>(store.size());
        variable.entropy -= p * std::log(p);
      }
    }
    (variable.entropy < kMinEntropy ? chosen.left_out : chosen.varying).push_back(variable);
  }
  return chosen;
}

torch::Tensor VariableValues(const data::EpisodeStore& store,
                             const std::vector<ProbeVariable>& variables,
                             const torch::Tensor& rows) {
  const auto ram = store.ram();
  std::vector<double> values;
  for (const int64_t row : ToRows(rows)) {
    for (const ProbeVariable& variable : variables) {
      values.push_back(ram[static_cast<size_t>(row * env::kRamBytes + variable.byte)]);
    }
  }
  std::vector<int64_t> shape = rows.sizes().vec();
  shape.push_back(static_cast<int64_t>(variables.size()));
  return torch::tensor(values, torch::kFloat64).view(shape);
}

Probes::Probes(ProbedRows fitted, ProbedRows judged)
    : fitted_(std::move(fitted)),
      judged_(std::move(judged)),
      variables_(ChooseVariables(*judged_.store)) {
  for (const bool balls : {false, true}) {
    Group group;
    group.balls = balls;
    for (const ProbeVariable& variable : variables_.varying) {
      if (variable.name.starts_with("ball") == balls) {
        group.variables.push_back(variable);
      }
    }
    if (!group.variables.empty()) {
      group.fitted_truth = Truth(group, fitted_);
      group.judged_truth = Truth(group, judged_);
      groups_.push_back(group);
    }
  }
}

// Of x (N, …), the rows that count for a group.
torch::Tensor Probes::Counting(const Group& group, const ProbedRows& rows, const torch::Tensor& x) {
  return group.balls && rows.ball_in_play.defined()
             ? x.index_select(0, rows.ball_in_play.nonzero().squeeze(1))
             : x;
}

torch::Tensor Probes::Truth(const Group& group, const ProbedRows& rows) {
  return Counting(group, rows, VariableValues(*rows.store, group.variables, rows.rows));
}

void Probes::Note(std::map<std::string, std::map<std::string, Quality>>& to, const std::string& of,
                  const Group& group, const FitQuality& fit) {
  for (size_t m = 0; m < group.variables.size(); ++m) {
    const auto i = static_cast<int64_t>(m);
    to[group.variables[m].name][of] = {
        .r2 = fit.r2[i].item<double>(),
        .mean_absolute_error = fit.mean_absolute_error[i].item<double>()};
  }
}

void Probes::Fit(const std::string& source, const torch::Tensor& fitted,
                 const torch::Tensor& judged) {
  for (Group& group : groups_) {
    if (InterruptRequested()) {
      throw Interrupted();
    }
    const RidgeModel& model = group.models[source] =
        FitRidge(Counting(group, fitted_, fitted), group.fitted_truth);
    Note(fits_, source, group,
         MeasureFit(model.Predict(Counting(group, judged_, judged)), group.judged_truth));
  }
}

void Probes::JudgeDreamed(const std::string& source, int64_t step, const torch::Tensor& features,
                          const ProbedRows& rows) {
  for (const Group& group : groups_) {
    Note(dreamed_, std::to_string(step), group,
         MeasureFit(group.models.at(source).Predict(Counting(group, rows, features)),
                    Truth(group, rows)));
  }
}

nlohmann::json Probes::ToJson() const {
  nlohmann::json object = {{"game", judged_.store->info().game},
                           {"train_rows", fitted_.rows.numel()},
                           {"test_rows", judged_.rows.numel()},
                           {"variables", nlohmann::json::array()},
                           {"left_out", nlohmann::json::array()}};
  std::map<std::string, std::vector<double>> r2;  // by source
  for (const ProbeVariable& variable : variables_.varying) {
    nlohmann::json row = {{"name", variable.name}, {"entropy", variable.entropy}};
    const auto add = [&](const auto& qualities, const char* key, const std::string& prefix) {
      const auto found = qualities.find(variable.name);
      if (found == qualities.end()) {
        return;
      }
      for (const auto& [source, quality] : found->second) {
        row[key][source] = {{"r2", quality.r2}, {"mae", quality.mean_absolute_error}};
        r2[prefix + source].push_back(quality.r2);
      }
    };
    add(fits_, "fits", "");
    add(dreamed_, "imagined", "imagined ");
    object["variables"].push_back(row);
  }
  for (const auto& [source, values] : r2) {
    object["median_r2"][source] = Median(values);
  }
  for (const ProbeVariable& variable : variables_.left_out) {
    object["left_out"].push_back({{"name", variable.name}, {"entropy", variable.entropy}});
  }
  return object;
}

namespace {

// Of the world model's hidden states, real and dreamed.
void ProbeHidden(const GameArtefacts& game, const ProbeOptions& options, const RowSets& rows,
                 Probes& probes) {
  const JudgedWorld judged = WorldOf(game, options.context);
  const JudgedEpisodes held_out = EpisodesOf(game, game.split.validation);
  const auto hidden = [&](const torch::Tensor& windows) {  // (B, W) -> (B (W - first), F)
    std::vector<torch::Tensor> parts;
    for (const auto& starts : Chunks(ToRows(windows.select(1, 0)), kHiddenChunk)) {
      if (InterruptRequested()) {
        throw Interrupted();
      }
      parts.push_back(judged.world->Observe(held_out.read(starts, windows.size(1)))
                          .hidden.slice(1, rows.first)
                          .flatten(0, 1)
                          .clone());
    }
    return torch::cat(parts);
  };
  probes.Fit("hidden", hidden(rows.train), hidden(rows.test));
  const int64_t longest =
      std::min(*std::max_element(options.dream_steps.begin(), options.dream_steps.end()),
               judged.world->options().max_steps - options.context);
  const auto starts = longest < 1 ? std::vector<int64_t>()
                                  : SpreadWindowStarts(held_out.ranges, options.context + longest,
                                                       longest, options.dream_windows);
  if (starts.empty()) {
    return;
  }
  std::vector<torch::Tensor> dreamed;  // of (b, H, F)
  for (const auto& chunk : Chunks(starts, kChunk)) {
    dreamed.push_back(
        DreamUnderRecordedActions(judged, held_out.read(chunk, options.context + longest), longest)
            .hidden);
  }
  const torch::Tensor all = torch::cat(dreamed);
  const torch::Tensor windows = WindowRows(starts, options.context + longest);
  for (const int64_t k : options.dream_steps) {
    if (k <= longest) {
      probes.JudgeDreamed(
          "hidden", k, all.select(1, k - 1),
          {.store = game.store, .rows = windows.select(1, options.context + k - 1)});
    }
  }
}

}  // namespace

nlohmann::json ProbeGame(const GameArtefacts& game, const ProbeOptions& options,
                         const SeedTree& seeds) {
  const torch::NoGradGuard no_grad;
  const RowSets rows = ChooseRows(game, options);
  if (!rows.train.defined()) {
    return nlohmann::json::object();
  }
  const torch::Tensor train_rows = rows.Used(rows.train);
  const torch::Tensor test_rows = rows.Used(rows.test);
  Probes probes({.store = game.store, .rows = train_rows},
                {.store = game.store, .rows = test_rows});
  if (probes.empty()) {
    return nlohmann::json::object();
  }

  // Baselines.
  torch::manual_seed(seeds.Stream("untrained encoder"));
  encoder::Encoder untrained;
  untrained->eval();
  const torch::Tensor raw_train = encoder::EmbedRows(untrained, *game.store, ToRows(train_rows));
  const torch::Tensor raw_test = encoder::EmbedRows(untrained, *game.store, ToRows(test_rows));
  probes.Fit("untrained", raw_train, raw_test);
  const int64_t every = std::max<int64_t>(1, train_rows.numel() / kComponentRows);
  const auto components = FitPrincipalComponents(
      HalfSizePixels(*game.store, train_rows.slice(0, 0, train_rows.numel(), every)), kComponents);
  probes.Fit("pixels", PixelComponents(*game.store, components, train_rows),
             PixelComponents(*game.store, components, test_rows));

  // What was learned.
  nlohmann::json correlation;
  if (game.embeddings.defined()) {
    const torch::Tensor test = TakeRows(game.embeddings, test_rows);
    probes.Fit("embedding", TakeRows(game.embeddings, train_rows), test);
    const torch::Tensor truth =
        VariableValues(*game.store, ChooseVariables(*game.store).varying, test_rows);
    const auto noise_seed = static_cast<int64_t>(seeds.Stream("noise") >> 1);
    torch::manual_seed(static_cast<uint64_t>(noise_seed));
    const auto mean_correlation = [&](const torch::Tensor& features) {
      return MaxAbsoluteCorrelation(features, truth).mean().item<double>();
    };
    correlation = {{"embedding", mean_correlation(test)},
                   {"untrained", mean_correlation(raw_test)},
                   {"noise", mean_correlation(torch::randn_like(test))}};
  }
  if (!game.quantizer.is_empty() && game.tokens != nullptr) {
    const auto decoded = [&](const torch::Tensor& of) {
      tokenizer::ResidualQuantizer quantizer = game.quantizer;
      return quantizer->Decode(TakeRows(game.tokens->tokens, of));
    };
    probes.Fit("codes", decoded(train_rows), decoded(test_rows));
  }
  if (!game.world_model.is_empty() && game.tokens != nullptr) {
    ProbeHidden(game, options, rows, probes);
  }
  nlohmann::json object = probes.ToJson();
  if (!correlation.is_null()) {
    object["correlation"] = correlation;
  }
  return object;
}

}  // namespace hidreamer::evaluation
