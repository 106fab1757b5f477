#include "hidreamer/evaluation/results.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/policy/action_distribution.h"

namespace hidreamer::evaluation {
namespace {

constexpr double kConfidence = 0.95;
constexpr int kResamples = 2000;

std::vector<double> MeansOfGames(const RunsByGame& runs) {
  std::vector<double> means;
  for (const std::vector<double>& game : runs) {
    means.push_back(Mean(game));
  }
  return means;
}

Rng BootstrapDraws(const std::string& of) { return SeedTree(0).Generator("results/" + of); }

GameResult SummarizeGame(const std::vector<const RunScores*>& runs) {
  const RunScores& first = *runs.front();
  GameResult result{.game = first.game, .protocol = first.protocol, .setting = first.setting};
  for (const RunScores* run : runs) {
    result.seeds.push_back(run->seed);
    result.means.push_back(Mean(run->scores));
    result.games += std::ssize(run->scores);
    result.minutes += run->minutes / static_cast<double>(runs.size());
  }
  // One seed says nothing of others: what it can give is the spread of its games.
  const std::vector<double>& sample = runs.size() > 1 ? result.means : first.scores;
  result.mean = Mean(result.means);
  result.error = StandardError(sample);
  result.median = Median(sample);
  result.iqm = InterquartileMean(sample);
  result.interval = BootstrapInterval(sample, InterquartileMean, kConfidence, kResamples,
                                      BootstrapDraws(first.game + first.setting));
  if (const auto reference = ReferenceScoresOf(first.game)) {
    result.human_normalized =
        HumanNormalizedScore(result.mean, reference->random, reference->human);
  }
  return result;
}

SettingResult SummarizeSetting(const std::vector<const GameResult*>& games) {
  SettingResult result{.setting = games.front()->setting, .protocol = games.front()->protocol};
  for (const GameResult* game : games) {
    const auto reference = ReferenceScoresOf(game->game).value();
    std::vector<double>& row = result.human_normalized.emplace_back();
    for (const double score : game->means) {
      row.push_back(HumanNormalizedScore(score, reference.random, reference.human));
    }
    result.games.push_back(game->game);
  }
  const auto interval = [&](RunsStatistic statistic) {
    return StratifiedInterval(result.human_normalized, statistic, kConfidence, kResamples,
                              BootstrapDraws(result.setting));
  };
  result.mean = MeanOverGames(result.human_normalized);
  result.mean_interval = interval(MeanOverGames);
  result.median = MedianOverGames(result.human_normalized);
  result.median_interval = interval(MedianOverGames);
  result.iqm = IqmOverRuns(result.human_normalized);
  result.iqm_interval = interval(IqmOverRuns);
  return result;
}

// "1.23", with as many decimals as the size asks for.
std::string Score(double value) {
  return std::abs(value) < 100 ? fmt::format("{:.2f}", value) : fmt::format("{:.0f}", value);
}

std::string WithInterval(double value, const Interval& interval) {
  return fmt::format("{} [{}, {}]", Score(value), Score(interval.low), Score(interval.high));
}

}  // namespace

RunScores ReadRunScores(const std::filesystem::path& file) {
  try {
    const auto json = nlohmann::json::parse(ReadFile(file));
    RunScores run{.game = json.at("game"), .protocol = json.at("protocol")};
    if (const auto trained = json.find("trained"); trained != json.end()) {
      run.setting = trained->at("setting");
      // Files of older versions do not say it: actions were drawn as in training.
      if (const double temperature = json.value("temperature", 1.0);
          temperature != policy::kScoringTemperature) {
        run.setting += fmt::format(", actions at temperature {:g}", temperature);
      }
      run.seed = trained->at("seed");
      run.minutes = trained->at("seconds").get<double>() / 60;
    } else {
      run.setting = json.at("player").get<std::string>();
      run.seed = json.at("seed");
    }
    for (const auto& episode : json.at("episodes")) {
      run.scores.push_back(episode.at("score"));
    }
    if (json.at("cut_off") != 0) {
      throw UserError("play them with a larger --max-frames", "{}: {} games were cut off",
                      file.string(), json["cut_off"].get<int64_t>());
    }
    if (!run.scores.empty()) {
      return run;
    }
  } catch (const nlohmann::json::exception&) {
  }
  throw UserError("hidreamer eval RUN --json FILE writes one", "{} is not a result file",
                  file.string());
}

std::vector<RunScores> ReadResults(const std::vector<std::filesystem::path>& places) {
  std::set<std::filesystem::path> files;
  for (const std::filesystem::path& place : places) {
    if (!std::filesystem::is_directory(place)) {
      files.insert(place);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(place)) {
      if (entry.is_regular_file() && entry.path().extension() == ".json") {
        files.insert(entry.path());
      }
    }
  }
  std::vector<RunScores> runs;
  std::map<std::tuple<std::string, std::string, std::string, int64_t>, std::string> known;
  for (const std::filesystem::path& file : files) {
    runs.push_back(ReadRunScores(file));
    const RunScores& run = runs.back();
    const auto [other, fresh] =
        known.try_emplace({run.game, run.protocol, run.setting, run.seed}, file.string());
    if (!fresh) {
      throw UserError("keep one of them", "{} and {} are of the same game, setting and seed",
                      other->second, file.string());
    }
  }
  if (runs.empty()) {
    std::string searched;
    for (const std::filesystem::path& place : places) {
      searched += (searched.empty() ? "" : ", ") + place.string();
    }
    throw UserError("hidreamer eval RUN --json DIR/NAME.json writes one",
                    "there is no result file in {}", searched);
  }
  return runs;
}

double MeanOverGames(const RunsByGame& runs) { return Mean(MeansOfGames(runs)); }

double MedianOverGames(const RunsByGame& runs) { return Median(MeansOfGames(runs)); }

double IqmOverRuns(const RunsByGame& runs) {
  std::vector<double> all;
  for (const std::vector<double>& game : runs) {
    all.insert(all.end(), game.begin(), game.end());
  }
  return InterquartileMean(all);
}

Interval StratifiedInterval(const RunsByGame& runs, RunsStatistic statistic, double confidence,
                            int resamples, Rng rng) {
  HID_CHECK(!runs.empty() && resamples > 0, "{} games, {} resamples", runs.size(), resamples);
  std::vector<double> statistics;
  RunsByGame drawn = runs;
  for (int i = 0; i < resamples; ++i) {
    for (size_t game = 0; game < runs.size(); ++game) {
      for (double& value : drawn[game]) {
        value = runs[game][static_cast<size_t>(rng.UniformInt(std::ssize(runs[game])))];
      }
    }
    statistics.push_back(statistic(drawn));
  }
  const double tail = (1 - confidence) / 2;
  return {.low = Quantile(statistics, tail), .high = Quantile(statistics, 1 - tail)};
}

std::vector<double> PerformanceProfile(const RunsByGame& runs,
                                       const std::vector<double>& thresholds) {
  std::vector<double> profile;
  for (const double threshold : thresholds) {
    RunsByGame above = runs;
    for (std::vector<double>& game : above) {
      for (double& value : game) {
        value = value > threshold ? 1 : 0;
      }
    }
    profile.push_back(MeanOverGames(above));
  }
  return profile;
}

Results Summarize(const std::vector<RunScores>& runs) {
  std::map<std::tuple<std::string, std::string, std::string>, std::vector<const RunScores*>> groups;
  for (const RunScores& run : runs) {
    groups[{run.game, run.protocol, run.setting}].push_back(&run);
  }
  Results results;
  for (const auto& [key, group] : groups) {
    results.by_game.push_back(SummarizeGame(group));
  }
  std::stable_sort(
      results.by_game.begin(), results.by_game.end(), [](const auto& a, const auto& b) {
        return std::tie(a.game, a.protocol, b.mean) < std::tie(b.game, b.protocol, a.mean);
      });
  std::map<std::pair<std::string, std::string>, std::vector<const GameResult*>> settings;
  for (const GameResult& game : results.by_game) {
    if (game.human_normalized) {
      settings[{game.setting, game.protocol}].push_back(&game);
    }
  }
  for (const auto& [key, games] : settings) {
    results.by_setting.push_back(SummarizeSetting(games));
  }
  std::stable_sort(results.by_setting.begin(), results.by_setting.end(),
                   [](const auto& a, const auto& b) { return a.iqm > b.iqm; });
  return results;
}

nlohmann::json ToJson(const Results& results) {
  const auto bounds = [](const Interval& interval) {
    return nlohmann::json{interval.low, interval.high};
  };
  auto by_game = nlohmann::json::array();
  for (const GameResult& row : results.by_game) {
    by_game.push_back({{"game", row.game},
                       {"protocol", row.protocol},
                       {"setting", row.setting},
                       {"seeds", row.seeds},
                       {"means", row.means},
                       {"games", row.games},
                       {"mean", row.mean},
                       {"standard_error", row.error},
                       {"median", row.median},
                       {"iqm", row.iqm},
                       {"iqm_interval_95", bounds(row.interval)},
                       {"training_minutes", row.minutes}});
    if (row.human_normalized) {
      by_game.back()["human_normalized"] = *row.human_normalized;
    }
  }
  auto by_setting = nlohmann::json::array();
  for (const SettingResult& row : results.by_setting) {
    by_setting.push_back({{"setting", row.setting},
                          {"protocol", row.protocol},
                          {"games", row.games},
                          {"human_normalized", row.human_normalized},
                          {"mean", row.mean},
                          {"mean_interval_95", bounds(row.mean_interval)},
                          {"median", row.median},
                          {"median_interval_95", bounds(row.median_interval)},
                          {"iqm", row.iqm},
                          {"iqm_interval_95", bounds(row.iqm_interval)}});
  }
  return {{"by_game", by_game}, {"by_setting", by_setting}};
}

std::string ToMarkdown(const Results& results) {
  std::string text =
      "| game | setting | seeds | games | mean ± error | each seed | median | IQM [95 %] | "
      "human-normalised | training |\n|---|---|---|---|---|---|---|---|---|---|\n";
  for (const GameResult& row : results.by_game) {
    std::vector<std::string> means;
    for (const double mean : row.means) {
      means.push_back(Score(mean));
    }
    text += fmt::format("| {} | {} | {} | {} | {} ± {} | {} | {} | {} | {} | {} |\n", row.game,
                        row.setting, fmt::join(row.seeds, ", "), row.games, Score(row.mean),
                        Score(row.error), fmt::join(means, ", "), Score(row.median),
                        WithInterval(row.iqm, row.interval),
                        row.human_normalized ? fmt::format("{:.3f}", *row.human_normalized) : "–",
                        row.minutes > 0 ? fmt::format("{:.0f} min", row.minutes) : "–");
  }
  if (!results.by_setting.empty()) {
    text +=
        "\n| setting | games | runs | mean [95 %] | median [95 %] | IQM [95 %] |\n"
        "|---|---|---|---|---|---|\n";
  }
  for (const SettingResult& row : results.by_setting) {
    size_t runs = 0;
    for (const auto& game : row.human_normalized) {
      runs += game.size();
    }
    text += fmt::format("| {} | {} | {} | {} | {} | {} |\n", row.setting,
                        fmt::join(row.games, ", "), runs, WithInterval(row.mean, row.mean_interval),
                        WithInterval(row.median, row.median_interval),
                        WithInterval(row.iqm, row.iqm_interval));
  }
  return text;
}

}  // namespace hidreamer::evaluation
