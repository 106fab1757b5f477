#include "hidreamer/evaluation/open_loop_evaluation.h"

#include <algorithm>
#include <map>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/evaluation/frame_lookup.h"
#include "hidreamer/evaluation/probe.h"
#include "hidreamer/evaluation/ridge.h"
#include "hidreamer/imagination/open_loop.h"

namespace hidreamer::evaluation {
namespace {

constexpr int64_t kWindowChunk = 64;  // windows at a time

std::vector<double> ToDoubles(const torch::Tensor& values) {
  const torch::Tensor flat = values.to(torch::kFloat64).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

int64_t Horizon(const GameArtefacts& game, int64_t context, int64_t steps) {
  return std::min(steps, game.world_model->options().max_steps - context);
}

// The window's actions from the last real step on are another window's.
torch::Tensor ShuffleFutureActions(const torch::Tensor& actions, int64_t context,
                                   const SeedTree& seeds) {
  Rng rng = seeds.Generator("shuffled actions");
  const torch::Tensor order = torch::tensor(rng.Permutation(actions.size(0)), torch::kInt64);
  torch::Tensor shuffled = actions.clone();
  shuffled.slice(1, context - 1).copy_(actions.index_select(0, order).slice(1, context - 1));
  return shuffled;
}

torch::Tensor DreamTokens(const GameArtefacts& game, const torch::Tensor& tokens,
                          const torch::Tensor& actions, int64_t horizon) {
  std::vector<torch::Tensor> parts;
  for (int64_t begin = 0; begin < tokens.size(0); begin += kWindowChunk) {
    if (InterruptRequested()) {
      throw Interrupted();
    }
    parts.push_back(imagination::DreamUnderActions(
                        game.world_model, tokens.slice(0, begin, begin + kWindowChunk),
                        actions.slice(0, begin, begin + kWindowChunk), horizon, {.temperature = 0})
                        .tokens);
  }
  return torch::cat(parts);
}

}  // namespace

std::vector<ProbeVariable> PositionVariables(const data::EpisodeStore& store) {
  std::vector<ProbeVariable> positions;
  for (const ProbeVariable& variable : ChooseVariables(store).varying) {
    if (variable.name.ends_with("_x") || variable.name.ends_with("_y")) {
      positions.push_back(variable);
    }
  }
  return positions;
}

nlohmann::json ScoreOpenLoop(const OpenLoopCodes& codes, const PositionProbe& probe,
                             const torch::Tensor& values) {
  const torch::Tensor& truth = codes.truth;
  nlohmann::json object = {{"levels", nlohmann::json::array()},
                           {"probe", nlohmann::json::object()}};
  for (int64_t level = 0; level < truth.size(-1); ++level) {
    nlohmann::json curves;
    for (const auto& [name, predicted] : codes.predicted) {
      const auto wrong = predicted.select(-1, level).ne(truth.select(-1, level));
      curves[name] = ToDoubles(wrong.flatten(1)
                                   .view({truth.size(0), truth.size(1), -1})
                                   .to(torch::kFloat64)
                                   .mean(std::vector<int64_t>{0, 2}));
    }
    object["levels"].push_back(curves);
  }
  if (probe.variables.empty()) {
    return object;
  }
  auto judged = codes.predicted;
  judged["floor"] = truth;
  for (const auto& [name, predicted] : judged) {
    const torch::Tensor read =
        probe.model.Predict(probe.features(predicted.flatten(0, 1))).view(values.sizes());
    const torch::Tensor error = (read - values).abs().mean(0);  // (H, M)
    for (size_t m = 0; m < probe.variables.size(); ++m) {
      object["probe"][probe.variables[m].name][name] =
          ToDoubles(error.select(1, static_cast<int64_t>(m)));
    }
  }
  return object;
}

nlohmann::json EvaluateOpenLoop(const GameArtefacts& game, const OpenLoopOptions& options,
                                const SeedTree& seeds) {
  const torch::NoGradGuard no_grad;
  const int64_t context = options.context;
  const int64_t horizon = Horizon(game, context, options.steps);
  const auto starts = horizon < 1 ? std::vector<int64_t>()
                                  : SpreadWindowStarts(game.split.validation, context + horizon, 1,
                                                       options.windows);
  if (starts.empty()) {
    return nlohmann::json::object();
  }
  const torch::Tensor rows = WindowRows(starts, context + horizon);
  const torch::Tensor tokens = TakeRows(game.tokens->tokens, rows);  // (B, C+H, L)
  const torch::Tensor actions = TakeRows(game.tokens->actions, rows.slice(1, 0, -1));
  const torch::Tensor real = tokens.slice(1, 0, context);
  const torch::Tensor truth = tokens.slice(1, context);  // (B, H, L)
  const OpenLoopCodes codes = {
      .truth = truth,
      .predicted = {
          {"model", DreamTokens(game, real, actions, horizon)},
          {"shuffled",
           DreamTokens(game, real, ShuffleFutureActions(actions, context, seeds), horizon)},
          {"copy", tokens.slice(1, context - 1, context).expand_as(truth)}}};
  PositionProbe probe{.variables = PositionVariables(*game.store), .model = {}, .features = {}};
  const auto fitted = SpreadWindowStarts(game.split.train, 1, 1, options.probe_frames);
  if (fitted.size() < 10) {
    probe.variables.clear();
  }
  torch::Tensor values;  // (B, H, M)
  if (!probe.variables.empty()) {
    const torch::Tensor fitted_rows = torch::tensor(fitted, torch::kInt64);
    probe.features = [&](const torch::Tensor& of) { return game.quantizer->Decode(of); };
    probe.model = FitRidge(probe.features(game.tokens->tokens.index_select(0, fitted_rows)),
                           VariableValues(*game.store, probe.variables, fitted_rows));
    values = VariableValues(*game.store, probe.variables, rows.slice(1, context));
  }
  nlohmann::json object = ScoreOpenLoop(codes, probe, values);
  object["game"] = game.game();
  object["windows"] = starts.size();
  object["context"] = context;
  object["steps"] = horizon;
  return object;
}

nlohmann::json DreamPictures(const GameArtefacts& game, int64_t context, int64_t steps,
                             const SeedTree& seeds) {
  const torch::NoGradGuard no_grad;
  const int64_t horizon = Horizon(game, context, steps);
  const auto starts = horizon < 1
                          ? std::vector<int64_t>()
                          : SpreadWindowStarts(game.split.validation, context + horizon, 1, 64);
  if (starts.empty()) {
    return nlohmann::json::object();
  }
  const torch::Tensor all = WindowRows(starts, context + horizon);
  const torch::Tensor coarse = TakeRows(game.tokens->tokens, all).select(2, 0).slice(1, context);
  const int64_t liveliest =
      coarse.slice(1, 1).ne(coarse.slice(1, 0, -1)).sum(1).argmax().item<int64_t>();
  const torch::Tensor rows = all.slice(0, liveliest, liveliest + 1);  // (1, C+H)
  const auto dream = imagination::DreamUnderActions(
      game.world_model, TakeRows(game.tokens->tokens, rows.slice(1, 0, context)),
      TakeRows(game.tokens->actions, rows.slice(1, 0, -1)), horizon,
      {.seed = seeds.Stream("dream pictures")});
  const FrameLookup lookup(*game.tokens, game.quantizer, game.split.train);
  const FrameLookup::Match match = lookup.Find(dream.tokens[0]);
  const auto list = [](const torch::Tensor& of) {
    const torch::Tensor flat = of.contiguous();
    return std::vector<int64_t>(flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel());
  };
  return {{"game", game.game()},
          {"context_rows", list(rows[0].slice(0, 0, context))},
          {"truth_rows", list(rows[0].slice(0, context))},
          {"dream_rows", match.rows},
          {"exact", std::count(match.exact.begin(), match.exact.end(), true)}};
}

}  // namespace hidreamer::evaluation
