#include "hidreamer/training/captured_graph.h"

#include <gtest/gtest.h>

#include "hidreamer/training/device.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::training {
namespace {

std::vector<torch::Device> Devices() {
  std::vector<torch::Device> devices = {torch::kCPU};
  if (torch::cuda::is_available()) {
    devices.push_back(UseDevice("cuda"));
  }
  return devices;
}

// The same steps, by work that may be recorded and by plain calls.
TEST(CapturedGraph, TrainsAsPlainCallsDo) {
  for (const torch::Device device : Devices()) {
    torch::manual_seed(1);
    torch::nn::Linear graphed(4, 3), plain(4, 3);
    MoveTowards(*plain, *graphed, 1);
    graphed->to(device);
    plain->to(device);
    const auto loss = [](torch::nn::Linear& layer, const torch::Tensor& x) {
      return layer->forward(x).square().mean();
    };
    CapturedGraph work(
        [&](const CapturedGraph::Tensors& inputs) -> CapturedGraph::Tensors {
          const auto value = loss(graphed, inputs[0]);
          value.backward();
          return {value};
        },
        NamedParameters(*graphed));
    const auto step = [](torch::nn::Linear& layer) {
      torch::NoGradGuard no_grad;
      for (auto& parameter : layer->parameters()) {
        parameter.sub_(parameter.grad(), 0.1);
      }
    };
    for (int i = 0; i < 6; ++i) {
      const auto x = torch::randn({5, 4}).to(device);
      const auto result = work.Run({x});
      step(graphed);
      plain->zero_grad();
      const auto value = loss(plain, x);
      value.backward();
      step(plain);
      EXPECT_FALSE(result[0].requires_grad());
      EXPECT_TRUE(result[0].allclose(value)) << "run " << i;
      EXPECT_TRUE(graphed->weight.allclose(plain->weight)) << "run " << i;
    }
  }
}

TEST(CapturedGraph, ResultsOfEarlierRunsStay) {
  for (const torch::Device device : Devices()) {
    CapturedGraph work(
        [](const CapturedGraph::Tensors& x) -> CapturedGraph::Tensors { return {x[0] + 1}; });
    std::vector<torch::Tensor> results;
    for (int i = 0; i < 5; ++i) {
      results.push_back(work.Run({torch::full({2}, i).to(device)})[0]);
    }
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(results[static_cast<size_t>(i)][1].item<int>(), i + 1);
    }
  }
}

TEST(CapturedGraph, IsSeenByTheFlopMeter) {
  for (const torch::Device device : Devices()) {
    CapturedGraph work(
        [](const CapturedGraph::Tensors& x) -> CapturedGraph::Tensors { return {x[0].mm(x[0])}; });
    const auto x = torch::ones({8, 8}, device);
    for (int i = 0; i < 4; ++i) {
      work.Run({x});
    }
    const FlopMeter meter;
    work.Run({x});
    EXPECT_EQ(meter.flops(), 2 * 8 * 8 * 8);
  }
}

}  // namespace
}  // namespace hidreamer::training
