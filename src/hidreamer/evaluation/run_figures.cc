// Figures out of the parts' JSON.
#include <fmt/format.h>

#include "hidreamer/evaluation/run_parts.h"

namespace hidreamer::evaluation {
namespace {

using nlohmann::json;

std::optional<double> Number(const json& object, const char* key, double factor = 1) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? std::optional(factor * found->get<double>())
                                                     : std::nullopt;
}

}  // namespace

std::vector<Figure> EmbeddingFigures(const json& part) {
  std::vector<Figure> figures;
  for (const auto& [game, metrics] : part.items()) {
    if (!metrics.is_object() || !metrics.contains("trained")) {
      continue;
    }
    const json& trained = metrics["trained"];
    const json untrained = metrics.value("untrained", json::object());
    const bool joint = game == "all games";
    figures.push_back({.name = "temporal consistency, " + game,
                       .value = Number(trained, "temporal_consistency"),
                       .baseline = Number(untrained, "temporal_consistency"),
                       .baseline_name = "untrained encoder",
                       .split = "episode",
                       .text_figure = joint ? "0.22" : "0.260",
                       .note = "distance of consecutive / of random frames; lower: smoother"});
    figures.push_back({.name = "embedding diversity, " + game,
                       .value = Number(trained, "diversity"),
                       .baseline = Number(untrained, "diversity"),
                       .baseline_name = "untrained encoder",
                       .split = "episode",
                       .text_figure = joint ? "" : "1.411",
                       .note = "mean distance of random frames; 1.414: directions at random"});
    if (joint) {
      figures.push_back({.name = "embedding norm, " + game,
                         .value = Number(trained, "mean_norm"),
                         .split = "episode",
                         .text_figure = "1.0",
                         .note = "1 by construction"});
    }
  }
  return figures;
}

std::vector<Figure> CodesFigures(const json& part) {
  static const char* const kTextPerplexities[] = {"240", "229", "228"};
  std::vector<Figure> figures;
  const auto add = [&](const std::string& who, const json& level, const std::string& perplexity,
                       const std::string& smoothness) {
    figures.push_back({.name = "codes used, " + who,
                       .value = Number(level, "used"),
                       .text_figure = "256 of 256"});
    figures.push_back({.name = "perplexity, " + who,
                       .value = Number(level, "perplexity"),
                       .text_figure = perplexity});
    figures.push_back({.name = "smoothness, " + who,
                       .value = Number(level, "smoothness"),
                       .baseline = Number(level, "chance_smoothness"),
                       .baseline_name = "shuffled in time",
                       .text_figure = smoothness});
  };
  if (part.contains("single_vq")) {
    add("single VQ", part["single_vq"], "240", "0.811");
  }
  size_t index = 0;
  for (const json& level : part.value("levels", json::array())) {
    if (level.contains("all")) {
      add(fmt::format("L{}", index), level["all"], index < 3 ? kTextPerplexities[index] : "", "");
    }
    ++index;
  }
  return figures;
}

std::vector<Figure> ProbeFigures(const json& part) {
  std::vector<Figure> figures;
  if (!part.contains("median_r2")) {
    return figures;
  }
  const std::string game = part.value("game", "");
  const json& medians = part["median_r2"];
  const bool baselines = medians.contains("pixels");
  for (const char* source : {"embedding", "codes", "values", "hidden", "imagined 5"}) {
    if (medians.contains(source)) {
      figures.push_back({.name = fmt::format("probe R2 ({}), {}", source, game),
                         .value = Number(medians, source),
                         .baseline = Number(medians, "pixels"),
                         .baseline_name = baselines ? "PCA of pixels" : "",
                         .split = "episode",
                         .note = fmt::format("median of {} variables",
                                             part.value("variables", json::array()).size()) +
                                 (baselines ? fmt::format("; untrained encoder {:.2f}",
                                                          medians.value("untrained", 0.0))
                                            : "")});
    }
  }
  if (part.contains("correlation")) {
    figures.push_back(
        {.name = "game-state correlation, " + game,
         .value = Number(part["correlation"], "embedding"),
         .baseline = Number(part["correlation"], "noise"),
         .baseline_name = "random numbers",
         .split = "episode",
         .text_figure = "0.267",
         .note = fmt::format("a maximum over the dimensions; untrained encoder {:.2f}",
                             part["correlation"].value("untrained", 0.0))});
  }
  return figures;
}

std::vector<Figure> PredictionFigures(const json& part) {
  static const char* const kText[] = {"99.7 %", "98.3 %", "98.5 %"};
  std::vector<Figure> figures;
  const std::string split = part.value("split", "episode");
  size_t index = 0;
  for (const json& level : part.value("levels", json::array())) {
    figures.push_back({.name = fmt::format("accuracy of the next codes, L{}", index),
                       .value = Number(level, "accuracy", 100),
                       .unit = "%",
                       .baseline = Number(level, "copy_accuracy", 100),
                       .baseline_name = "copy-previous",
                       .split = split,
                       .text_figure = index < 3 ? kText[index] : ""});
    const auto successor = Number(level, "successor_changed_accuracy", 100);
    figures.push_back({.name = fmt::format("accuracy on changed codes, L{}", index),
                       .value = Number(level, "changed_accuracy", 100),
                       .unit = "%",
                       .baseline = successor.value_or(0),
                       .baseline_name = successor ? "most frequent successor" : "copy-previous",
                       .split = split,
                       .note = "copy-previous: 0 by definition"});
    figures.push_back({.name = fmt::format("calibration error, L{}", index),
                       .value = Number(level, "ece"),
                       .split = split});
    ++index;
  }
  return figures;
}

std::vector<Figure> OpenLoopFigures(const json& part) {
  std::vector<Figure> figures;
  const std::string game = part.value("game", "");
  const auto at = [](const json& curves, const char* key, size_t k) -> std::optional<double> {
    const json values = curves.value(key, json::array());
    return k <= values.size() ? std::optional(values[k - 1].get<double>()) : std::nullopt;
  };
  const json levels = part.value("levels", json::array());
  for (const size_t k : {1, 5, 15, 45}) {
    if (!levels.empty() && at(levels[0], "model", k)) {
      figures.push_back({.name = fmt::format("wrong L0 codes after {} dreamed steps, {}", k, game),
                         .value = 100 * *at(levels[0], "model", k),
                         .unit = "%",
                         .baseline = 100 * at(levels[0], "copy", k).value_or(0),
                         .baseline_name = "repeat last",
                         .split = "episode",
                         .note = fmt::format("{:.0f} % under shuffled actions",
                                             100 * at(levels[0], "shuffled", k).value_or(0))});
    }
  }
  return figures;
}

std::vector<Figure> OutcomesFigures(const json& part) {
  std::vector<Figure> figures;
  const std::string game = part.value("game", "");
  for (const json& row : part.value("classes", json::array())) {
    figures.push_back(
        {.name = fmt::format("F1 of {}, {}", row.value("name", ""), game),
         .value = Number(row, "f1"),
         .split = "episode",
         .note = fmt::format("{} in the held-out windows", row.value("count", int64_t{0}))});
  }
  return figures;
}

std::vector<Figure> ReturnsFigures(const json& part) {
  return {{.name = "dream return, " + part.value("game", ""),
           .value = Number(part, "dream_mean"),
           .unit = "points",
           .baseline = Number(part, "real_mean"),
           .baseline_name = "real return",
           .note = fmt::format("of the same policy over {} steps from {} real states; correlation "
                               "{:.2f}",
                               part.value("horizon", int64_t{0}), part.value("starts", int64_t{0}),
                               part.value("correlation", 0.0))}};
}

std::vector<Figure> PlayFigures(const json& part) {
  const bool measured = part.contains("random_measured");
  const auto cut_off = part.value("cut_off", int64_t{0});
  const json random = part.value(measured ? "random_measured" : "random_recorded", json::object());
  return {
      {.name = fmt::format("score, {} ({})", part.value("game", ""), part.value("protocol", "")),
       .value = Number(part, "mean"),
       .unit = "points",
       .baseline = Number(random, "mean"),
       .baseline_name = measured ? "random policy" : "random policy, recorded",
       .text_figure = "none",
       .note = fmt::format(
           "{} games, {}, standard error {:.2f}", part.value("count", int64_t{0}),
           cut_off == 0 ? std::string("all whole") : fmt::format("{} of them cut off", cut_off),
           part.value("standard_error", 0.0))}};
}

}  // namespace hidreamer::evaluation
