#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "hidreamer/evaluation/statistics.h"

// Tables from result files: what several agents scored, over games, settings and seeds, as rliable
// reports it (Agarwal et al., 2021, "Deep Reinforcement Learning at the Edge of the Statistical
// Precipice").
namespace hidreamer::evaluation {

// One agent's games: a file of `hidreamer eval --json`.
struct RunScores {
  std::string game = {}, protocol = {};
  std::string setting = {};         // what it was trained with, or the name of a built-in player
  int64_t seed = 0;                 // of the training
  double minutes = 0;               // of the training; 0: not known
  std::vector<double> scores = {};  // of whole games, unclipped
};

// Throws a user Error for a file that is no result, or of games that were cut off.
RunScores ReadRunScores(const std::filesystem::path& file);
// Every X.json below the directories, in the order of their paths. Throws a user Error where there
// is none, and where two are of the same game, protocol, setting and seed.
std::vector<RunScores> ReadResults(const std::vector<std::filesystem::path>& places);

// A value for each run (its mean score, or that human-normalised), a row a game.
using RunsByGame = std::vector<std::vector<double>>;

// Mean and median over games of the mean over a game's runs; IQM over all runs together.
double MeanOverGames(const RunsByGame& runs);
double MedianOverGames(const RunsByGame& runs);
double IqmOverRuns(const RunsByGame& runs);

// Percentile bootstrap interval, runs drawn anew within each game.
using RunsStatistic = double (*)(const RunsByGame&);
Interval StratifiedInterval(const RunsByGame& runs, RunsStatistic statistic, double confidence,
                            int resamples, Rng rng);

// Performance profile: for each threshold the share of runs above it, games weighed alike.
std::vector<double> PerformanceProfile(const RunsByGame& runs,
                                       const std::vector<double>& thresholds);

// The runs of one setting in one game.
struct GameResult {
  std::string game = {}, protocol = {}, setting = {};
  std::vector<int64_t> seeds = {};
  std::vector<double> means = {};  // of each seed's games
  int64_t games = 0;               // played by all seeds together
  double mean = 0, error = 0;      // over seeds; the error of one seed is that over its games
  double median = 0, iqm = 0;      // over seeds
  Interval interval = {};          // of the IQM, 95 %; of one seed: over its games
  double minutes = 0;              // of training, mean over seeds
  std::optional<double> human_normalized = {};
};

// The runs of one setting over all games that have human scores.
struct SettingResult {
  std::string setting = {}, protocol = {};
  std::vector<std::string> games = {};
  RunsByGame human_normalized = {};
  double mean = 0, median = 0, iqm = 0;
  Interval mean_interval = {}, median_interval = {}, iqm_interval = {};  // 95 %
};

struct Results {
  std::vector<GameResult> by_game = {};        // by game, then by falling score
  std::vector<SettingResult> by_setting = {};  // by falling IQM
};
Results Summarize(const std::vector<RunScores>& runs);

nlohmann::json ToJson(const Results& results);
// Two tables in Markdown.
std::string ToMarkdown(const Results& results);

}  // namespace hidreamer::evaluation
