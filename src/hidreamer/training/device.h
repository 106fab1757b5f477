#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>

namespace hidreamer::training {

// The device of a config's name, "cpu" or "cuda", set up for training: f32 products on CUDA may use
// TF32, and of several processes on a machine each takes the next GPU. Throws a user Error where
// there is no such device.
torch::Device UseDevice(const std::string& name);

// A CPU tensor on `device`, without making the host wait for work that the device still has.
torch::Tensor ToDevice(const torch::Tensor& tensor, torch::Device device);

// Waits until the device has done all that it was asked for. Nothing on a CPU.
void WaitFor(torch::Device device);

// While it lives, what its thread asks of a GPU is done beside what other threads ask for, not
// after it; at the end it is waited for. Before that, the thread may use only what the device had
// finished when the scope began. Nothing on a CPU and in a build without HID_CUDA.
class OwnStream {
 public:
  explicit OwnStream(torch::Device device);
  ~OwnStream();
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace hidreamer::training
