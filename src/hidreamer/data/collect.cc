#include "hidreamer/data/collect.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <optional>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/new_directory.h"
#include "hidreamer/base/progress.h"
#include "hidreamer/base/temporary_directory.h"
#include "hidreamer/data/store_format.h"
#include "hidreamer/env/vector_environment.h"

namespace hidreamer::data {
namespace fs = std::filesystem;

namespace {

// Of a step on disk, without its frame, which may be next to nothing.
constexpr double kColumnBytes = env::kRamBytes + 2 * sizeof(float);

// One game of the vector: its own seeds, its own file, its own tally.
struct Recorder {
  explicit Recorder(const fs::path& file, const StoreInfo& info) : path(file), writer(file, info) {}

  fs::path path;
  EpisodeStoreWriter writer;
  int64_t quota = 0;  // steps it records
  uint64_t episode = 0;
  double score = 0;        // of the episode so far
  double total_score = 0;  // of whole episodes
  int64_t whole_episodes = 0;
  std::array<uint8_t, env::kFrameBytes> frame{};
  std::array<uint8_t, env::kRamBytes> ram{};
};

class Collector {
 public:
  Collector(const CollectOptions& options, env::Player& player, fs::path path)
      : options_(options),
        player_(player),
        path_(std::move(path)),
        seeds_(SeedTree(options.seed).Subtree("collect/" + options.game)),
        games_(options.environments, env::ThreadCount(options.threads),
               [&] {
                 return env::MakeEnvironment(options.game, options.protocol, options.environment);
               }),
        shards_(RealPath(path_) += ".shards") {
    info_ = {.game = options.game,
             .protocol = options.protocol,
             .policy = player.name(),
             .action_names = games_.spec().action_names,
             .seed = options.seed,
             .extra = {{"environments", options.environments}}};
    for (int slot = 0; slot < games_.size(); ++slot) {
      const auto index = static_cast<uint64_t>(slot);
      recorders_.push_back(
          std::make_unique<Recorder>(shards_.path() / fmt::format("{:04}", slot), info_));
      recorders_.back()->quota =
          options.steps / games_.size() + (slot < options.steps % games_.size() ? 1 : 0);
      rngs_.push_back(seeds_.Generator("player", index));
      Begin(slot);
    }
  }

  CollectSummary Run() {
    const auto start = std::chrono::steady_clock::now();
    std::optional<Progress> progress;
    if (options_.show_progress) {
      progress.emplace("collect " + options_.game, options_.steps, "steps");
    }
    int64_t done = 0;
    while (done < options_.steps) {
      if (InterruptRequested()) {
        throw Interrupted();
      }
      done += Step();
      if (progress) {
        progress->Update(done);
      }
    }
    if (progress) {
      progress->Finish();
    }
    CollectSummary summary = Merge();
    summary.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return summary;
  }

 private:
  Recorder& At(int slot) { return *recorders_[static_cast<size_t>(slot)]; }

  void Begin(int slot) {
    Recorder& r = At(slot);
    games_.Reset(slot, seeds_.Stream(fmt::format("episode/{}", slot), r.episode));
    ++r.episode;
    r.score = 0;
    Observe(slot);
  }

  void Observe(int slot) {
    Recorder& r = At(slot);
    const env::Environment& game = games_.environment(slot);
    std::copy(game.frame().begin(), game.frame().end(), r.frame.begin());
    std::copy(game.ram().begin(), game.ram().end(), r.ram.begin());
  }

  // One step of every game that has not recorded its share. Returns how many there were.
  int64_t Step() {
    std::vector<int> slots;
    for (int slot = 0; slot < games_.size(); ++slot) {
      if (At(slot).writer.size() < At(slot).quota) {
        slots.push_back(slot);
      }
    }
    games_.Play(slots, player_, rngs_, [&](int slot, int action, const env::StepResult& result) {
      Recorder& r = At(slot);
      r.writer.Append({.frame = r.frame, .action = action, .result = result, .ram = r.ram});
      r.score += result.reward;
      if (result.terminal || result.truncated) {
        r.total_score += r.score;
        ++r.whole_episodes;
        Begin(slot);
      } else {
        Observe(slot);
      }
    });
    return static_cast<int64_t>(slots.size());
  }

  CollectSummary Merge() {
    CollectSummary summary;
    EpisodeStoreWriter writer(path_, info_);
    double total_score = 0;
    for (const auto& recorder : recorders_) {
      if (recorder->quota > 0) {
        recorder->writer.Finish();
        writer.AppendStore(EpisodeStore(recorder->path));
      }
      summary.episodes += recorder->whole_episodes;
      total_score += recorder->total_score;
    }
    writer.Finish();
    summary.steps = options_.steps;
    summary.mean_score =
        summary.episodes > 0 ? total_score / static_cast<double>(summary.episodes) : 0;
    summary.frame_bytes = EpisodeStore(path_).frame_bytes();
    return summary;
  }

  const CollectOptions& options_;
  env::Player& player_;
  fs::path path_;
  SeedTree seeds_;
  env::VectorEnvironment games_;
  TemporaryDirectory shards_;
  StoreInfo info_;
  std::vector<std::unique_ptr<Recorder>> recorders_;
  std::vector<Rng> rngs_;
};

}  // namespace

CollectSummary CollectEpisodes(const CollectOptions& options, env::Player& player,
                               const fs::path& path) {
  if (options.steps < 1 || options.environments < 1) {
    throw UserError("both are 1 or more", "{} steps in {} environments", options.steps,
                    options.environments);
  }
  CheckReplaceable(path, store_format::Recording());
  CheckWritableDirectory(RealPath(path).parent_path());
  CheckFreeSpace(path, static_cast<double>(options.steps) * kColumnBytes);
  CollectOptions limited = options;
  limited.environments = static_cast<int>(std::min<int64_t>(options.environments, options.steps));
  return Collector(limited, player, path).Run();
}

}  // namespace hidreamer::data
