#include "hidreamer/policy/returns.h"
#include "hidreamer/policy/two_hot.h"
#include "quality.h"

namespace hidreamer::benchmarks {
namespace {

constexpr int64_t kBatch = 64, kHorizon = 15;

void TwoHotLoss(benchmark::State& state) {
  const torch::NoGradGuard no_grad;
  const auto coding = policy::ScalarCoding::FromName("two_hot");
  torch::manual_seed(1);
  const torch::Tensor output = torch::randn({kBatch, kHorizon, coding.outputs()});
  const torch::Tensor target = torch::randn({kBatch, kHorizon}) * 20;
  torch::Tensor loss;
  for (auto _ : state) {
    loss = coding.Loss(output, target);
  }
  CountError(state, loss, coding.Loss(output.to(torch::kDouble), target.to(torch::kDouble)));
}
BENCHMARK(TwoHotLoss)->Unit(benchmark::kMicrosecond);

void TwoHotValue(benchmark::State& state) {
  const torch::NoGradGuard no_grad;
  const auto coding = policy::ScalarCoding::FromName("two_hot");
  torch::manual_seed(1);
  const torch::Tensor output = torch::randn({kBatch, kHorizon, coding.outputs()});
  torch::Tensor value;
  for (auto _ : state) {
    value = coding.Value(output);
  }
  CountError(state, value, coding.Value(output.to(torch::kDouble)));
}
BENCHMARK(TwoHotValue)->Unit(benchmark::kMicrosecond);

void LambdaReturns(benchmark::State& state) {
  const torch::NoGradGuard no_grad;
  constexpr double kGamma = 0.997, kLambda = 0.95;
  torch::manual_seed(1);
  const torch::Tensor rewards = torch::randn({kBatch, kHorizon});
  const torch::Tensor values = torch::randn({kBatch, kHorizon + 1});
  const torch::Tensor continues = torch::rand({kBatch, kHorizon});
  torch::Tensor returns;
  for (auto _ : state) {
    returns = policy::LambdaReturns(rewards, values, continues, kGamma, kLambda);
  }
  torch::Tensor exact = torch::empty({kBatch, kHorizon}, torch::kDouble);
  torch::Tensor next = values.select(1, kHorizon).to(torch::kDouble);
  for (int64_t t = kHorizon - 1; t >= 0; --t) {
    next = rewards.select(1, t) + kGamma * continues.select(1, t).to(torch::kDouble) *
                                      ((1 - kLambda) * values.select(1, t + 1) + kLambda * next);
    exact.select(1, t).copy_(next);
  }
  CountError(state, returns, exact);
}
BENCHMARK(LambdaReturns)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hidreamer::benchmarks
