#pragma once

#include <torch/torch.h>

#include <deque>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/config/config.h"
#include "hidreamer/encoder/encoder.h"
#include "hidreamer/encoder/frame_bank.h"
#include "hidreamer/encoder/frame_pairs.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/learner.h"
#include "hidreamer/training/optimizer.h"

namespace hidreamer::encoder {

// Trains one encoder on all games by telling the next frame of an episode apart from other frames.
// Batches mix the games; an epoch visits every training pair once in an order drawn from
// Stream("encoder/order", epoch). While one update computes, a thread fetches the next one's frames
// (which frames is a function of the update's index alone, so the result does not depend on it).
class EncoderLearner : public training::Learner {
 public:
  // Throws a user Error where the games hold no pair of frames to train on.
  EncoderLearner(std::vector<EncoderGame> games, const config::EncoderConfig& config,
                 const SeedTree& seeds, layers::Precision precision = layers::Precision::kF32,
                 torch::Device device = torch::kCPU);
  ~EncoderLearner() override;

  std::string name() const override { return "encoder"; }
  int64_t total_updates() const override { return config_.epochs * updates_per_epoch_; }
  int64_t updates_per_epoch() const override { return updates_per_epoch_; }
  // {"loss", "accuracy", "lr", "grad_norm"}
  training::Metrics Update(int64_t update) override;
  formats::TensorMap BatchOf(int64_t update) override;
  // {"validation_loss", "validation_accuracy", "validation_pairs"} on pairs of held-out episodes,
  // always against the other rows of a batch, so that both kinds of negatives compare; empty where
  // nothing is held out.
  nlohmann::json EndEpoch(int64_t epoch) override;
  formats::TensorMap State() const override;
  void LoadState(const formats::TensorMap& state) override;

  Encoder encoder() const { return encoder_; }
  std::map<std::string, std::string> Metadata() const {
    return encoder::Metadata(encoder_->options());
  }

 private:
  struct Batch {
    int64_t update = -1;
    torch::Tensor frames;    // Read()'s of anchors, positives, and negatives if drawn
    torch::Tensor excluded;  // (B, B) bool, for in-batch negatives
  };
  std::vector<FrameRow> AnchorsOfUpdate(int64_t update);
  // What a thread fetches of observations: themselves, or where they lie in the bank.
  torch::Tensor Read(const std::vector<FrameRow>& rows) const;
  // The same as observations (N, 4, 84, 84) u8 on the device.
  torch::Tensor OnDevice(const torch::Tensor& read) const;
  Batch Fetch(int64_t update, const std::vector<FrameRow>& anchors) const;
  Batch TakeBatch(int64_t update);

  std::vector<EncoderGame> games_;
  config::EncoderConfig config_;
  SeedTree seeds_;
  layers::Precision precision_;
  torch::Device device_;
  std::vector<FrameRow> anchors_, validation_anchors_;
  int64_t batch_ = 0, updates_per_epoch_ = 0;
  std::vector<int64_t> order_;  // of the anchors in epoch order_epoch_
  int64_t order_epoch_ = -1;
  Encoder encoder_{nullptr};
  std::unique_ptr<training::Adam> adam_;
  std::unique_ptr<const FrameBank> bank_;  // on a GPU, where all frames are few enough for it
  size_t fetched_ahead_ = 1;               // batches read while this one is trained on
  std::deque<std::future<Batch>> ahead_;   // of the next updates
};

}  // namespace hidreamer::encoder
