#include "hidreamer/data/npz_import.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/base/progress.h"
#include "hidreamer/data/action_map.h"
#include "hidreamer/data/episode_store.h"
#include "hidreamer/data/npz_archive.h"
#include "hidreamer/data/npz_states.h"

namespace hidreamer::data {
namespace {

using env::kFrameBytes;
using env::kStackDepth;

std::string FindNeeded(const NpzArchive& archive, const std::vector<std::string>& names) {
  std::string found = archive.Find(names);
  if (found.empty()) {
    throw UserError(kExpectedArrays, "no array is called '{}'; there are: {}", names.front(),
                    fmt::join(archive.arrays(), ", "));
  }
  return found;
}

std::vector<float> ReadRewards(NpzArchive& archive, int64_t rows) {
  const std::string name = FindNeeded(archive, {"rewards", "reward"});
  std::vector<float> rewards;
  for (const double reward : archive.ReadColumn(name, rows)) {
    if (!std::isfinite(reward) || std::abs(reward) > std::numeric_limits<float>::max()) {
      throw UserError("rewards are finite 32-bit numbers", "row {} of '{}' is {}", rewards.size(),
                      name, reward);
    }
    rewards.push_back(static_cast<float>(reward));
  }
  return rewards;
}

// 0/1 of each row; empty where no such array is there.
std::vector<uint8_t> ReadFlags(NpzArchive& archive, const std::vector<std::string>& names,
                               int64_t rows) {
  const std::string name = archive.Find(names);
  std::vector<uint8_t> flags;
  if (name.empty()) {
    return flags;
  }
  for (const double flag : archive.ReadColumn(name, rows)) {
    if (flag != 0 && flag != 1) {
      throw UserError("an end is marked by 1 or True, any other row by 0 or False",
                      "row {} of '{}' is {}", flags.size(), name, flag);
    }
    flags.push_back(static_cast<uint8_t>(flag));
  }
  return flags;
}

// How the episodes of the archive end, as far as it says.
struct Ends {
  std::vector<uint8_t> terminals;   // (N)
  std::vector<uint8_t> truncateds;  // (N)
  bool marked = false;              // some row
};

Ends ReadEnds(NpzArchive& archive, int64_t rows) {
  const auto dones = ReadFlags(archive, {"dones", "done"}, rows);
  const auto terminals = ReadFlags(
      archive, {"terminals", "terminal", "terminations", "terminated", "is_terminal"}, rows);
  const auto truncations = ReadFlags(
      archive, {"truncations", "truncation", "truncateds", "truncated", "timeouts"}, rows);
  Ends ends;
  for (size_t i = 0; i < static_cast<size_t>(rows); ++i) {
    const bool done = !dones.empty() && dones[i] != 0;
    const bool cut = !truncations.empty() && truncations[i] != 0;
    const bool over = terminals.empty() ? done && !cut : terminals[i] != 0;
    ends.terminals.push_back(over ? 1 : 0);
    ends.truncateds.push_back(!over && (cut || done) ? 1 : 0);
    ends.marked = ends.marked || over || cut || done;
  }
  return ends;
}

// How stacks follow each other within the marked episodes.
struct StackOrder {
  int64_t pairs = 0;
  int64_t continued = 0;  // the older frames repeat the newer ones of the stack before
  int64_t reversed = 0;   // they do if the newest frame comes first

  // Whether `stack` continues `before`.
  bool Count(const std::vector<uint8_t>& before, const std::vector<uint8_t>& stack) {
    constexpr size_t kShared = size_t{kStackDepth - 1} * kFrameBytes;
    const bool continues = std::memcmp(stack.data(), before.data() + kFrameBytes, kShared) == 0;
    ++pairs;
    continued += continues ? 1 : 0;
    reversed += std::memcmp(stack.data() + kFrameBytes, before.data(), kShared) == 0 ? 1 : 0;
    return continues;
  }

  // Throws a user Error unless most stacks continue the one before.
  void Check(const std::string& name) const {
    if (reversed > continued && 2 * reversed > pairs) {
      throw UserError("turn them round: states[:, ::-1] (or states[..., ::-1])",
                      "the stacks of '{}' have their newest frame first", name);
    }
    if (2 * continued < pairs) {
      throw UserError(
          "save the rows in the order of play; if they are, save the newest frame of each "
          "alone: states[:, -1]",
          "{} of {} stacks of '{}' do not continue the one before", pairs - continued, pairs, name);
    }
  }
};

void NoteEnds(const Ends& ends, const StackOrder& order, int64_t depth,
              std::vector<std::string>& notes) {
  const int64_t restarts = order.pairs - order.continued;
  if (restarts > 0) {
    notes.push_back(fmt::format("{}: {} episodes are cut off where the stacks restart",
                                ends.marked ? "not every end is marked" : "no end is marked",
                                restarts));
  } else if (!ends.marked) {
    notes.push_back(depth > 1 ? "no end is marked and no stack restarts: all is one episode"
                              : "no end is marked: all is one episode");
  }
}

}  // namespace

NpzImportSummary ImportNpz(const std::filesystem::path& npz, const std::filesystem::path& store,
                           const NpzImportOptions& options) {
  NpzArchive archive(npz);
  const std::string states_name = FindNeeded(archive, {"states", "observations", "obs"});
  const int64_t rows = [&] {
    const formats::NpyHeader header = archive.Open(states_name);
    archive.Close();
    return header.shape.empty() ? 0 : header.shape[0];
  }();
  const std::string actions_name = FindNeeded(archive, {"actions", "action"});
  const ActionMap map(options.actions, options.action_names, options.game);
  const std::vector<uint8_t> actions =
      map.Apply(archive.ReadColumn(actions_name, rows), actions_name);
  const std::vector<float> rewards = ReadRewards(archive, rows);
  Ends ends = ReadEnds(archive, rows);
  NpzStates states(archive, states_name);
  EpisodeStoreWriter writer(store, {.game = options.game,
                                    .protocol = options.protocol,
                                    .policy = "import",
                                    .action_names = map.NamesFor(actions),
                                    .seed = 0,
                                    .extra = {{"imported_from", npz.filename().string()}}});
  NpzImportSummary summary{.steps = rows, .episodes = 0, .notes = states.notes()};
  Progress progress("import " + npz.filename().string(), rows, "steps");
  const auto frame_at = static_cast<size_t>((states.depth() - 1) * kFrameBytes);
  std::vector<uint8_t> before(frame_at + kFrameBytes);
  std::vector<uint8_t> stack(frame_at + kFrameBytes);
  const std::array<uint8_t, env::kRamBytes> no_ram{};
  StackOrder order;
  // A row is written when the one after it is known: that tells whether an episode was cut off.
  const auto write = [&](size_t row) {
    writer.Append(
        {.frame = std::span<const uint8_t, kFrameBytes>(before.data() + frame_at, kFrameBytes),
         .action = actions[row],
         .result = {.reward = rewards[row],
                    .terminal = ends.terminals[row] != 0,
                    .truncated = ends.truncateds[row] != 0},
         .ram = no_ram});
    summary.episodes += ends.terminals[row] != 0 || ends.truncateds[row] != 0 ? 1 : 0;
  };
  for (size_t i = 0; i < actions.size(); ++i) {
    states.Next(stack);
    if (i > 0) {
      const bool ended = ends.terminals[i - 1] != 0 || ends.truncateds[i - 1] != 0;
      if (!ended && states.depth() > 1 && !order.Count(before, stack)) {
        ends.truncateds[i - 1] = 1;
      }
      write(i - 1);
    }
    std::swap(before, stack);
    progress.Update(static_cast<int64_t>(i) + 1);
  }
  ends.truncateds.back() = ends.terminals.back() != 0 ? 0 : 1;  // the recording ends there
  write(actions.size() - 1);
  states.Close();
  progress.Finish();
  order.Check(states_name);
  NoteEnds(ends, order, states.depth(), summary.notes);
  writer.Finish();
  return summary;
}

}  // namespace hidreamer::data
