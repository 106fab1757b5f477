#include "hidreamer/evaluation/open_loop_evaluation.h"

#include <algorithm>
#include <map>
#include <string>

#include "hidreamer/base/interrupt.h"
#include "hidreamer/evaluation/frame_lookup.h"
#include "hidreamer/evaluation/probe.h"
#include "hidreamer/evaluation/ridge.h"
#include "hidreamer/imagination/dreams.h"
#include "hidreamer/world_model/recorded_steps.h"

namespace hidreamer::evaluation {
namespace {

constexpr size_t kWindowChunk = 64;  // windows at a time
constexpr size_t kFrameChunk = 256;  // frames at a time
constexpr size_t kFewestRows = 10;   // that a probe is fitted on

std::vector<double> ToDoubles(const torch::Tensor& values) {
  const torch::Tensor flat = values.to(torch::kFloat64).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

int64_t Horizon(const world_model::World& world, int64_t steps) {
  return std::min(steps, world.options().max_steps - world.options().context);
}

// What a player has to keep an eye on.
std::vector<ProbeVariable> PositionVariables(const data::EpisodeStore& store) {
  std::vector<ProbeVariable> positions;
  for (const ProbeVariable& variable : ChooseVariables(store).varying) {
    if (variable.name.ends_with("_x") || variable.name.ends_with("_y")) {
      positions.push_back(variable);
    }
  }
  return positions;
}

// The next H steps' codes of the same B windows, by who says so: (B, H, P, L) int64.
using CodesOf = std::map<std::string, torch::Tensor>;

nlohmann::json WrongCodes(const CodesOf& predicted, const torch::Tensor& truth) {
  auto levels = nlohmann::json::array();
  for (int64_t level = 0; level < truth.size(3); ++level) {
    nlohmann::json curves;
    for (const auto& [name, codes] : predicted) {
      const auto wrong = codes.select(3, level).ne(truth.select(3, level));  // (B, H, P)
      curves[name] = ToDoubles(wrong.to(torch::kFloat64).mean(std::vector<int64_t>{0, 2}));
    }
    levels.push_back(curves);
  }
  return levels;
}

nlohmann::json PositionErrors(const JudgedWorld& judged, const JudgedEpisodes& fit,
                              const JudgedEpisodes& held_out, const CodesOf& codes,
                              const torch::Tensor& rows, int64_t probe_frames) {  // rows (B, H)
  auto errors = nlohmann::json::object();
  const auto variables = PositionVariables(*held_out.store);
  const auto fitted = SpreadWindowStarts(fit.ranges, 1, 1, probe_frames);
  if (variables.empty() || fitted.size() < kFewestRows) {
    return errors;
  }
  std::vector<torch::Tensor> features;
  for (const auto& chunk : Chunks(fitted, kFrameChunk)) {
    features.push_back(judged.features(fit.read(chunk, 1).codes.flatten(0, 1)));
  }
  const RidgeModel model =
      FitRidge(torch::cat(features), VariableValues(*fit.store, variables, torch::tensor(fitted)));
  const torch::Tensor values = VariableValues(*held_out.store, variables, rows);  // (B, H, M)
  for (const auto& [name, of] : codes) {
    const auto read = model.Predict(judged.features(of.flatten(0, 1))).view(values.sizes());
    const torch::Tensor error = (read - values).abs().mean(0);  // (H, M)
    for (size_t m = 0; m < variables.size(); ++m) {
      errors[variables[m].name][name] = ToDoubles(error.select(1, static_cast<int64_t>(m)));
    }
  }
  return errors;
}

}  // namespace

JudgedWorld WorldOf(const GameArtefacts& game, int64_t context) {
  const auto world = std::make_shared<world_model::TokenWorld>(
      game.world_model, /*value_channels=*/1, context, game.world_model->options().max_steps);
  world->eval();
  return {.world = world,
          .values = world_model::NoValues,
          .features = [quantizer = game.quantizer](const torch::Tensor& codes) mutable {
            return quantizer->Decode(codes.flatten(1));
          }};
}

JudgedEpisodes EpisodesOf(const GameArtefacts& game,
                          const std::vector<data::EpisodeRange>& ranges) {
  return {.store = game.store,
          .ranges = ranges,
          .read = [tokens = game.tokens](const std::vector<int64_t>& starts, int64_t length) {
            return world_model::ReadSteps(*tokens, WindowRows(starts, length));
          }};
}

world_model::OpenLoop DreamUnderRecordedActions(const JudgedWorld& judged,
                                                const world_model::Steps& windows, int64_t steps,
                                                bool shuffled) {
  torch::NoGradGuard no_grad;
  const int64_t context = judged.world->options().context;
  const auto actions = windows.actions.narrow(1, context - 1, steps);
  return world_model::RunOpenLoop(*judged.world, windows.Between(0, context),
                                  shuffled ? actions.roll(1, 0) : actions, judged.values,
                                  /*temperature=*/0);
}

nlohmann::json MeasureOpenLoop(const JudgedWorld& judged, const JudgedEpisodes& fit,
                               const JudgedEpisodes& held_out, const OpenLoopOptions& options) {
  torch::NoGradGuard no_grad;
  const int64_t context = judged.world->options().context;
  const int64_t steps = Horizon(*judged.world, options.steps);
  const auto starts =
      steps < 1 ? std::vector<int64_t>()
                : SpreadWindowStarts(held_out.ranges, context + steps, 1, options.windows);
  if (starts.empty()) {
    return nlohmann::json::object();
  }
  std::map<std::string, std::vector<torch::Tensor>> parts;
  for (const auto& chunk : Chunks(starts, kWindowChunk)) {
    if (InterruptRequested()) {
      throw Interrupted();
    }
    const auto windows = held_out.read(chunk, context + steps);
    const auto truth = windows.codes.narrow(1, context, steps);
    parts["floor"].push_back(truth);
    parts["model"].push_back(DreamUnderRecordedActions(judged, windows, steps).codes);
    parts["shuffled"].push_back(
        DreamUnderRecordedActions(judged, windows, steps, /*shuffled=*/true).codes);
    parts["copy"].push_back(windows.codes.narrow(1, context - 1, 1).expand_as(truth));
  }
  CodesOf codes;
  for (const auto& [name, part] : parts) {
    codes[name] = torch::cat(part);
  }
  const torch::Tensor rows = WindowRows(starts, context + steps).narrow(1, context, steps);
  const nlohmann::json probe =
      PositionErrors(judged, fit, held_out, codes, rows, options.probe_frames);
  const torch::Tensor truth = codes.extract("floor").mapped();
  return {{"game", held_out.store->info().game},
          {"windows", starts.size()},
          {"context", context},
          {"steps", steps},
          {"levels", WrongCodes(codes, truth)},
          {"probe", probe}};
}

nlohmann::json DreamPictures(const GameArtefacts& game, int64_t context, int64_t steps,
                             const SeedTree& seeds) {
  const torch::NoGradGuard no_grad;
  const JudgedWorld judged = WorldOf(game, context);
  const int64_t horizon = Horizon(*judged.world, steps);
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
  const torch::Tensor rows = all[liveliest];  // (C + H)
  const auto window = EpisodesOf(game, game.split.validation)
                          .read({starts[static_cast<size_t>(liveliest)]}, context + horizon);
  const auto& layout = judged.world->options().layout;
  Rng rng = seeds.Generator("dream pictures");
  const auto dream = world_model::RunOpenLoop(
      *judged.world, window.Between(0, context), window.actions.narrow(1, context - 1, horizon),
      judged.values, /*temperature=*/1,
      imagination::Uniforms({horizon, 1, layout.places, layout.levels}, rng));
  const FrameLookup lookup(*game.tokens, game.quantizer, game.split.train);
  const FrameLookup::Match match = lookup.Find(dream.codes[0].flatten(1));
  const auto list = [](const torch::Tensor& of) {
    const torch::Tensor flat = of.contiguous();
    return std::vector<int64_t>(flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel());
  };
  return {{"game", game.game()},
          {"context_rows", list(rows.slice(0, 0, context))},
          {"truth_rows", list(rows.slice(0, context))},
          {"dream_rows", match.rows},
          {"exact", std::count(match.exact.begin(), match.exact.end(), true)}};
}

}  // namespace hidreamer::evaluation
