#include <span>

#include "hidreamer/data/windows.h"
#include "hidreamer/parity/parity.h"

namespace hidreamer::parity {

std::vector<ParityRow> CheckWindowIndex(const ParityComponent& component) {
  const torch::Tensor ends = component.Input("dones").contiguous();  // (N) u8
  const std::vector<int64_t> starts = data::ValidWindowStarts(
      std::span(ends.data_ptr<uint8_t>(), static_cast<size_t>(ends.numel())),
      component.config().at("seq_len"));
  return {component.Compare("valid_starts", torch::tensor(starts, torch::kInt64))};
}

}  // namespace hidreamer::parity
