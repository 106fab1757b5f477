#include "hidreamer/agent/observation.h"

#include "hidreamer/training/device.h"

namespace hidreamer::agent {

std::vector<uint8_t> ObserveRows(const data::EpisodeStore& store,
                                 const std::vector<int64_t>& rows) {
  std::vector<uint8_t> pixels(rows.size() * kObservationBytes);
  std::vector<uint8_t> frame(env::kFrameBytes);
  Observer observer;
  for (size_t i = 0; i < rows.size(); ++i) {
    store.ReadFrames(rows[i], rows[i] + 1, frame.data());
    observer.Observe(std::span<const uint8_t, env::kFrameBytes>(frame.data(), env::kFrameBytes),
                     pixels.data() + i * kObservationBytes);
  }
  return pixels;
}

torch::Tensor ToTensor(const std::vector<uint8_t>& pixels, torch::Device device) {
  const auto count = static_cast<int64_t>(pixels.size()) / kObservationBytes;
  // from_blob does not own: the conversion copies.
  const auto bytes = torch::from_blob(const_cast<uint8_t*>(pixels.data()),
                                      {count, kObservationBytes}, torch::kUInt8);
  return ToTensor(training::ToDevice(bytes, device));
}

torch::Tensor ToTensor(const torch::Tensor& pixels) {
  return pixels.view({pixels.size(0), 1, kObservationSize, kObservationSize})
      .to(torch::kFloat32)
      .div_(255);
}

}  // namespace hidreamer::agent
