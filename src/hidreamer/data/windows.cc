#include "hidreamer/data/windows.h"

#include <algorithm>
#include <cmath>

#include "hidreamer/base/error.h"

namespace hidreamer::data {
namespace {

// Cuts an episode in two, [begin, end - share) and the rest, each of at least one row.
EpisodeSplit SplitSingleEpisode(const EpisodeRange& episode, double validation) {
  const auto held_out = std::clamp<int64_t>(
      std::llround(validation * static_cast<double>(episode.size())), 1, episode.size() - 1);
  const int64_t cut = episode.end - held_out;
  return {{{episode.begin, cut}}, {{cut, episode.end}}};
}

std::vector<int64_t> WindowsInside(const std::vector<EpisodeRange>& episodes, int64_t length) {
  std::vector<int64_t> starts;
  for (const EpisodeRange& episode : episodes) {
    for (int64_t start = episode.begin; start + length <= episode.end; ++start) {
      starts.push_back(start);
    }
  }
  return starts;
}

}  // namespace

std::vector<int64_t> ValidWindowStarts(std::span<const uint8_t> ends, int64_t length) {
  HID_CHECK(length >= 1, "length = {}", length);
  const auto rows = static_cast<int64_t>(ends.size());
  std::vector<int64_t> sum(ends.size() + 1, 0);  // sum[i]: end flags in rows [0, i)
  for (size_t i = 0; i < ends.size(); ++i) {
    sum[i + 1] = sum[i] + (ends[i] != 0 ? 1 : 0);
  }
  std::vector<int64_t> starts;
  for (int64_t start = 0; start + length <= rows; ++start) {
    const auto last = static_cast<size_t>(start + length - 1);
    if (sum[last] == sum[static_cast<size_t>(start)]) {
      starts.push_back(start);
    }
  }
  return starts;
}

// Episodes are drawn in random order until their rows reach the share held out, so that a few long
// episodes do not make the held-out part far too large: one that overshoots by more than it helps
// is skipped.
EpisodeSplit SplitEpisodes(const std::vector<EpisodeRange>& episodes, double validation,
                           const SeedTree& seeds) {
  HID_CHECK(validation > 0 && validation < 1, "validation = {}", validation);
  if (episodes.empty()) {
    return {};
  }
  if (episodes.size() == 1) {
    return episodes[0].size() >= 2 ? SplitSingleEpisode(episodes[0], validation)
                                   : EpisodeSplit{episodes, {}};
  }
  int64_t rows = 0;
  for (const EpisodeRange& episode : episodes) {
    rows += episode.size();
  }
  const double wanted = validation * static_cast<double>(rows);
  Rng rng = seeds.Generator("split/episodes");
  const std::vector<int64_t> order = rng.Permutation(static_cast<int64_t>(episodes.size()));
  std::vector<bool> held_out(episodes.size(), false);
  size_t count = 0;
  double taken = 0;
  for (const int64_t index : order) {
    const auto i = static_cast<size_t>(index);
    const double after = taken + static_cast<double>(episodes[i].size());
    if (std::abs(after - wanted) < std::abs(taken - wanted) && count + 1 < episodes.size()) {
      held_out[i] = true;
      taken = after;
      ++count;
    }
  }
  if (count == 0) {  // every episode is too long: the shortest comes nearest
    const auto shortest =
        std::min_element(episodes.begin(), episodes.end(),
                         [](const auto& a, const auto& b) { return a.size() < b.size(); });
    held_out[static_cast<size_t>(shortest - episodes.begin())] = true;
  }
  EpisodeSplit split;
  for (size_t i = 0; i < episodes.size(); ++i) {
    (held_out[i] ? split.validation : split.train).push_back(episodes[i]);
  }
  return split;
}

Split SplitWindowsByEpisode(const std::vector<EpisodeRange>& episodes, int64_t length,
                            double validation, const SeedTree& seeds) {
  HID_CHECK(length >= 1, "length = {}", length);
  const EpisodeSplit split = SplitEpisodes(episodes, validation, seeds);
  return {WindowsInside(split.train, length), WindowsInside(split.validation, length)};
}

Split SplitWindowsAtRandom(std::span<const uint8_t> ends, int64_t length, double validation,
                           const SeedTree& seeds) {
  HID_CHECK(validation > 0 && validation < 1, "validation = {}", validation);
  const std::vector<int64_t> starts = ValidWindowStarts(ends, length);
  const auto count = static_cast<int64_t>(starts.size());
  Rng rng = seeds.Generator("split/windows");
  const std::vector<int64_t> order = rng.Permutation(count);
  const auto held_out = std::clamp<int64_t>(std::llround(validation * static_cast<double>(count)),
                                            count >= 2 ? 1 : 0, std::max<int64_t>(count - 1, 0));
  Split split;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t start = starts[static_cast<size_t>(order[static_cast<size_t>(i)])];
    (i < held_out ? split.validation : split.train).push_back(start);
  }
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.validation.begin(), split.validation.end());
  return split;
}

}  // namespace hidreamer::data
