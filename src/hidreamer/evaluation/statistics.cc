#include "hidreamer/evaluation/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::evaluation {
namespace {

std::vector<double> Sorted(std::span<const double> values) {
  HID_CHECK(!values.empty(), "empty sample");
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

}  // namespace

double Mean(std::span<const double> values) {
  HID_CHECK(!values.empty(), "empty sample");
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double StandardDeviation(std::span<const double> values) {
  const double mean = Mean(values);
  if (values.size() == 1) {
    return 0;
  }
  double squares = 0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double StandardError(std::span<const double> values) {
  return StandardDeviation(values) / std::sqrt(static_cast<double>(values.size()));
}

double Median(std::span<const double> values) { return Quantile(values, 0.5); }

double InterquartileMean(std::span<const double> values) {
  const std::vector<double> sorted = Sorted(values);
  const double n = static_cast<double>(sorted.size());
  const double low = 0.25 * n;
  const double high = 0.75 * n;
  double sum = 0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const double rank = static_cast<double>(i);
    const double share = std::max(0.0, std::min(high, rank + 1) - std::max(low, rank));
    sum += share * sorted[i];
  }
  return sum / (high - low);
}

double Quantile(std::span<const double> values, double q) {
  const std::vector<double> sorted = Sorted(values);
  const double rank = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(rank);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = rank - static_cast<double>(below);
  return sorted[below] * (1 - share) + sorted[above] * share;
}

Interval BootstrapInterval(std::span<const double> values, Statistic statistic, double confidence,
                           int resamples, Rng rng) {
  HID_CHECK(!values.empty() && resamples > 0, "{} values, {} resamples", values.size(), resamples);
  std::vector<double> sample(values.size());
  std::vector<double> statistics(static_cast<size_t>(resamples));
  for (double& result : statistics) {
    for (double& value : sample) {
      value = values[static_cast<size_t>(rng.UniformInt(static_cast<int64_t>(values.size())))];
    }
    result = statistic(sample);
  }
  const double tail = (1 - confidence) / 2;
  return {.low = Quantile(statistics, tail), .high = Quantile(statistics, 1 - tail)};
}

std::optional<ReferenceScores> ReferenceScoresOf(const std::string& game) {
  if (game == "pong") {
    return ReferenceScores{-20.7, 14.6, -20.29, 0.08, -20.37, 0.11};
  }
  if (game == "breakout") {
    return ReferenceScores{1.7, 30.5, 1.30, 0.06, 1.37, 0.07};
  }
  if (game == "ms_pacman") {
    return ReferenceScores{307.3, 6951.6, 239.2, 6.6, 248.9, 10.9};
  }
  return std::nullopt;
}

double HumanNormalizedScore(double score, double random, double human) {
  return (score - random) / (human - random);
}

}  // namespace hidreamer::evaluation
