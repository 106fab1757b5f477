#include "hidreamer/data/collect.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/new_directory.h"
#include "hidreamer/base/progress.h"
#include "hidreamer/base/temporary_directory.h"
#include "hidreamer/data/game_recorder.h"
#include "hidreamer/data/store_format.h"
#include "hidreamer/env/vector_environment.h"

namespace hidreamer::data {
namespace fs = std::filesystem;

namespace {

// Of a step on disk, without its frame, which may be next to nothing.
constexpr double kColumnBytes = env::kRamBytes + 2 * sizeof(float);

// One game of the vector: its own seeds, its own file, its own tally.
struct Stream {
  explicit Stream(const fs::path& file, const StoreInfo& info) : path(file), recorder(file, info) {}

  fs::path path;
  GameRecorder recorder;
  int64_t quota = 0;  // steps it records
  uint64_t episode = 0;
  double score = 0;        // of the episode so far
  double total_score = 0;  // of whole episodes
  int64_t whole_episodes = 0;
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
      streams_.push_back(
          std::make_unique<Stream>(shards_.path() / fmt::format("{:04}", slot), info_));
      streams_.back()->quota =
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
  Stream& At(int slot) { return *streams_[static_cast<size_t>(slot)]; }

  void Begin(int slot) {
    Stream& stream = At(slot);
    games_.Reset(slot, seeds_.Stream(fmt::format("episode/{}", slot), stream.episode));
    ++stream.episode;
    stream.score = 0;
    stream.recorder.Observe(games_.environment(slot));
  }

  // One step of every game that has not recorded its share. Returns how many there were.
  int64_t Step() {
    std::vector<int> slots;
    for (int slot = 0; slot < games_.size(); ++slot) {
      if (At(slot).recorder.writer().size() < At(slot).quota) {
        slots.push_back(slot);
      }
    }
    games_.Play(slots, player_, rngs_, [&](int slot, int action, const env::StepResult& result) {
      Stream& stream = At(slot);
      stream.recorder.Append(games_.environment(slot), action, result);
      stream.score += result.reward;
      if (result.terminal || result.truncated) {
        stream.total_score += stream.score;
        ++stream.whole_episodes;
        Begin(slot);
      }
    });
    return static_cast<int64_t>(slots.size());
  }

  CollectSummary Merge() {
    CollectSummary summary;
    EpisodeStoreWriter writer(path_, info_);
    double total_score = 0;
    for (const auto& stream : streams_) {
      if (stream->quota > 0) {
        stream->recorder.writer().Finish();
        writer.AppendStore(EpisodeStore(stream->path));
      }
      summary.episodes += stream->whole_episodes;
      total_score += stream->total_score;
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
  std::vector<std::unique_ptr<Stream>> streams_;
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
