#include "hidreamer/encoder/frame_bank.h"

#include <algorithm>

#include "hidreamer/training/device.h"

namespace hidreamer::encoder {

FrameBank::FrameBank(const std::vector<EncoderGame>& games, torch::Device device)
    : games_(games),
      frames_(torch::empty(
          {BytesOfFrames(games) / int64_t{env::kFrameBytes}, env::kFrameSize, env::kFrameSize},
          torch::dtype(torch::kUInt8).device(device))) {
  constexpr int64_t kRowsAtOnce = 8192;
  int64_t first = 0;
  for (const EncoderGame& game : games_) {
    first_.push_back(first);
    for (int64_t begin = 0; begin < game.store->size(); begin += kRowsAtOnce) {
      const int64_t end = std::min(begin + kRowsAtOnce, game.store->size());
      const torch::Tensor read =
          torch::empty({end - begin, env::kFrameSize, env::kFrameSize}, torch::kUInt8);
      game.store->ReadFrames(begin, end, read.data_ptr<uint8_t>());
      frames_.narrow(0, first + begin, end - begin).copy_(read);
    }
    first += game.store->size();
  }
}

torch::Tensor FrameBank::PlacesOf(const std::vector<FrameRow>& rows) const {
  torch::Tensor places =
      torch::empty({static_cast<int64_t>(rows.size()), env::kStackDepth}, torch::kLong);
  auto* to = places.data_ptr<int64_t>();
  for (const FrameRow& row : rows) {
    const auto game = static_cast<size_t>(row.game);
    for (const int64_t frame : games_[game].store->RowsOfStack(row.row)) {
      *to++ = first_[game] + frame;
    }
  }
  return places;
}

torch::Tensor FrameBank::Gather(const torch::Tensor& places) const {
  return frames_.index_select(0, training::ToDevice(places.flatten(), frames_.device()))
      .view({places.size(0), env::kStackDepth, env::kFrameSize, env::kFrameSize});
}

}  // namespace hidreamer::encoder
