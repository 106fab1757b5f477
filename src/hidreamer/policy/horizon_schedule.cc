#include "hidreamer/policy/horizon_schedule.h"

#include <cmath>
#include <numbers>

namespace hidreamer::policy {
namespace {

constexpr double kShortest = 5;
constexpr double kRange = 25;

double Share(int64_t step, int64_t total) {
  return static_cast<double>(step) / static_cast<double>(total);
}

}  // namespace

int64_t DecayingHorizon(int64_t step, int64_t total) {
  const double wave = (1 + std::cos(std::numbers::pi * Share(step, total))) / 2;
  return std::lround(kShortest + kRange * wave);
}

int64_t BellHorizon(int64_t step, int64_t total) {
  const double wave = (1 - std::cos(2 * std::numbers::pi * Share(step, total))) / 2;
  return std::lround(kShortest + kRange * wave);
}

}  // namespace hidreamer::policy
