#include "hidreamer/training/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hidreamer/base/error.h"

namespace hidreamer::training {
namespace {

torch::nn::Sequential SmallNetwork(uint64_t seed) {
  torch::manual_seed(seed);
  return torch::nn::Sequential(torch::nn::Linear(4, 8), torch::nn::Tanh(), torch::nn::Linear(8, 2));
}

torch::Tensor Loss(torch::nn::Sequential& network) {
  const torch::Tensor x = torch::linspace(-1, 1, 12).reshape({3, 4});
  return (network->forward(x) - torch::ones({3, 2})).pow(2).mean();
}

double Difference(torch::nn::Sequential& a, torch::nn::Sequential& b) {
  double largest = 0;
  for (size_t i = 0; i < a->parameters().size(); ++i) {
    largest =
        std::max(largest, (a->parameters()[i] - b->parameters()[i]).abs().max().item<double>());
  }
  return largest;
}

// Ten updates of ours and of torch's optimizer from the same start.
template <typename Torch, typename TorchOptions>
double DifferenceFromTorch(const AdamOptions& options, const TorchOptions& torch_options) {
  torch::nn::Sequential ours = SmallNetwork(3), theirs = SmallNetwork(3);
  Adam optimizer(NamedParameters(*ours), options);
  Torch reference(theirs->parameters(), torch_options);
  for (int i = 0; i < 10; ++i) {
    optimizer.ZeroGrad();
    Loss(ours).backward();
    optimizer.Step(0.01);
    reference.zero_grad();
    Loss(theirs).backward();
    reference.step();
  }
  EXPECT_GT(Difference(ours, *std::make_unique<torch::nn::Sequential>(SmallNetwork(3))), 0.01);
  return Difference(ours, theirs);
}

TEST(Adam, FollowsTorchsAdamWithL2) {
  EXPECT_LT(DifferenceFromTorch<torch::optim::Adam>(
                {.weight_decay = 0.1}, torch::optim::AdamOptions(0.01).weight_decay(0.1)),
            1e-6);
}

TEST(Adam, FollowsTorchsAdamW) {
  EXPECT_LT(DifferenceFromTorch<torch::optim::AdamW>(
                {.beta2 = 0.95, .weight_decay = 0.1, .decoupled = true},
                torch::optim::AdamWOptions(0.01).betas({0.9, 0.95}).weight_decay(0.1)),
            1e-6);
}

TEST(Adam, LeavesParametersWithoutGradientAlone) {
  torch::nn::Linear used(2, 2), unused(2, 2);
  std::vector<NamedParameter> parameters = NamedParameters(*used, "used.");
  for (auto& parameter : NamedParameters(*unused, "unused.")) {
    parameters.push_back(parameter);
  }
  const torch::Tensor before = unused->weight.detach().clone();
  Adam optimizer(parameters, {.weight_decay = 0.5, .decoupled = true});
  used->forward(torch::ones({1, 2})).sum().backward();
  optimizer.Step(0.1);
  EXPECT_TRUE(torch::equal(before, unused->weight));
}

TEST(Adam, GoesOnToTheBitFromASavedState) {
  const auto run = [](int updates, int save_at) {
    torch::nn::Sequential network = SmallNetwork(5);
    auto optimizer = std::make_unique<Adam>(NamedParameters(*network), AdamOptions{});
    for (int i = 0; i < updates; ++i) {
      if (i == save_at) {
        formats::TensorMap state;
        for (const auto& [name, tensor] : optimizer->State()) {
          state[name] = tensor.clone();
        }
        optimizer = std::make_unique<Adam>(NamedParameters(*network), AdamOptions{});
        optimizer->LoadState(state);
      }
      optimizer->ZeroGrad();
      Loss(network).backward();
      optimizer->Step(0.01);
    }
    return network;
  };
  torch::nn::Sequential whole = run(10, -1), resumed = run(10, 5);
  EXPECT_EQ(Difference(whole, resumed), 0);
}

TEST(Adam, RefusesAnotherModelsState) {
  Adam small(NamedParameters(*torch::nn::Linear(2, 2)), {});
  Adam large(NamedParameters(*torch::nn::Linear(3, 2)), {});
  EXPECT_THROW(small.LoadState(large.State()), Error);
  formats::TensorMap extra = small.State();
  extra["more"] = torch::zeros({1});
  EXPECT_THROW(small.LoadState(extra), Error);
}

TEST(NearlyOrthogonal, KeepsDirectionsAndLevelsTheirLengths) {
  torch::manual_seed(1);
  for (const auto& sizes : {std::vector<int64_t>{8, 20}, std::vector<int64_t>{20, 8}}) {
    const auto matrix = torch::randn(sizes, torch::kFloat64);
    const auto result = NearlyOrthogonal({matrix})[0];
    const auto [u, s, vt] = torch::linalg_svd(matrix, false);
    const auto among = u.t().mm(result).mm(vt.t());  // diagonal: the same singular vectors
    EXPECT_LT((among - among.diagonal().diag()).abs().max().item<double>(), 1e-9);
    EXPECT_GT(among.diagonal().min().item<double>(), 0.6);
    EXPECT_LT(among.diagonal().max().item<double>(), 1.3);
  }
}

TEST(Muon, SolvesAnIllConditionedProblemSoonerThanGradientDescent) {
  // Columns of the input of lengths 1 to 10: most directions hardly show in the gradient.
  torch::manual_seed(2);
  const auto scale = torch::logspace(0, -1, 8);
  const auto x = torch::randn({64, 8}) * scale;
  const auto target = x.mm((torch::randn({4, 8}) / scale).t());
  auto weight = torch::zeros({4, 8}, torch::requires_grad());
  Muon optimizer({{"weight", weight}}, {.weight_decay = 0});
  const auto loss = [&] { return (x.mm(weight.t()) - target).pow(2).mean(); };
  const double before = loss().item<double>();
  for (int i = 0; i < 400; ++i) {
    optimizer.ZeroGrad();
    loss().backward();
    optimizer.Step(1.0 - i / 400.0);
  }
  EXPECT_LT(loss().item<double>(), 1e-3 * before);
}

TEST(MuonWithAdam, StepsEachParameterByItsOwn) {
  torch::nn::Sequential both = SmallNetwork(6), by_muon = SmallNetwork(6),
                        by_adam = SmallNetwork(6);
  MuonWithAdam optimizer(NamedParameters(*both), {both->parameters()[0]}, {}, {});
  Muon muon({{"matrix", by_muon->parameters()[0]}}, {});
  Adam adam(NamedParameters(*by_adam), {});
  for (auto* network : {&both, &by_muon, &by_adam}) {
    Loss(*network).backward();
  }
  optimizer.Step(0.02, 0.01);
  muon.Step(0.02);
  adam.Step(0.01);
  EXPECT_TRUE(torch::equal(both->parameters()[0], by_muon->parameters()[0]));
  for (size_t i = 1; i < both->parameters().size(); ++i) {
    EXPECT_TRUE(torch::equal(both->parameters()[i], by_adam->parameters()[i])) << i;
  }
  EXPECT_FALSE(torch::equal(both->parameters()[0], by_adam->parameters()[0]));
  EXPECT_THROW(MuonWithAdam(NamedParameters(*both), {torch::zeros({2, 2})}, {}, {}),
               std::exception);  // a matrix of another network
}

TEST(MoveTowards, MovesByTheShare) {
  torch::nn::Sequential target = SmallNetwork(1), source = SmallNetwork(2);
  const auto before = target->parameters()[2].clone();
  MoveTowards(*target, *source, 0.25);
  EXPECT_TRUE(torch::allclose(target->parameters()[2],
                              0.75 * before + 0.25 * source->parameters()[2], 1e-5, 1e-7));
}

TEST(Muon, GoesOnFromASavedState) {
  const auto run = [](int save_at) {
    torch::manual_seed(4);
    auto weight = torch::randn({3, 2, 2}).requires_grad_();
    const auto make = [&] { return Muon({{"weight", weight}}, {}); };
    Muon optimizer = make();
    for (int i = 0; i < 6; ++i) {
      if (i == save_at) {
        formats::TensorMap state;
        for (const auto& [name, tensor] : optimizer.State()) {
          state[name] = tensor.clone();
        }
        optimizer = make();
        optimizer.LoadState(state);
      }
      optimizer.ZeroGrad();
      (weight - 1).pow(4).sum().backward();
      optimizer.Step(0.1);
    }
    return weight.detach();
  };
  EXPECT_TRUE(run(-1).equal(run(3)));
}

TEST(ClipGradNorm, ScalesToTheLimitAndReturnsTheNormBefore) {
  torch::Tensor a = torch::zeros({2}, torch::requires_grad());
  torch::Tensor b = torch::zeros({1}, torch::requires_grad());
  a.mutable_grad() = torch::tensor({3.0F, 0.0F});
  b.mutable_grad() = torch::tensor({4.0F});
  const std::vector<NamedParameter> parameters = {{"a", a}, {"b", b}};
  EXPECT_FLOAT_EQ(ClipGradNorm(parameters, 10).item<float>(), 5);
  EXPECT_FLOAT_EQ(b.grad().item<float>(), 4);  // within the limit: untouched
  EXPECT_FLOAT_EQ(ClipGradNorm(parameters, 1).item<float>(), 5);
  EXPECT_NEAR(a.grad()[0].item<float>(), 3.0 / (5 + 1e-6), 1e-7);
  EXPECT_NEAR(b.grad().item<float>(), 4.0 / (5 + 1e-6), 1e-7);
}

TEST(ClipGradNorm, DoesNotTakeNotANumberForAShortGradient) {
  torch::Tensor a = torch::zeros({2}, torch::requires_grad());
  a.mutable_grad() = torch::full({2}, std::nanf(""));
  EXPECT_TRUE(std::isnan(ClipGradNorm({{"a", a}}, 1).item<float>()));
}

TEST(Cosine, FallsFromTheFirstRateToTheLast) {
  EXPECT_DOUBLE_EQ(Cosine(3e-3, 1e-4, 0), 3e-3);
  EXPECT_DOUBLE_EQ(Cosine(3e-3, 1e-4, 1), 1e-4);
  EXPECT_DOUBLE_EQ(Cosine(3e-3, 1e-4, 2), 1e-4);
  EXPECT_NEAR(Cosine(3, 1, 0.5), 2, 1e-12);
}

TEST(WarmupCosine, RisesThenFalls) {
  EXPECT_DOUBLE_EQ(WarmupCosine(0, 1000, 5000, 0.01), 0.001);  // the first update moves already
  EXPECT_DOUBLE_EQ(WarmupCosine(999, 1000, 5000, 0.01), 1.0);
  EXPECT_DOUBLE_EQ(WarmupCosine(1000, 1000, 5000, 0.01), 1.0);
  EXPECT_NEAR(WarmupCosine(3000, 1000, 5000, 0.01), 0.505, 1e-12);
  EXPECT_DOUBLE_EQ(WarmupCosine(5000, 1000, 5000, 0.01), 0.01);
  EXPECT_DOUBLE_EQ(WarmupCosine(0, 0, 10, 0), 1.0);
  for (int64_t u = 1001; u < 5000; ++u) {
    EXPECT_LT(WarmupCosine(u, 1000, 5000, 0.01), WarmupCosine(u - 1, 1000, 5000, 0.01));
  }
}

TEST(NamedParameters, LeavesOutFrozenOnes) {
  torch::nn::Linear linear(2, 3);
  linear->bias.requires_grad_(false);
  const auto parameters = NamedParameters(*linear, "model.");
  ASSERT_EQ(parameters.size(), 1U);
  EXPECT_EQ(parameters[0].name, "model.weight");
}

}  // namespace
}  // namespace hidreamer::training
