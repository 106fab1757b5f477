#include "hidreamer/training/captured_graph.h"

#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/training/flop_meter.h"

#ifdef HID_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#endif

namespace hidreamer::training {

#ifdef HID_CUDA

namespace {

constexpr int64_t kRunsBefore = 2;  // libraries allocate what they keep in their first runs

}  // namespace

struct CapturedGraph::Recording {
  at::cuda::CUDAGraph graph;
  Tensors inputs, results, gradients;
};

CapturedGraph::Tensors CapturedGraph::Run(const Tensors& inputs) {
  HID_CHECK(!inputs.empty(), "graphed work without an input");
  if (!inputs[0].is_cuda() || FlopMeter::Watching()) {
    return Call(inputs);
  }
  if (recording_ == nullptr) {
    // A recording cannot be made on the default stream, nor with what autograd keeps of a run
    // there: the runs before are made on another one, too, and each is waited for.
    const auto stream = c10::cuda::getStreamFromPool();
    torch::cuda::synchronize();
    if (runs_++ < kRunsBefore) {
      const c10::cuda::CUDAStreamGuard guard(stream);
      Tensors results = Call(inputs);
      torch::cuda::synchronize();
      return results;
    }
    auto recording = std::make_unique<Recording>();
    for (const torch::Tensor& input : inputs) {
      recording->inputs.push_back(input.clone());
    }
    torch::cuda::synchronize();
    {
      const c10::cuda::CUDAStreamGuard guard(stream);
      // Other threads may go on using the GPU.
      recording->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
      recording->results = Call(recording->inputs);
      recording->graph.capture_end();
    }
    for (const NamedParameter& parameter : parameters_) {
      recording->gradients.push_back(parameter.value.grad());
    }
    recording_ = std::move(recording);
  }
  HID_CHECK(inputs.size() == recording_->inputs.size(), "{} inputs, {} recorded", inputs.size(),
            recording_->inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    HID_CHECK(inputs[i].sizes() == recording_->inputs[i].sizes(),
              "input {} has another shape than the recorded one", i);
    recording_->inputs[i].copy_(inputs[i], /*non_blocking=*/true);
  }
  recording_->graph.replay();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    parameters_[i].value.mutable_grad() = recording_->gradients[i];
  }
  Tensors results;
  for (const torch::Tensor& result : recording_->results) {
    results.push_back(result.clone());
  }
  return results;
}

#else

struct CapturedGraph::Recording {};

CapturedGraph::Tensors CapturedGraph::Run(const Tensors& inputs) { return Call(inputs); }

#endif

CapturedGraph::CapturedGraph(Work work, std::vector<NamedParameter> parameters)
    : work_(std::move(work)), parameters_(std::move(parameters)) {}

CapturedGraph::~CapturedGraph() = default;

CapturedGraph::Tensors CapturedGraph::Call(const Tensors& inputs) {
  for (NamedParameter& parameter : parameters_) {
    parameter.value.mutable_grad().reset();
  }
  Tensors results = work_(inputs);
  for (torch::Tensor& result : results) {
    result = result.detach();
  }
  return results;
}

}  // namespace hidreamer::training
