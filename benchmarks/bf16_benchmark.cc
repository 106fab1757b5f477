#include <cmath>
#include <vector>

#include "hidreamer/kernels/gemm.h"
#include "hidreamer/layers/bf16_linear.h"
#include "hidreamer/layers/conv_stack.h"
#include "hidreamer/layers/fused_attention.h"
#include "hidreamer/layers/norm_activation.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/layers/transformer.h"
#include "hidreamer/world_model/decoder.h"
#include "hidreamer/world_model/mask.h"
#include "quality.h"

// Kernels for bf16 numbers, each beside the operators that it stands for. Errors
// are against double precision on the same rounded inputs; a bf16 number has 8 bits: 4e-3.
namespace hidreamer::benchmarks {
namespace {

bool SkippedWithoutBf16(benchmark::State& state) {
  if (!kernels::HasBf16Kernels()) {
    state.SkipWithError("no bf16 products on this processor");
    return true;
  }
  return false;
}

torch::Tensor Narrow(const torch::Tensor& x) { return x.to(torch::kBFloat16); }

// A dreamed position's products: rows, inputs, outputs.
void PackedProduct(benchmark::State& state) {
  if (SkippedWithoutBf16(state)) {
    return;
  }
  const int64_t rows = state.range(0), inner = state.range(1), outputs = state.range(2);
  torch::manual_seed(1);
  const torch::Tensor x = Narrow(torch::randn({rows, inner}));
  const torch::Tensor weight = Narrow(torch::randn({outputs, inner}));
  const torch::Tensor wide = weight.to(torch::kFloat32);
  const kernels::Bf16Matrix matrix(wide.data_ptr<float>(), outputs, inner);
  torch::Tensor out = torch::empty({rows, outputs});
  for (auto _ : state) {
    kernels::MultiplyRows(
        layers::Bf16Data(x), rows, inner, matrix, {},
        [&](int64_t begin, int64_t count, int64_t column, int64_t width, const float* tile) {
          for (int64_t r = 0; r < count; ++r) {
            std::copy_n(tile + r * kernels::kPanelOutputs, width,
                        out.data_ptr<float>() + (begin + r) * outputs + column);
          }
        });
  }
  CountError(state, out, torch::matmul(x.to(torch::kDouble), weight.to(torch::kDouble).t()));
}
BENCHMARK(PackedProduct)
    ->Args({32, 384, 1152})
    ->Args({32, 384, 1536})
    ->Args({32, 1536, 384})
    ->Unit(benchmark::kMicrosecond);

template <typename Attention>
void AttentionOf(benchmark::State& state, Attention attention) {
  if (SkippedWithoutBf16(state)) {
    return;
  }
  const int64_t batch = 4, positions = 256, heads = 6, model_width = 384;
  torch::manual_seed(1);
  const torch::Tensor additive =
      layers::MakeAttentionPattern(
          world_model::AttentionMask({.levels = 3, .codes = 256, .actions = 9},
                                     world_model::MaskKind::kReference, positions))
          .additive;
  const torch::Tensor values = Narrow(torch::randn({batch, positions, 3 * model_width}));
  const torch::Tensor upstream = Narrow(torch::randn({batch, positions, model_width}));
  const auto gradient = [&](const torch::Tensor& input, const auto& of) {
    const torch::Tensor qkv = input.clone().requires_grad_();
    of(qkv, additive, heads, 0.0).backward(upstream.to(input.scalar_type()));
    return qkv.grad();
  };
  torch::Tensor found;
  for (auto _ : state) {
    found = gradient(values, attention);
  }
  CountError(state, found, gradient(values.to(torch::kDouble), layers::PlainAttention));
}
void AttentionWithGradient(benchmark::State& state) { AttentionOf(state, layers::FusedAttention); }
void PlainAttentionWithGradient(benchmark::State& state) {
  AttentionOf(state, layers::PlainAttention);
}
BENCHMARK(AttentionWithGradient)->Unit(benchmark::kMillisecond);
BENCHMARK(PlainAttentionWithGradient)->Unit(benchmark::kMillisecond);

// Between the products of a feed-forward layer, forward and back.
template <typename Layer>
void GeluOf(benchmark::State& state, Layer layer) {
  if (SkippedWithoutBf16(state)) {
    return;
  }
  torch::manual_seed(1);
  const torch::Tensor values = Narrow(torch::randn({2048, 1536}) * 2);
  const torch::Tensor bias = torch::randn({1536}), upstream = Narrow(torch::randn({2048, 1536}));
  const auto gradient = [&](const torch::Tensor& input, const auto& of, torch::ScalarType type) {
    const torch::Tensor x = input.clone().requires_grad_();
    of(x, bias.to(type)).backward(upstream.to(input.scalar_type()));
    return x.grad();
  };
  const auto plain = [](const torch::Tensor& x, const torch::Tensor& b) {
    return torch::gelu(x + b);
  };
  torch::Tensor found;
  for (auto _ : state) {
    found = gradient(values, layer, torch::kFloat32);
  }
  CountError(state, found, gradient(values.to(torch::kDouble), plain, torch::kDouble));
}
void GeluWithGradient(benchmark::State& state) {
  GeluOf(state, [](const torch::Tensor& x, const torch::Tensor& bias) {
    return layers::BiasGeluDropout(x, bias, 0.0, false);
  });
}
void TorchsGeluWithGradient(benchmark::State& state) {
  GeluOf(state, [](const torch::Tensor& x, const torch::Tensor& bias) {
    return torch::gelu(x + bias.to(x.scalar_type()));
  });
}
BENCHMARK(GeluWithGradient)->Unit(benchmark::kMillisecond);
BENCHMARK(TorchsGeluWithGradient)->Unit(benchmark::kMillisecond);

// A linear layer of a training step, forward and back: rows, inputs, outputs. The error is that of
// the weight's gradient.
template <typename Run>
void LinearWithGradientOf(benchmark::State& state, Run run) {
  if (SkippedWithoutBf16(state)) {
    return;
  }
  const int64_t rows = state.range(0), inner = state.range(1), outputs = state.range(2);
  torch::manual_seed(1);
  const torch::Tensor x = Narrow(torch::randn({rows, inner})).set_requires_grad(true);
  const torch::Tensor weight = torch::randn({outputs, inner}).set_requires_grad(true);
  const torch::Tensor upstream = Narrow(torch::randn({rows, outputs}));
  for (auto _ : state) {
    x.mutable_grad() = weight.mutable_grad() = torch::Tensor();
    run(x, weight).backward(upstream);
  }
  CountError(state, weight.grad(),
             upstream.to(torch::kDouble).t().mm(x.detach().to(torch::kDouble)));
}
void LinearWithGradient(benchmark::State& state) {
  LinearWithGradientOf(state, [](const torch::Tensor& x, const torch::Tensor& weight) {
    return layers::Bf16Linear(x, weight, {});
  });
}
void TorchsLinearWithGradient(benchmark::State& state) {
  LinearWithGradientOf(state, [](const torch::Tensor& x, const torch::Tensor& weight) {
    return torch::linear(x, Narrow(weight));
  });
}
BENCHMARK(LinearWithGradient)
    ->Args({8192, 384, 1152})
    ->Args({8192, 1536, 384})
    ->Args({768, 3136, 512})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(TorchsLinearWithGradient)
    ->Args({8192, 384, 1152})
    ->Args({8192, 1536, 384})
    ->Args({768, 3136, 512})
    ->Unit(benchmark::kMillisecond);

// The encoder's convolutions; torch's with the conversions that they need.
layers::ConvStackParameters Convolutions() {
  torch::manual_seed(1);
  return {.weights = {torch::randn({32, 4, 8, 8}) / 16, torch::randn({64, 32, 4, 4}) / 22,
                      torch::randn({64, 64, 3, 3}) / 24},
          .biases = {torch::zeros({32}), torch::zeros({64}), torch::zeros({64})}};
}
torch::Tensor ByTorch(const torch::Tensor& frames, const layers::ConvStackParameters& parameters,
                      torch::ScalarType type) {
  torch::Tensor x = frames.to(type).div_(255);
  const int64_t strides[] = {4, 2, 1};
  for (size_t i = 0; i < 3; ++i) {
    x = torch::relu(torch::conv2d(x, parameters.weights[i].to(type), parameters.biases[i].to(type),
                                  strides[i]));
  }
  return x.flatten(1);
}
template <typename Run>
void ConvolutionsOf(benchmark::State& state, Run run) {
  if (SkippedWithoutBf16(state)) {
    return;
  }
  const torch::NoGradGuard no_grad;
  const layers::ConvStackParameters parameters = Convolutions();
  const torch::Tensor frames = torch::randint(256, {64, 4, 84, 84}, torch::kUInt8);
  torch::Tensor out;
  for (auto _ : state) {
    out = run(frames, parameters);
  }
  CountError(state, out, ByTorch(frames, parameters, torch::kDouble));
}
void EncoderConvolutions(benchmark::State& state) { ConvolutionsOf(state, layers::ConvStack); }
void TorchsEncoderConvolutions(benchmark::State& state) {
  ConvolutionsOf(state,
                 [](const torch::Tensor& frames, const layers::ConvStackParameters& parameters) {
                   return ByTorch(frames, parameters, torch::kBFloat16);
                 });
}
BENCHMARK(EncoderConvolutions)->Unit(benchmark::kMillisecond);
BENCHMARK(TorchsEncoderConvolutions)->Unit(benchmark::kMillisecond);

// All blocks of the full model for one dreamed position of 32 rollouts after 8 steps.
void DreamedPosition(benchmark::State& state) {
  const auto precision = state.range(0) == 16 ? layers::Precision::kBf16 : layers::Precision::kF32;
  if (precision == layers::Precision::kBf16 && SkippedWithoutBf16(state)) {
    return;
  }
  const torch::NoGradGuard no_grad;
  constexpr int64_t kBatch = 32, kSteps = 8;
  torch::manual_seed(1);
  world_model::WorldModel model(
      world_model::WorldModelOptions{.layout = {.levels = 3, .codes = 256, .actions = 9}});
  model->eval();
  const torch::Tensor tokens = torch::randint(256, {kBatch, kSteps, 3}, torch::kLong);
  const torch::Tensor actions = torch::randint(9, {kBatch, kSteps}, torch::kLong);
  world_model::Decoder decoder(model, kBatch, kSteps, precision);
  torch::Tensor hidden;
  for (auto _ : state) {
    state.PauseTiming();
    decoder.Reset();
    decoder.Prefill(tokens, actions.narrow(1, 0, kSteps - 1));
    state.ResumeTiming();
    hidden = decoder.PushAction(actions.select(1, kSteps - 1));
  }
  model->to(torch::kDouble);
  CountError(state, hidden, model->Hidden(tokens, actions).select(1, kSteps * 4 - 1));
}
BENCHMARK(DreamedPosition)->ArgName("bits")->Arg(16)->Arg(32)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hidreamer::benchmarks
