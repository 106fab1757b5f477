#include "hidreamer/encoder/encoder_learner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "hidreamer/base/cores.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/memory.h"
#include "hidreamer/data/left_out.h"
#include "hidreamer/encoder/info_nce.h"
#include "hidreamer/training/device.h"
#include "hidreamer/training/metrics.h"

namespace hidreamer::encoder {
namespace {

constexpr size_t kMaxValidationPairs = 2048;

// Half a cosine over the epochs, as the reference's schedule: constant within an epoch.
double LearningRate(const config::EncoderConfig& config, int64_t epoch) {
  const double share = static_cast<double>(epoch) / static_cast<double>(config.epochs);
  return config.final_lr +
         (config.lr - config.final_lr) * 0.5 * (1 + std::cos(std::numbers::pi * share));
}

// An epoch reads every frame some times over, in random order, and to decompress the blocks around
// them again each time takes a tenth of its time. The text's three games are 2.1 GB.
constexpr int64_t kMostKeptBytes = int64_t{4} << 30;

// The rows one step later appended.
std::vector<FrameRow> WithSuccessors(std::vector<FrameRow> anchors) {
  const size_t count = anchors.size();
  anchors.reserve(3 * count);
  for (size_t i = 0; i < count; ++i) {
    FrameRow next = anchors[i];
    ++next.row;
    anchors.push_back(next);
  }
  return anchors;
}

}  // namespace

EncoderLearner::EncoderLearner(std::vector<EncoderGame> games, const config::EncoderConfig& config,
                               const SeedTree& seeds, layers::Precision precision,
                               torch::Device device)
    : games_(std::move(games)),
      config_(config),
      seeds_(seeds),
      precision_(precision),
      device_(device),
      anchors_(AnchorsOf(games_, /*validation=*/false)),
      validation_anchors_(AnchorsOf(games_, /*validation=*/true)) {
  const auto count = static_cast<int64_t>(anchors_.size());
  if (count < 2) {
    throw UserError("record more steps", "the games hold {} pairs of frames to train on", count);
  }
  for (const EncoderGame& game : games_) {
    data::NoteLeftOut("encoder", game.store->info().game, game.split.train, 2);
  }
  batch_ = std::min(config_.batch, count);
  if (batch_ < config_.batch) {
    spdlog::warn("encoder: batches of {} frames instead of {}, there are no more", batch_,
                 config_.batch);
  }
  updates_per_epoch_ = count / batch_;
  if (config_.updates_per_epoch > 0) {
    updates_per_epoch_ = std::min(updates_per_epoch_, config_.updates_per_epoch);
  }
  if (validation_anchors_.size() > kMaxValidationPairs) {  // the same ones after every epoch
    Rng rng = seeds_.Generator("encoder/validation");
    const auto order = rng.Permutation(static_cast<int64_t>(validation_anchors_.size()));
    std::vector<FrameRow> chosen;
    for (size_t i = 0; i < kMaxValidationPairs; ++i) {
      chosen.push_back(validation_anchors_[static_cast<size_t>(order[i])]);
    }
    validation_anchors_ = std::move(chosen);
  }
  torch::manual_seed(seeds_.Stream("encoder/initial_weights"));
  encoder_ = Encoder(EncoderOptions{});
  encoder_->to(device_);
  const int64_t bytes = BytesOfFrames(games_);
  if (device_.is_cuda() && bytes <= kMostKeptBytes) {
    bank_ = std::make_unique<const FrameBank>(games_, device_);
  } else if (bytes <= std::min(kMostKeptBytes, MemoryOfMachine() / 4)) {
    for (const EncoderGame& game : games_) {
      game.store->KeepFrames();
    }
  }
  if (device_.is_cuda() && bank_ == nullptr) {  // a GPU trains faster than one thread reads
    fetched_ahead_ = static_cast<size_t>(std::clamp(DefaultThreads() / 2, 1, 8));
  }
  adam_ =
      std::make_unique<training::Adam>(training::NamedParameters(*encoder_),
                                       training::AdamOptions{.weight_decay = config_.weight_decay});
}

EncoderLearner::~EncoderLearner() = default;  // a future from std::async waits for its thread

std::vector<FrameRow> EncoderLearner::AnchorsOfUpdate(int64_t update) {
  const int64_t epoch = update / updates_per_epoch_;
  if (epoch != order_epoch_) {
    Rng rng = seeds_.Generator("encoder/order", static_cast<uint64_t>(epoch));
    order_ = rng.Permutation(static_cast<int64_t>(anchors_.size()));
    order_epoch_ = epoch;
  }
  const int64_t first = (update % updates_per_epoch_) * batch_;
  std::vector<FrameRow> anchors;
  anchors.reserve(static_cast<size_t>(batch_));
  for (int64_t i = first; i < first + batch_; ++i) {
    anchors.push_back(anchors_[static_cast<size_t>(order_[static_cast<size_t>(i)])]);
  }
  return anchors;
}

torch::Tensor EncoderLearner::Read(const std::vector<FrameRow>& rows) const {
  return bank_ != nullptr ? bank_->PlacesOf(rows) : GatherFrames(games_, rows);
}

torch::Tensor EncoderLearner::OnDevice(const torch::Tensor& read) const {
  return bank_ != nullptr ? bank_->Gather(read) : training::ToDevice(read, device_);
}

EncoderLearner::Batch EncoderLearner::Fetch(int64_t update,
                                            const std::vector<FrameRow>& anchors) const {
  Batch batch{.update = update, .frames = {}, .excluded = {}};
  std::vector<FrameRow> rows = WithSuccessors(anchors);
  if (config_.negatives == "one") {
    Rng rng = seeds_.Generator("encoder/negatives", static_cast<uint64_t>(update));
    const std::vector<FrameRow> negatives = DrawNegatives(games_, anchors, rng);
    rows.insert(rows.end(), negatives.begin(), negatives.end());
  } else {
    batch.excluded = ExcludedNegatives(anchors);
  }
  batch.frames = Read(rows);
  return batch;
}

EncoderLearner::Batch EncoderLearner::TakeBatch(int64_t update) {
  Batch batch;
  if (!ahead_.empty()) {
    batch = ahead_.front().get();
    ahead_.pop_front();
  }
  if (batch.update != update) {  // the first update of a process
    ahead_.clear();
    batch = Fetch(update, AnchorsOfUpdate(update));
  }
  for (int64_t next = update + 1 + static_cast<int64_t>(ahead_.size());
       ahead_.size() < fetched_ahead_ && next < total_updates(); ++next) {
    ahead_.push_back(std::async(std::launch::async, [this, next, anchors = AnchorsOfUpdate(next)] {
      RunOnAnyCore();
      return Fetch(next, anchors);
    }));
  }
  return batch;
}

training::Metrics EncoderLearner::Update(int64_t update) {
  const Batch batch = TakeBatch(update);
  encoder_->train();
  const double lr = LearningRate(config_, update / updates_per_epoch_);
  InfoNceOutput output;
  {
    const layers::AutocastGuard autocast(device_, precision_);
    const torch::Tensor embeddings = encoder_->forward(OnDevice(batch.frames));  // (2B|3B, D)
    const auto parts = embeddings.split(batch_);
    const layers::AutocastGuard full(device_, layers::Precision::kF32);
    output = config_.negatives == "one"
                 ? OneNegativeInfoNce(parts[0], parts[1], parts[2], config_.temperature)
                 : InBatchInfoNce(parts[0], parts[1], training::ToDevice(batch.excluded, device_),
                                  config_.temperature);
  }
  adam_->ZeroGrad();
  output.loss.backward();
  training::Metrics metrics;
  metrics.Add("loss", output.loss);
  metrics.Add("accuracy", output.accuracy);
  metrics.Add("lr", lr);
  metrics.Add("grad_norm", training::ClipGradNorm(adam_->parameters(), config_.clip_norm));
  adam_->Step(lr);
  return metrics;
}

formats::TensorMap EncoderLearner::BatchOf(int64_t update) {
  const Batch batch = Fetch(update, AnchorsOfUpdate(update));
  formats::TensorMap tensors = {{"frames", OnDevice(batch.frames)}};
  if (batch.excluded.defined()) {
    tensors["excluded"] = batch.excluded.to(torch::kUInt8);
  }
  return tensors;
}

nlohmann::json EncoderLearner::EndEpoch(int64_t /*epoch*/) {
  const size_t count = validation_anchors_.size();
  if (count < 2) {
    return nlohmann::json::object();
  }
  torch::NoGradGuard no_grad;
  encoder_->eval();
  double loss = 0, accuracy = 0;
  size_t pairs = 0;
  for (size_t begin = 0; begin + 1 < count; begin += static_cast<size_t>(batch_)) {
    const size_t end = std::min(begin + static_cast<size_t>(batch_), count);
    const std::vector<FrameRow> anchors(
        validation_anchors_.begin() + static_cast<std::ptrdiff_t>(begin),
        validation_anchors_.begin() + static_cast<std::ptrdiff_t>(end));
    const torch::Tensor frames = OnDevice(Read(WithSuccessors(anchors)));
    const auto parts = encoder_->forward(frames).split(static_cast<int64_t>(anchors.size()));
    const InfoNceOutput output = InBatchInfoNce(
        parts[0], parts[1], ExcludedNegatives(anchors).to(device_), config_.temperature);
    const auto weight = static_cast<double>(anchors.size());
    loss += weight * output.loss.item<double>();
    accuracy += weight * output.accuracy.item<double>();
    pairs += anchors.size();
  }
  const auto total = static_cast<double>(pairs);
  return {{"validation_loss", loss / total},
          {"validation_accuracy", accuracy / total},
          {"validation_pairs", pairs}};
}

formats::TensorMap EncoderLearner::State() const {
  formats::TensorMap state = formats::NamedState(*encoder_, "model.");
  formats::InsertWithPrefix(state, adam_->State(), "optimizer.");
  return state;
}

void EncoderLearner::LoadState(const formats::TensorMap& state) {
  formats::LoadNamedState(*encoder_, state, "model.");
  adam_->LoadState(formats::WithoutPrefix(state, "optimizer."));
}

}  // namespace hidreamer::encoder
