#include "hidreamer/agent/observation.h"

namespace hidreamer::agent {

torch::Tensor ToTensor(const std::vector<uint8_t>& pixels, torch::Device device) {
  const auto count = static_cast<int64_t>(pixels.size()) / kObservationBytes;
  // from_blob does not own: the conversion copies.
  return torch::from_blob(const_cast<uint8_t*>(pixels.data()),
                          {count, 1, kObservationSize, kObservationSize}, torch::kUInt8)
      .to(device)
      .to(torch::kFloat32)
      .div_(255);
}

}  // namespace hidreamer::agent
