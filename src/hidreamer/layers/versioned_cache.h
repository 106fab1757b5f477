#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace hidreamer::layers {

// Something made from parameters, kept for as long as they stay the same: they are known by their
// places and version counters, which torch raises at every change. Several threads may ask for it.
template <class Made>
class VersionedCache {
 public:
  // make() -> Made, of the parameters as they are now.
  template <class Make>
  std::shared_ptr<const Made> Get(const std::vector<torch::Tensor>& parameters, const Make& make) {
    std::vector<std::pair<const void*, int64_t>> versions;
    for (const torch::Tensor& parameter : parameters) {
      versions.emplace_back(parameter.data_ptr(), parameter._version());
    }
    const std::lock_guard lock(mutex_);
    if (made_ == nullptr || versions_ != versions) {
      made_ = std::make_shared<const Made>(make());
      versions_ = std::move(versions);
    }
    return made_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<const void*, int64_t>> versions_;
  std::shared_ptr<const Made> made_;
};

}  // namespace hidreamer::layers
