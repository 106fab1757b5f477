#include "hidreamer/agent/evaluate_agent.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/data/collect.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/evaluation/agent_parts.h"
#include "hidreamer/evaluation/parts.h"
#include "hidreamer/evaluation/run_parts.h"
#include "hidreamer/imagination/player.h"
#include "hidreamer/policy/action_distribution.h"

namespace hidreamer::agent {
namespace {

using evaluation::Figure;
using evaluation::Part;
using nlohmann::json;

constexpr const char* kWeights = "agent/model.safetensors";

Figure Above(Figure figure, double asked) {
  figure.asked = fmt::format("above {:g}", asked);
  figure.holds = figure.value && *figure.value > asked;
  return figure;
}

// What the text reports is of other codes than an agent's.
std::vector<Figure> WithoutText(std::vector<Figure> figures) {
  for (Figure& figure : figures) {
    figure.text_figure.clear();
  }
  return figures;
}

std::vector<Figure> CodesFigures(const json& part) {
  return WithoutText(evaluation::CodesFigures(part));
}

std::vector<Figure> PredictionFigures(const json& part) {
  return WithoutText(evaluation::PredictionFigures(part));
}

std::vector<Figure> ProbeFigures(const json& part) {
  constexpr double kAsked = 0.95;
  std::vector<Figure> figures = evaluation::ProbeFigures(part);
  for (const json& variable : part.at("variables")) {
    const auto name = variable.at("name").get<std::string>();
    Figure figure{.name = fmt::format("probe R2 (codes), {}", name),
                  .value = variable.at("fits").at("codes").at("r2").get<double>(),
                  .note = fmt::format("of their values {:.3f}",
                                      variable.at("fits").at("values").at("r2").get<double>())};
    const bool position = name.ends_with("_x") || name.ends_with("_y");
    figures.push_back(position ? Above(figure, kAsked) : figure);
  }
  return figures;
}

std::vector<Figure> OutcomesFigures(const json& part) {
  constexpr double kAsked = 0.8;
  std::vector<Figure> figures = evaluation::OutcomesFigures(part);
  for (Figure& figure : figures) {
    if (figure.name.starts_with("F1 of any reward")) {
      figure = Above(figure, kAsked);
    }
  }
  return figures;
}

std::vector<Figure> OpenLoopFigures(const json& part) {
  constexpr size_t kSteps = 10;
  std::vector<Figure> figures = evaluation::OpenLoopFigures(part);
  for (const auto& [variable, curves] : part.at("probe").items()) {
    const auto at = [&, &curve = curves](const char* name) {
      return curve.at(name).at(std::min(kSteps, curve.at(name).size()) - 1).get<double>();
    };
    figures.push_back(
        {.name = fmt::format("error after {} dreamed steps, {}", kSteps, variable),
         .value = at("model"),
         .unit = "RAM units",
         .baseline = at("copy"),
         .baseline_name = "repeat last",
         .note = fmt::format("{:.1f} under shuffled actions; {:.1f} read from the true codes",
                             at("shuffled"), at("floor"))});
  }
  return figures;
}

std::vector<Figure> SightFigures(const json& part) {
  std::vector<Figure> figures = {
      Above({.name = "ball within 2 px in the decoded picture",
             .value = part.at("within_2px").get<double>(),
             .baseline = part.at("within_2px_in_the_true_picture").get<double>(),
             .baseline_name = "in the true picture"},
            0.97)};
  const std::vector<double> asked = {0.9, 0.75, 0.6};
  size_t i = 0;
  for (const json& row : part.at("dreamed")) {
    const auto k = row.at("k").get<int64_t>();
    figures.push_back(Above({.name = fmt::format("ball within 2 px after {} dreamed steps", k),
                             .value = row.at("ball_within_2px").get<double>(),
                             .baseline = row.at("ball_straight_line").get<double>(),
                             .baseline_name = "straight line"},
                            asked.at(i++)));
    Figure paddle{.name = fmt::format("error of the paddle after {} dreamed steps", k),
                  .value = row.at("paddle_error_px").get<double>(),
                  .unit = "px",
                  .baseline = row.at("paddle_error_shuffled_px").get<double>(),
                  .baseline_name = "shuffled actions",
                  .asked = "below shuffled actions"};
    paddle.holds = *paddle.value < *paddle.baseline;
    figures.push_back(paddle);
  }
  return figures;
}

std::vector<Figure> ReturnsFigures(const json& part) {
  constexpr double kShare = 0.3;
  std::vector<Figure> figures = evaluation::ReturnsFigures(part);
  Figure& figure = figures.front();
  figure.asked = "within 30 % of the real one";
  figure.holds = std::abs(*figure.value - *figure.baseline) <= kShare * std::abs(*figure.baseline);
  return figures;
}

// Two recordings of the agent's own play that it has not learned from.
struct Recordings {
  std::filesystem::path fit, held_out;
};
Recordings Record(const std::filesystem::path& run, const AgentModels& models,
                  const EvaluateOptions& options) {
  const Recordings own = {run / "evaluation/played/fit", run / "evaluation/played/held_out"};
  std::filesystem::create_directories(run / "evaluation/played");
  uint64_t seed = options.measure.seed;
  for (const auto& path : {own.fit, own.held_out}) {
    ++seed;
    const auto store = path / "store.json";
    if (std::filesystem::exists(store) &&
        std::filesystem::last_write_time(store) >
            std::filesystem::last_write_time(run / kWeights) &&
        data::EpisodeStore(path).size() == options.recorded_steps) {
      continue;
    }
    imagination::Player player(models.ptr(), /*temperature=*/1);
    data::CollectEpisodes({.game = models->options().game,
                           .protocol = options.protocol,
                           .steps = options.recorded_steps,
                           .seed = SeedTree(seed).Stream("evaluate/played")},
                          player, path);
  }
  return own;
}

}  // namespace

std::vector<Figure> EvaluateAgent(const std::filesystem::path& run,
                                  const EvaluateOptions& options) {
  AgentModels models = LoadAgentModels(run);
  const std::string& game = models->options().game;
  const MeasureOptions& measure = options.measure;
  const auto wanted = [&](Part part) {
    return std::find(options.parts.begin(), options.parts.end(), part) != options.parts.end();
  };
  const bool own_play = options.held_out.empty();
  if (!own_play) {
    for (const auto& path : {options.fit, options.held_out}) {
      if (const std::string of = data::EpisodeStore(path).info().game; of != game) {
        throw UserError("", "{} is a recording of {}, not of {}", path.string(), of, game);
      }
    }
  }
  env::MakeEnvironment(game, options.protocol);  // tells at once of a ROM that is missing
  EnsureWritableDirectory(run / "evaluation");
  evaluation::Parts parts(run);
  const json seed = {{"seed", measure.seed}, {"protocol", options.protocol}};
  if (wanted(Part::kPlay) && options.episodes > 0) {
    json settings = seed;
    settings["episodes"] = options.episodes;
    settings["temperature"] = policy::kScoringTemperature;
    parts.Measure(
        "play_" + game + "_" + options.protocol, {kWeights}, settings,
        [&] {
          return evaluation::MeasurePlay(
              models.ptr(), [&] { return env::MakeEnvironment(game, options.protocol); },
              {.episodes = options.episodes, .seed = SeedTree(measure.seed).Stream("evaluate")});
        },
        evaluation::PlayFigures);
  }
  const Recordings recordings =
      own_play ? Record(run, models, options) : Recordings{options.fit, options.held_out};
  const data::EpisodeStore fit(recordings.fit), held_out(recordings.held_out);
  json settings = seed;
  settings.update({{"fit", own_play ? "own play" : RealPath(recordings.fit).string()},
                   {"held_out", own_play ? "own play" : RealPath(recordings.held_out).string()},
                   {"recorded_steps", options.recorded_steps},
                   {"frames", measure.frames},
                   {"windows", measure.windows},
                   {"steps", measure.steps},
                   {"temperature", measure.temperature}});
  const auto measured = [&](const std::string& name, const std::function<json()>& work,
                            evaluation::Parts::FigureMaker figures) {
    parts.Measure(
        name, {kWeights, RealPath(recordings.fit).string(), RealPath(recordings.held_out).string()},
        settings, work, figures);
  };
  if (wanted(Part::kCodes)) {
    measured(
        "codes", [&] { return MeasureCodes(models, held_out, measure); }, CodesFigures);
  }
  if (wanted(Part::kProbe)) {
    measured(
        "probe_" + game, [&] { return ProbeCodes(models, fit, held_out, measure); }, ProbeFigures);
  }
  std::optional<OneStep> one_step;
  const auto measure_one_step = [&]() -> const OneStep& {
    return one_step ? *one_step : one_step.emplace(MeasureOneStep(models, held_out, measure));
  };
  if (wanted(Part::kPrediction)) {
    measured(
        "prediction", [&] { return measure_one_step().prediction; }, PredictionFigures);
  }
  if (wanted(Part::kOutcomes)) {
    measured(
        "outcomes_" + game, [&] { return measure_one_step().outcomes; }, OutcomesFigures);
  }
  if (wanted(Part::kOpenLoop)) {
    measured(
        "open_loop_" + game, [&] { return MeasureOpenLoop(models, fit, held_out, measure); },
        OpenLoopFigures);
    if (game == "pong") {
      measured(
          "sight_pong", [&] { return MeasurePongSight(models, held_out, measure); }, SightFigures);
    }
  }
  if (wanted(Part::kOutcomes) && own_play) {
    measured(
        "returns_" + game,
        [&] {
          const auto& world = models->options().world_model;
          return evaluation::MeasureDreamReturn(
              *models, held_out,
              {.starts = 4 * measure.windows,
               .horizon = std::min(measure.steps, world.max_steps - world.context),
               .temperature = measure.temperature,
               .seed = measure.seed});
        },
        ReturnsFigures);
  }
  return parts.figures();
}

}  // namespace hidreamer::agent
