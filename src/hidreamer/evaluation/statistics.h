#pragma once

#include <optional>
#include <span>
#include <string>

#include "hidreamer/base/seed.h"

// Sample statistics. All functions throw an internal Error on an empty sample.
namespace hidreamer::evaluation {

double Mean(std::span<const double> values);
// Standard deviation with n - 1 in the denominator; 0 for a single value.
double StandardDeviation(std::span<const double> values);
// Standard error of the mean: StandardDeviation / sqrt(n).
double StandardError(std::span<const double> values);
// Middle value, mean of the two middle ones for even n.
double Median(std::span<const double> values);
// Mean of the middle half (Agarwal et al., 2021): values between the 25 % and 75 % ranks, those
// that a rank cuts counted by their share.
double InterquartileMean(std::span<const double> values);
// Linear interpolation between order statistics, q in [0, 1].
double Quantile(std::span<const double> values, double q);

struct Interval {
  double low = 0;
  double high = 0;
};
// Percentile bootstrap interval of a statistic: resamples with replacement, drawn from `rng`.
using Statistic = double (*)(std::span<const double>);
Interval BootstrapInterval(std::span<const double> values, Statistic statistic, double confidence,
                           int resamples, Rng rng);

// Scores that a game's results are set beside (PROTOCOL.md).
struct ReferenceScores {
  double random = 0;        // literature's random column
  double human = 0;         // literature's human column
  double random_atari100k;  // own measurement, minimal action set, whole games
  double random_atari100k_error;
  double random_v5;
  double random_v5_error;
};
// Pong, Breakout and MsPacman; empty for other games.
std::optional<ReferenceScores> ReferenceScoresOf(const std::string& game);

// (score - random) / (human - random).
double HumanNormalizedScore(double score, double random, double human);

}  // namespace hidreamer::evaluation
