#include "hidreamer/encoder/embed.h"

#include <algorithm>
#include <future>
#include <numeric>
#include <vector>

#include "hidreamer/base/cores.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/progress.h"
#include "hidreamer/layers/precision.h"

namespace hidreamer::encoder {
namespace {

torch::Tensor ReadStacks(const data::EpisodeStore& store, std::span<const int64_t> rows) {
  torch::Tensor frames = torch::empty(
      {static_cast<int64_t>(rows.size()), env::kStackDepth, env::kFrameSize, env::kFrameSize},
      torch::kUInt8);
  store.ReadStacks(rows, frames.data_ptr<uint8_t>());
  return frames;
}

// While one batch is computed, the next one is read.
torch::Tensor Embed(Encoder encoder, const data::EpisodeStore& store, std::span<const int64_t> rows,
                    int64_t batch, Progress* progress) {
  HID_CHECK(batch >= 1, "batch = {}", batch);
  torch::NoGradGuard no_grad;
  encoder->eval();
  const torch::Device device = encoder->parameters().front().device();
  const layers::AutocastGuard full(device, layers::Precision::kF32);
  torch::Tensor embeddings =
      torch::empty({static_cast<int64_t>(rows.size()), encoder->options().width});
  const auto read = [&store, rows, batch](size_t begin) {
    RunOnAnyCore();
    return ReadStacks(
        store, rows.subspan(begin, std::min(static_cast<size_t>(batch), rows.size() - begin)));
  };
  std::future<torch::Tensor> next;
  if (!rows.empty()) {
    next = std::async(std::launch::async, read, size_t{0});
  }
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(batch)) {
    if (progress != nullptr && InterruptRequested()) {
      throw Interrupted();
    }
    const torch::Tensor frames = next.get();
    if (begin + static_cast<size_t>(batch) < rows.size()) {
      next = std::async(std::launch::async, read, begin + static_cast<size_t>(batch));
    }
    const auto first = static_cast<int64_t>(begin);
    embeddings.narrow(0, first, frames.size(0)).copy_(encoder->forward(frames.to(device)));
    if (progress != nullptr) {
      progress->Update(first + frames.size(0));
    }
  }
  return embeddings;
}

}  // namespace

torch::Tensor EmbedStore(Encoder encoder, const data::EpisodeStore& store, int64_t batch) {
  std::vector<int64_t> rows(static_cast<size_t>(store.size()));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  Progress progress("embed " + store.info().game, store.size(), "frames");
  return Embed(encoder, store, rows, batch, &progress);
}

torch::Tensor EmbedRows(Encoder encoder, const data::EpisodeStore& store,
                        std::span<const int64_t> rows, int64_t batch) {
  return Embed(encoder, store, rows, batch, nullptr);
}

}  // namespace hidreamer::encoder
