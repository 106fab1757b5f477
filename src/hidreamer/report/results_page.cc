#include "hidreamer/report/results_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "hidreamer/report/chart.h"
#include "hidreamer/report/html.h"
#include "hidreamer/report/sections.h"

namespace hidreamer::report {
namespace {

constexpr int kProfilePoints = 200;

std::string WithInterval(double value, const evaluation::Interval& interval) {
  return fmt::format("{} <small>[{}, {}]</small>", FormatNumber(value), FormatNumber(interval.low),
                     FormatNumber(interval.high));
}

std::string ByGame(const evaluation::Results& results) {
  Table table{.header = {"game", "setting", "seeds", "games", "mean ± error", "each seed", "median",
                         "IQM, 95 %", "human-normalised", "training"},
              .numeric = {false, false, true, true, true, true, true, true, true, true},
              .rows = {}};
  for (const evaluation::GameResult& row : results.by_game) {
    std::vector<std::string> means;
    for (const double mean : row.means) {
      means.push_back(FormatNumber(mean));
    }
    table.rows.push_back(
        {Escape(row.game), Escape(row.setting), fmt::format("{}", fmt::join(row.seeds, ", ")),
         FormatNumber(static_cast<double>(row.games)),
         fmt::format("<b>{}</b> ± {}", FormatNumber(row.mean), FormatNumber(row.error)),
         fmt::format("{}", fmt::join(means, ", ")), FormatNumber(row.median),
         WithInterval(row.iqm, row.interval), FormatNumber(row.human_normalized),
         row.minutes > 0 ? FormatNumber(row.minutes) + " min" : "–"});
  }
  return RenderTable(table);
}

std::string BySetting(const evaluation::Results& results) {
  Table table{.header = {"setting", "games", "mean, 95 %", "median, 95 %", "IQM, 95 %"},
              .numeric = {false, false, true, true, true},
              .rows = {}};
  for (const evaluation::SettingResult& row : results.by_setting) {
    table.rows.push_back(
        {Escape(row.setting), Escape(fmt::format("{}", fmt::join(row.games, ", "))),
         WithInterval(row.mean, row.mean_interval), WithInterval(row.median, row.median_interval),
         "<b>" + WithInterval(row.iqm, row.iqm_interval) + "</b>"});
  }
  return RenderTable(table);
}

std::string Profiles(const evaluation::Results& results) {
  double most = 1;
  for (const evaluation::SettingResult& row : results.by_setting) {
    for (const std::vector<double>& game : row.human_normalized) {
      most = std::max(most, *std::max_element(game.begin(), game.end()));
    }
  }
  LineChart chart{.title = "Performance profile",
                  .x_label = "human-normalised score",
                  .y_label = "share of runs above it",
                  .series = {},
                  .y_min = 0,
                  .y_max = 1};
  std::vector<double> thresholds;
  for (int i = 0; i <= kProfilePoints; ++i) {
    thresholds.push_back(most * 1.05 * i / kProfilePoints);
  }
  for (const evaluation::SettingResult& row : results.by_setting) {
    chart.series.push_back({.name = row.setting,
                            .x = thresholds,
                            .y = evaluation::PerformanceProfile(row.human_normalized, thresholds)});
  }
  return RenderLineChart(chart);
}

}  // namespace

std::string RenderResults(const evaluation::Results& results) {
  std::string body =
      "<header><p class=\"brand\">hidreamer</p><h1>Results</h1><p class=\"lead\">Mean scores of "
      "whole real games with the final policy, unclipped. ± is the standard error over seeds; of "
      "one seed alone, over its games.</p></header>\n<main>\n<section><h2>By game</h2>" +
      ByGame(results) + "</section>\n";
  if (!results.by_setting.empty()) {
    body +=
        "<section><h2>Over games</h2><p class=\"lead\">Human-normalised: 0 is random play, 1 a "
        "person. Intervals are bootstraps that draw seeds anew within each game; the IQM is the "
        "mean of the middle half of all runs (Agarwal et al., 2021).</p>" +
        BySetting(results) + "<div class=\"plots\">" + Profiles(results) + "</div></section>\n";
  }
  return WholePage("Results", body + "</main>\n");
}

}  // namespace hidreamer::report
