#include "hidreamer/training/device.h"

#include "hidreamer/base/error.h"
#include "hidreamer/training/process_group.h"
#include "hidreamer/training/torch_compat.h"

#ifdef HID_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace hidreamer::training {

torch::Device UseDevice(const std::string& name) {
  if (name == "cpu") {
    return torch::kCPU;
  }
  if (name != "cuda") {
    throw UserError("cpu or cuda", "unknown device '{}'", name);
  }
  if (!torch::cuda::is_available()) {
    throw UserError("a GPU needs a build with HID_CUDA (README.md, Other builds) and its driver",
                    "no CUDA device is available");
  }
#ifdef HID_CUDA
  c10::cuda::set_device(
      static_cast<c10::DeviceIndex>(ProcessGroup::RankHere() % c10::cuda::device_count()));
#endif
  compat::AllowTf32(true);
  return torch::kCUDA;
}

torch::Tensor ToDevice(const torch::Tensor& tensor, torch::Device device) {
  if (device.is_cpu()) {
    return tensor;
  }
  // From pinned memory the copy is queued like any other work.
  return tensor.pin_memory().to(device, /*non_blocking=*/true);
}

void WaitFor(torch::Device device) {
  if (device.is_cuda()) {
    torch::cuda::synchronize();
  }
}

#ifdef HID_CUDA

namespace {

// The same one each time: libraries keep memory for every stream that they have seen.
c10::cuda::CUDAStream SecondStream() {
  static const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  return stream;
}

}  // namespace

struct OwnStream::Stream {
  c10::cuda::CUDAStreamGuard guard{SecondStream()};
};

OwnStream::OwnStream(torch::Device device)
    : stream_(device.is_cuda() ? std::make_unique<Stream>() : nullptr) {}

OwnStream::~OwnStream() {
  if (stream_) {
    SecondStream().synchronize();
  }
}

#else

struct OwnStream::Stream {};
OwnStream::OwnStream(torch::Device /*device*/) {}
OwnStream::~OwnStream() = default;

#endif

}  // namespace hidreamer::training
