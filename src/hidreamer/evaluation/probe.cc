#include "hidreamer/evaluation/probe.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/encoder/embed.h"
#include "hidreamer/encoder/encoder.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/evaluation/ridge.h"
#include "hidreamer/imagination/open_loop.h"

namespace hidreamer::evaluation {
namespace {

constexpr int64_t kChunk = 256;           // windows or frames at a time
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

nlohmann::json FitJson(const FitQuality& fit, int64_t variable) {
  return {{"r2", fit.r2[variable].item<double>()},
          {"mae", fit.mean_absolute_error[variable].item<double>()}};
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

torch::Tensor HiddenStates(const GameArtefacts& game, const torch::Tensor& rows, int64_t first) {
  const torch::NoGradGuard no_grad;
  world_model::WorldModel model = game.world_model;
  const int64_t levels = model->options().layout.levels;
  const int64_t steps = rows.size(1);
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& chunk : rows.split(32)) {
    if (InterruptRequested()) {
      throw Interrupted();
    }
    const torch::Tensor hidden =
        model->Hidden(TakeRows(game.tokens->tokens, chunk), TakeRows(game.tokens->actions, chunk));
    parts.push_back(hidden.view({chunk.size(0), steps, levels + 1, -1})
                        .slice(2, 0, levels)
                        .slice(1, first)
                        .flatten(2)
                        .clone());
  }
  return torch::cat(parts);
}

nlohmann::json ProbeGame(const GameArtefacts& game, const ProbeOptions& options,
                         const SeedTree& seeds) {
  const torch::NoGradGuard no_grad;
  const ProbeVariables variables = ChooseVariables(*game.store);
  const RowSets rows = ChooseRows(game, options);
  if (variables.varying.empty() || !rows.train.defined()) {
    return nlohmann::json::object();
  }
  const torch::Tensor train_rows = rows.Used(rows.train);
  const torch::Tensor test_rows = rows.Used(rows.test);
  const torch::Tensor train_truth = VariableValues(*game.store, variables.varying, train_rows);
  const torch::Tensor test_truth = VariableValues(*game.store, variables.varying, test_rows);

  std::map<std::string, FitQuality> fits;
  const auto fit = [&](const std::string& source, const torch::Tensor& train,
                       const torch::Tensor& test) {
    if (InterruptRequested()) {
      throw Interrupted();
    }
    RidgeModel model = FitRidge(train, train_truth);
    fits[source] = MeasureFit(model.Predict(test), test_truth);
    return model;
  };
  nlohmann::json object = {
      {"game", game.game()}, {"train_rows", train_rows.numel()}, {"test_rows", test_rows.numel()}};

  // Baselines.
  torch::manual_seed(seeds.Stream("untrained encoder"));
  encoder::Encoder untrained;
  untrained->eval();
  const torch::Tensor raw_train = encoder::EmbedRows(untrained, *game.store, ToRows(train_rows));
  const torch::Tensor raw_test = encoder::EmbedRows(untrained, *game.store, ToRows(test_rows));
  fit("untrained", raw_train, raw_test);
  const int64_t every = std::max<int64_t>(1, train_rows.numel() / kComponentRows);
  const auto components = FitPrincipalComponents(
      HalfSizePixels(*game.store, train_rows.slice(0, 0, train_rows.numel(), every)), kComponents);
  fit("pixels", PixelComponents(*game.store, components, train_rows),
      PixelComponents(*game.store, components, test_rows));

  // What was learned.
  if (game.embeddings.defined()) {
    const torch::Tensor test = TakeRows(game.embeddings, test_rows);
    fit("embedding", TakeRows(game.embeddings, train_rows), test);
    const auto noise_seed = static_cast<int64_t>(seeds.Stream("noise") >> 1);
    torch::manual_seed(static_cast<uint64_t>(noise_seed));
    const auto mean_correlation = [&](const torch::Tensor& features) {
      return MaxAbsoluteCorrelation(features, test_truth).mean().item<double>();
    };
    object["correlation"] = {{"embedding", mean_correlation(test)},
                             {"untrained", mean_correlation(raw_test)},
                             {"noise", mean_correlation(torch::randn_like(test))}};
  }
  if (!game.quantizer.is_empty() && game.tokens != nullptr) {
    const auto decoded = [&](const torch::Tensor& of) {
      return game.quantizer->Decode(TakeRows(game.tokens->tokens, of));
    };
    fit("codes", decoded(train_rows), decoded(test_rows));
  }
  std::map<int64_t, FitQuality> imagined;
  if (!game.world_model.is_empty() && game.tokens != nullptr) {
    const RidgeModel probe = fit("hidden", HiddenStates(game, rows.train, rows.first).flatten(0, 1),
                                 HiddenStates(game, rows.test, rows.first).flatten(0, 1));
    const int64_t longest =
        std::min(*std::max_element(options.dream_steps.begin(), options.dream_steps.end()),
                 game.world_model->options().max_steps - options.context);
    const auto starts = longest < 1
                            ? std::vector<int64_t>()
                            : SpreadWindowStarts(game.split.validation, options.context + longest,
                                                 longest, options.dream_windows);
    if (!starts.empty()) {
      const torch::Tensor windows = WindowRows(starts, options.context + longest);
      std::vector<torch::Tensor> hidden;  // of (b, H, L*D)
      for (const torch::Tensor& chunk : windows.split(kChunk)) {
        hidden.push_back(
            imagination::DreamUnderActions(
                game.world_model, TakeRows(game.tokens->tokens, chunk.slice(1, 0, options.context)),
                TakeRows(game.tokens->actions, chunk.slice(1, 0, -1)), longest, {.temperature = 0})
                .hidden.flatten(2));
      }
      const torch::Tensor all = torch::cat(hidden);
      for (const int64_t k : options.dream_steps) {
        if (k <= longest) {
          imagined[k] = MeasureFit(probe.Predict(all.select(1, k - 1)),
                                   VariableValues(*game.store, variables.varying,
                                                  windows.select(1, options.context + k - 1)));
        }
      }
    }
  }

  for (size_t i = 0; i < variables.varying.size(); ++i) {
    const auto m = static_cast<int64_t>(i);
    nlohmann::json variable = {{"name", variables.varying[i].name},
                               {"entropy", variables.varying[i].entropy}};
    for (const auto& [source, quality] : fits) {
      variable["fits"][source] = FitJson(quality, m);
    }
    for (const auto& [k, quality] : imagined) {
      variable["imagined"][std::to_string(k)] = FitJson(quality, m);
    }
    object["variables"].push_back(variable);
  }
  for (const auto& [source, quality] : fits) {
    object["median_r2"][source] = quality.r2.median().item<double>();
  }
  for (const auto& [k, quality] : imagined) {
    object["median_r2"]["imagined " + std::to_string(k)] = quality.r2.median().item<double>();
  }
  object["left_out"] = nlohmann::json::array();
  for (const ProbeVariable& variable : variables.left_out) {
    object["left_out"].push_back({{"name", variable.name}, {"entropy", variable.entropy}});
  }
  return object;
}

}  // namespace hidreamer::evaluation
