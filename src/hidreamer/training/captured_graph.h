#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <vector>

#include "hidreamer/training/optimizer.h"

namespace hidreamer::training {

// Work of fixed shapes that is done over and over. On a GPU a training step is hundreds of small
// kernels, and the host takes longer to launch them than the GPU to run them: there the third run
// is recorded as a CUDA graph, which that run and all later ones launch as one. On a CPU, in a
// build without HID_CUDA, and while a FlopMeter watches, the work is simply called.
class CapturedGraph {
 public:
  using Tensors = std::vector<torch::Tensor>;
  using Work = std::function<Tensors(const Tensors&)>;

  // `work` may read and change parameters and buffers whose place in memory stays, and draw from
  // torch's generator of the device; all else it must take from its inputs, and it must not make
  // the host wait for the device. `parameters`: those whose gradients it computes (by backward);
  // they are without one when it begins.
  explicit CapturedGraph(Work work, std::vector<NamedParameter> parameters = {});
  ~CapturedGraph();
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;

  // Inputs of the same shapes, types and device at each run. Results are without a graph of
  // gradients; those of a recording are copies.
  Tensors Run(const Tensors& inputs);
  // Never recorded: for inputs of other shapes, and for work that waits for the device.
  Tensors Call(const Tensors& inputs);

 private:
  struct Recording;

  Work work_;
  std::vector<NamedParameter> parameters_;
  int64_t runs_ = 0;
  std::unique_ptr<Recording> recording_;
};

}  // namespace hidreamer::training
