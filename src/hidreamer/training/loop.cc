#include "hidreamer/training/loop.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/json_lines.h"
#include "hidreamer/base/progress.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/training/checkpoint.h"
#include "hidreamer/training/nan_report.h"
#include "hidreamer/training/tensorboard.h"

namespace hidreamer::training {
namespace {

using Clock = std::chrono::steady_clock;

// A stage writes at most about this many records of single updates.
constexpr int64_t kStepRecords = 2000;

// Metrics on a device are read after so many updates, so that host and device work at once: the
// one is at most that far ahead of the other, and a loss that is NaN is seen so late.
constexpr int64_t kLookEvery = 16;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// metrics.jsonl and the event files beside it.
class Records {
 public:
  // Drops records after update `updates`: a killed run wrote them after its last checkpoint.
  Records(const std::filesystem::path& directory, int64_t updates)
      : events_(directory, Now(), updates + 1) {
    const std::filesystem::path path = directory / "metrics.jsonl";
    TruncateJsonLines(path, "step", updates);
    for (const nlohmann::json& record : ReadJsonLines(path)) {
      epoch_ended_ = record.contains("epoch") ? record.value("step", int64_t{0}) : epoch_ended_;
    }
    writer_ = std::make_unique<JsonLinesWriter>(path);
  }

  // Updates after which the last recorded epoch ended.
  int64_t epoch_ended() const { return epoch_ended_; }

  void Write(nlohmann::json record) {
    record["time"] = Now();
    writer_->Write(record);
    events_.Write(record);
  }

 private:
  EventFile events_;
  int64_t epoch_ended_ = 0;
  std::unique_ptr<JsonLinesWriter> writer_;
};

nlohmann::json Record(const nlohmann::json& values, int64_t step) {
  nlohmann::json record = values.is_object() ? values : nlohmann::json::object();
  record["step"] = step;
  return record;
}

struct Done {
  int64_t updates = 0;
  double seconds = 0;
};

// Restores the newest checkpoint.
Done Resume(Learner& learner, const TrainingOptions& options) {
  std::optional<Checkpoint> checkpoint = LoadNewestCheckpoint(options.directory / "checkpoints");
  if (!checkpoint.has_value()) {
    return {};
  }
  const nlohmann::json config = options.identity.value("config", nlohmann::json());
  if (checkpoint->identity.value("config", nlohmann::json()) != config) {
    throw UserError("choose another --out, or move it away to begin this stage anew",
                    "the checkpoint in {} belongs to another config", options.directory.string());
  }
  for (const char* key : {"torch", "hidreamer"}) {
    const nlohmann::json before = checkpoint->identity.value(key, nlohmann::json());
    if (before != options.identity.value(key, nlohmann::json())) {
      spdlog::warn("{}: the checkpoint was written by {} {}; results may differ in the last bits",
                   learner.name(), key, before.dump());
    }
  }
  if (checkpoint->updates > learner.total_updates()) {
    throw UserError("ask for at least as many, or choose another --out",
                    "{} has done {} updates, more than the {} that are asked for",
                    options.directory.string(), checkpoint->updates, learner.total_updates());
  }
  learner.LoadState(checkpoint->state);
  spdlog::info("{}: goes on at update {} of {}", learner.name(), checkpoint->updates,
               learner.total_updates());
  return {.updates = checkpoint->updates, .seconds = checkpoint->seconds};
}

// The metrics of updates that were not read yet. On a GPU they are read some updates later.
class Unread {
 public:
  Unread(Learner& learner, std::filesystem::path directory)
      : learner_(learner), directory_(std::move(directory)) {}

  // Performs the update.
  void Update(int64_t update) {
    try {
      metrics_.push_back(learner_.Update(update));
      next_ = update + 1;
    } catch (const NotFinite& error) {
      Read();  // it may have begun before
      StopAtNonFinite(learner_, directory_, update, error.number());
    } catch (const Interrupted&) {
      throw;
    } catch (...) {  // a NaN may be why
      Read();
      throw;
    }
  }
  bool AtHand() const { return metrics_.back().AtHand(); }
  // Those of the last update, null where all were read before. All are checked.
  nlohmann::json Read() {
    if (metrics_.empty()) {
      return nullptr;
    }
    const std::vector<Metrics> metrics = std::exchange(metrics_, {});
    const std::vector<nlohmann::json> values = Metrics::ReadAll(metrics);
    const int64_t first = next_ - std::ssize(values);
    for (size_t i = 0; i < values.size(); ++i) {
      if (const std::string number = FirstNonFinite(values[i]); !number.empty()) {
        StopAtNonFinite(learner_, directory_, first + static_cast<int64_t>(i), number);
      }
    }
    return values.back();
  }

 private:
  Learner& learner_;
  std::filesystem::path directory_;
  std::vector<Metrics> metrics_;
  int64_t next_ = 0;  // update after the last one
};

// The leader's state and update become everyone's. Returns the update.
int64_t ShareStart(Learner& learner, ProcessGroup& group, int64_t first) {
  if (group.size() == 1) {
    return first;
  }
  formats::TensorMap state = learner.State();
  std::vector<torch::Tensor> tensors = {torch::tensor(first, torch::kLong)};
  for (auto& [name, tensor] : state) {
    tensor = tensor.clone();
    tensors.push_back(tensor);
  }
  group.Share(tensors);
  if (!group.leads()) {
    learner.LoadState(state);
  }
  return tensors.front().item<int64_t>();
}

// Training in a process that leads no group: the same updates, and nothing written.
TrainingResult Follow(Learner& learner, ProcessGroup& group) {
  const Clock::time_point start = Clock::now();
  const int64_t first = ShareStart(learner, group, 0);
  const int64_t total = learner.total_updates();
  Unread unread(learner, {});
  for (int64_t update = first; update < total; ++update) {
    unread.Update(update);
    if (group.Any(InterruptRequested())) {
      throw Interrupted();
    }
    if ((update + 1) % kLookEvery == 0 || update + 1 == total || unread.AtHand()) {
      unread.Read();
    }
  }
  return {.updates = total - first, .seconds = SecondsSince(start)};
}

std::string Status(const nlohmann::json& values) {
  const auto loss = values.find("loss");
  return loss != values.end() && loss->is_number() ? fmt::format("loss {:.4f}", loss->get<double>())
                                                   : std::string();
}

}  // namespace

TrainingResult Train(Learner& learner, const TrainingOptions& options) {
  ProcessGroup alone;
  ProcessGroup& group = options.group != nullptr ? *options.group : alone;
  if (!group.leads()) {
    return Follow(learner, group);
  }
  EnsureWritableDirectory(options.directory);
  const Clock::time_point start = Clock::now();
  const Done before = Resume(learner, options);
  const int64_t first = before.updates;
  const auto seconds = [&] { return before.seconds + SecondsSince(start); };
  ShareStart(learner, group, first);
  const int64_t total = learner.total_updates();
  const int64_t per_epoch = learner.updates_per_epoch();
  HID_CHECK(per_epoch > 0, "updates_per_epoch = {}", per_epoch);
  const int64_t record_every = std::max<int64_t>(1, total / kStepRecords);

  WriteFileAtomically(options.directory / "training.json",
                      nlohmann::json{{"updates", total}}.dump() + "\n");
  Records records(options.directory, first);
  Unread unread(learner, options.directory);
  const auto state_after = [&](int64_t updates) {
    unread.Read();
    formats::TensorMap state = learner.State();
    if (const std::string name = FirstNonFinite(state); !name.empty()) {
      StopAtNonFinite(learner, options.directory, std::max<int64_t>(0, updates - 1), name);
    }
    return state;
  };
  const auto publish = [&](const formats::TensorMap& state) {
    formats::SaveSafetensors(options.directory / "model.safetensors",
                             formats::WithoutPrefix(state, "model."), options.metadata);
  };
  const auto save = [&](int64_t updates) {
    const formats::TensorMap state = state_after(updates);
    SaveCheckpoint(
        options.directory / "checkpoints",
        {.updates = updates, .state = state, .identity = options.identity, .seconds = seconds()});
    if (options.publish_often) {
      publish(state);
    }
  };
  const auto end_epoch = [&](int64_t updates) {
    const int64_t epoch = (updates - 1) / per_epoch;
    nlohmann::json record = Record(learner.EndEpoch(epoch), updates);
    if (const std::string loss = FirstNonFiniteLoss(record); !loss.empty()) {
      StopAtNonFinite(learner, options.directory, updates - 1, loss);
    }
    record["epoch"] = epoch + 1;
    records.Write(record);
  };
  // The last epoch may be a shorter one.
  const auto ends_epoch = [&](int64_t updates) {
    return updates % per_epoch == 0 || updates == total;
  };
  if (first > 0 && ends_epoch(first) && records.epoch_ended() != first) {
    end_epoch(first);  // which was interrupted
  }
  Progress progress(options.title.empty() ? learner.name() : options.title, total, "updates",
                    first);
  Clock::time_point last_checkpoint = Clock::now();
  int64_t done = first;
  try {
    while (done < total) {
      unread.Update(done);
      ++done;
      const bool stop = group.Any(InterruptRequested());
      const bool saves = stop || SecondsSince(last_checkpoint) >= options.checkpoint_seconds;
      const bool recorded = done % record_every == 0 || done == total;
      std::string status;
      if (recorded || saves || done % kLookEvery == 0 || unread.AtHand()) {
        const nlohmann::json values = unread.Read();
        if (recorded) {
          records.Write(Record(values, done));
        }
        status = Status(values);
      }
      progress.Update(done, status);
      if (ends_epoch(done)) {
        end_epoch(done);
      }
      if (stop) {
        throw Interrupted();
      }
      if (saves) {
        save(done);
        last_checkpoint = Clock::now();
      }
    }
  } catch (const Interrupted&) {
    save(done);
    progress.Finish();
    throw;
  }
  progress.Finish();
  const formats::TensorMap state = state_after(total);
  publish(state);
  if (options.keep_last_state) {
    SaveCheckpoint(
        options.directory / "checkpoints",
        {.updates = total, .state = state, .identity = options.identity, .seconds = seconds()},
        /*kept=*/1);
  }
  if (group.size() > 1) {
    spdlog::info("{} processes: {:.1f} % of the time spent in exchanging gradients and waiting",
                 group.size(), 100 * group.seconds() / SecondsSince(start));
  }
  return {.updates = total - first, .seconds = seconds()};
}

}  // namespace hidreamer::training
