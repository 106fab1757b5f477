// An online agent's run: its score while it learned, and its dream beside the game.
#include <fmt/format.h>

#include <algorithm>

#include "hidreamer/report/chart.h"
#include "hidreamer/report/html.h"
#include "hidreamer/report/sections.h"

namespace hidreamer::report {
namespace {

using nlohmann::json;

constexpr size_t kRunningGames = 10;  // averaged in the curve of training games

// `y` over `x`, each point the mean of the last kRunningGames.
Series RunningMean(const json& games) {
  Series series{.name = fmt::format("games played while learning, mean of {}", kRunningGames)};
  double sum = 0;
  for (size_t i = 0; i < games.size(); ++i) {
    sum += games[i].at("score").get<double>();
    if (i >= kRunningGames) {
      sum -= games[i - kRunningGames].at("score").get<double>();
    }
    series.x.push_back(games[i].at("step").get<double>());
    series.y.push_back(sum / static_cast<double>(std::min(i + 1, kRunningGames)));
  }
  return series;
}

std::string ScoreWithError(const json& score) {
  return FormatNumber(score.at("score").get<double>()) + " ± " +
         FormatNumber(score.at("score_error").get<double>());
}

}  // namespace

std::string LearningSection(const ReportData& data) {
  if (!data.curve.is_object()) {
    return Missing("The learning curve", "the agent has not finished yet");
  }
  const json& curve = data.curve;
  const std::string x_label = curve.value("over", "steps") == "updates"
                                  ? "updates of the policy"
                                  : "agent steps in the real game";
  const json games = curve.value("training_games", json::array());
  const json evaluations = curve.value("evaluations", json::array());
  if (games.empty() && evaluations.empty()) {
    return "<p>No games were played.</p>";
  }
  Series learned = RunningMean(games);
  Series scored{.name = "evaluations"};
  Table table{.header = {x_label, "score", "games"}, .numeric = {true, true, true}, .rows = {}};
  for (const json& point : evaluations) {
    scored.x.push_back(point.at("step").get<double>());
    scored.y.push_back(point.at("score").get<double>());
    table.rows.push_back({FormatNumber(point.at("step").get<double>()),
                          "<b>" + ScoreWithError(point) + "</b>",
                          FormatNumber(point.at("games").get<double>())});
  }
  std::string random_play;
  LineChart chart{.title = "Score of a game", .x_label = x_label, .series = {learned, scored}};
  if (const auto random = curve.find("random"); random != curve.end()) {
    const double score = random->at("score").get<double>();
    const double end = curve.value("steps", 0.0);
    chart.series.push_back(
        {.name = "random play", .x = {0, end}, .y = {score, score}, .baseline = true});
    table.rows.push_back(
        {"random play", ScoreWithError(*random), FormatNumber(random->at("games").get<double>())});
    random_play = fmt::format("; random play: {}", ScoreWithError(*random));
  }
  std::string out;
  if (!evaluations.empty()) {
    const bool done = !data.stages.empty() && data.stages.front().done;
    out = fmt::format("<p>Score of the {} policy on {}: <b>{}</b> in {} games{}.</p>",
                      done ? "final" : "newest", Escape(curve.value("game", "the game")),
                      ScoreWithError(evaluations.back()),
                      FormatNumber(evaluations.back().at("games").get<double>()), random_play);
  }
  return out + "<div class=\"plots\">" + RenderLineChart(chart) + "</div>" +
         (table.rows.empty() ? std::string() : RenderTable(table));
}

std::string AgentDreamSection(const ReportData& data) {
  if (data.dream_animation.empty()) {
    return Missing("A dream beside the game", "nothing has been dreamed yet (hidreamer dream)");
  }
  return FigureElement(
      ImageElement(data.dream_animation, "image/webp",
                   "the game, the game as the codes hold it, and the dream, moving"),
      "Left: a real game that the agent plays. Middle: the same frames drawn from their codes. "
      "Right: the dream. It begins where the game is and then sees no frame of it, only the "
      "actions.");
}

}  // namespace hidreamer::report
