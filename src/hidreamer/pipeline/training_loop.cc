#include "hidreamer/pipeline/training_loop.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/json_lines.h"
#include "hidreamer/base/progress.h"
#include "hidreamer/nn/safetensors.h"
#include "hidreamer/pipeline/checkpoint.h"
#include "hidreamer/pipeline/tensorboard.h"

namespace hidreamer::pipeline {
namespace {

using Clock = std::chrono::steady_clock;

// A stage writes at most about this many records of single updates.
constexpr int64_t kStepRecords = 2000;

// Figures on a device are read after so many updates, so that host and device work at once: the
// one is at most that far ahead of the other, and a loss that is no number is seen so late.
constexpr int64_t kLookEvery = 16;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// metrics.jsonl and the event file beside it.
class Metrics {
 public:
  // Drops records after update `updates`: a killed run wrote them after its last checkpoint.
  Metrics(const std::filesystem::path& directory, int64_t updates) : directory_(directory) {
    const std::filesystem::path path = directory / "metrics.jsonl";
    TruncateJsonLines(path, "step", updates);
    WriteEventFile(directory, ReadJsonLines(path));
    writer_ = std::make_unique<JsonLinesWriter>(path);
  }

  void Write(nlohmann::json record) {
    record["time"] =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    writer_->Write(record);
    AppendToEventFile(directory_, record);
  }

 private:
  std::filesystem::path directory_;
  std::unique_ptr<JsonLinesWriter> writer_;
};

nlohmann::json Record(const nlohmann::json& values, int64_t step) {
  nlohmann::json record = values.is_object() ? values : nlohmann::json::object();
  record["step"] = step;
  return record;
}

// Restores the newest checkpoint; returns the updates done.
int64_t Resume(nn::Learner& learner, const TrainingOptions& options) {
  std::optional<Checkpoint> checkpoint = LoadNewestCheckpoint(options.directory / "checkpoints");
  if (!checkpoint.has_value()) {
    return 0;
  }
  const nlohmann::json config = options.identity.value("config", nlohmann::json());
  if (checkpoint->identity.value("config", nlohmann::json()) != config) {
    throw UserError("choose another --out, or --force to begin this stage anew",
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
    throw UserError("--force begins this stage anew", "the checkpoint in {} is at update {} of {}",
                    options.directory.string(), checkpoint->updates, learner.total_updates());
  }
  learner.LoadState(checkpoint->state);
  spdlog::info("{}: goes on at update {} of {}", learner.name(), checkpoint->updates,
               learner.total_updates());
  return checkpoint->updates;
}

void CheckLoss(const nn::Learner& learner, const nlohmann::json& values, int64_t update) {
  const auto loss = values.find("loss");
  if (loss != values.end() && loss->is_number() && !std::isfinite(loss->get<double>())) {
    throw UserError("lower the learning rate; the last checkpoint before it was kept",
                    "{}: the loss of update {} is not a finite number", learner.name(), update);
  }
}

// The leader's state and update become everyone's. Returns the update.
int64_t ShareStart(nn::Learner& learner, nn::ProcessGroup& group, int64_t first) {
  if (group.size() == 1) {
    return first;
  }
  nn::TensorMap state = learner.State();
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
TrainingResult Follow(nn::Learner& learner, nn::ProcessGroup& group) {
  const Clock::time_point start = Clock::now();
  const int64_t first = ShareStart(learner, group, 0);
  const int64_t total = learner.total_updates();
  for (int64_t update = first; update < total; ++update) {
    const nn::Figures figures = learner.Update(update);
    if (group.Any(InterruptRequested())) {
      throw Interrupted();
    }
    if ((update + 1) % kLookEvery == 0 || update + 1 == total || figures.AtHand()) {
      CheckLoss(learner, figures.Read(), update);
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

TrainingResult Train(nn::Learner& learner, const TrainingOptions& options) {
  nn::ProcessGroup alone;
  nn::ProcessGroup& group = options.group != nullptr ? *options.group : alone;
  if (!group.leads()) {
    return Follow(learner, group);
  }
  EnsureWritableDirectory(options.directory);
  const Clock::time_point start = Clock::now();
  const int64_t first = Resume(learner, options);
  ShareStart(learner, group, first);
  const int64_t total = learner.total_updates();
  const int64_t per_epoch = learner.updates_per_epoch();
  HID_CHECK(per_epoch > 0, "updates_per_epoch = {}", per_epoch);
  const int64_t record_every = std::max<int64_t>(1, total / kStepRecords);

  Metrics metrics(options.directory, first);
  const auto publish = [&](const nn::TensorMap& state) {
    nn::SaveSafetensors(options.directory / "model.safetensors", nn::WithoutPrefix(state, "model."),
                        options.metadata);
  };
  const auto save = [&](int64_t updates) {
    const nn::TensorMap state = learner.State();
    SaveCheckpoint(options.directory / "checkpoints",
                   {.updates = updates, .state = state, .identity = options.identity});
    if (options.publish_often) {
      publish(state);
    }
  };
  Progress progress(options.title.empty() ? learner.name() : options.title, total, "updates",
                    first);
  Clock::time_point last_checkpoint = Clock::now();
  for (int64_t update = first; update < total; ++update) {
    const int64_t done = update + 1;
    const nn::Figures figures = learner.Update(update);
    const bool stop = group.Any(InterruptRequested());
    const bool saves = stop || SecondsSince(last_checkpoint) >= options.checkpoint_seconds;
    const bool recorded = done % record_every == 0 || done == total;
    std::string status;
    if (recorded || saves || done % kLookEvery == 0 || figures.AtHand()) {
      const nlohmann::json values = figures.Read();
      CheckLoss(learner, values, update);
      if (recorded) {
        metrics.Write(Record(values, done));
      }
      status = Status(values);
    }
    progress.Update(done, status);
    if (done % per_epoch == 0 || done == total) {  // the last epoch may be a shorter one
      const int64_t epoch = update / per_epoch;
      nlohmann::json record = Record(learner.EndEpoch(epoch), done);
      record["epoch"] = epoch + 1;
      metrics.Write(record);
    }
    if (saves) {
      save(done);
      last_checkpoint = Clock::now();
    }
    if (stop) {
      progress.Finish();
      throw Interrupted();
    }
  }
  progress.Finish();
  publish(learner.State());
  if (group.size() > 1) {
    spdlog::info("{} processes: {:.1f} % of the time spent in exchanging gradients and waiting",
                 group.size(), 100 * group.seconds() / SecondsSince(start));
  }
  return {.updates = total - first, .seconds = SecondsSince(start)};
}

}  // namespace hidreamer::pipeline
