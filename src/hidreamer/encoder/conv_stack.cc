#include "hidreamer/encoder/conv_stack.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "hidreamer/encoder/conv_kernels.h"
#include "hidreamer/nn/bf16_layers.h"
#include "hidreamer/nn/flop_meter.h"
#include "hidreamer/nn/precision.h"
#include "hidreamer/nn/share_out.h"

namespace hidreamer::encoder {
namespace {

using nn::Bf16;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr ConvShape kFirst{
    .in_side = 84, .in_channels = 4, .kernel = 8, .stride = 4, .out_channels = 32};
constexpr ConvShape kSecond{
    .in_side = 20, .in_channels = 32, .kernel = 4, .stride = 2, .out_channels = 64};
constexpr ConvShape kThird{
    .in_side = 9, .in_channels = 64, .kernel = 3, .stride = 1, .out_channels = 64};
constexpr std::array kShapes = {kFirst, kSecond, kThird};

constexpr int64_t kImagesOfChunk = 32;  // whose weight gradients are added up apart; even

// One of kShapes each, packed by several threads.
template <class Pack>
std::array<ConvWeights, 3> PackEach(const Pack& pack) {
  std::array<ConvWeights, 3> packed;
  at::parallel_for(0, 3, 1, [&](int64_t begin, int64_t end) {
    for (int64_t layer = begin; layer < end; ++layer) {
      packed[static_cast<size_t>(layer)] = pack(static_cast<size_t>(layer));
    }
  });
  return packed;
}

const uint8_t* Frame(const torch::Tensor& frames, int64_t image) {
  return frames.data_ptr<uint8_t>() + image * kFirst.in_size();
}

// Told as torch's operators, which take (image, channel, row, column).
void CountConvolutions(int64_t images, bool backward) {
  const auto contiguous = [](int64_t a, int64_t b, int64_t c, int64_t d) {
    return nn::CountedOperator::Operand{
        .sizes = {a, b, c, d}, .strides = {b * c * d, c * d, d, 1}, .type = torch::kBFloat16};
  };
  for (size_t i = 0; i < kShapes.size(); ++i) {
    const ConvShape& shape = kShapes[i];
    nn::CountedOperator conv;
    conv.name = backward ? "aten::convolution_backward" : "aten::convolution";
    conv.operands = {contiguous(images, shape.in_channels, shape.in_side, shape.in_side),
                     contiguous(shape.out_channels, shape.in_channels, shape.kernel, shape.kernel)};
    conv.stride = {shape.stride, shape.stride};
    conv.padding = {0, 0};
    conv.dilation = {1, 1};
    conv.flops = 2 * images * shape.out_size() * shape.inner();
    if (backward) {
      conv.operands.insert(conv.operands.begin(), contiguous(images, shape.out_channels,
                                                             shape.out_side(), shape.out_side()));
      conv.gradients = {i > 0, true, false};
      conv.flops *= i > 0 ? 2 : 1;
    }
    nn::CountOperator(std::move(conv));
  }
}

struct ConvStackFunction : torch::autograd::Function<ConvStackFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& frames,
                               const torch::Tensor& w0, const torch::Tensor& b0,
                               const torch::Tensor& w1, const torch::Tensor& b1,
                               const torch::Tensor& w2, const torch::Tensor& b2) {
    const int64_t images = frames.size(0);
    const std::array parameters = {w0, b0, w1, b1, w2, b2};
    const std::array<ConvWeights, 3> weights = PackEach([&](size_t layer) {
      return ConvWeights::Forward(kShapes[layer], parameters[2 * layer].data_ptr<float>(),
                                  parameters[2 * layer + 1].data_ptr<float>());
    });
    const auto narrow = torch::TensorOptions(torch::kBFloat16);
    const torch::Tensor first = torch::empty({images, kFirst.out_size()}, narrow);
    const torch::Tensor second = torch::empty({images, kSecond.out_size()}, narrow);
    const torch::Tensor out = torch::empty({images, kThird.out_size()}, narrow);
    nn::ShareOut(images, [&](const auto& next) {
      std::vector<Bf16> scaled(static_cast<size_t>(kFirst.in_size()));
      std::vector<Bf16> third(static_cast<size_t>(kThird.out_size()));
      std::optional<int64_t> image = next();
      while (image) {
        const std::optional<int64_t> following = next();
        nn::ReadAhead ahead;
        if (following) {
          ahead.Add(Frame(frames, *following), kFirst.in_size());
        }
        Bf16* const act1 = nn::Bf16Data(first) + *image * kFirst.out_size();
        Bf16* const act2 = nn::Bf16Data(second) + *image * kSecond.out_size();
        ScaleFrame(Frame(frames, *image), kFirst.in_side * kFirst.in_side, scaled.data());
        ConvRelu(weights[0], scaled.data(), act1, ahead);
        ConvRelu(weights[1], act1, act2, ahead);
        ConvRelu(weights[2], act2, third.data(), ahead);
        TransposeNumbers(third.data(), kThird.pixels(), kThird.out_channels,
                         nn::Bf16Data(out) + *image * kThird.out_size());
        image = following;
      }
    });
    CountConvolutions(images, /*backward=*/false);
    context->save_for_backward({frames, first, second, out, w1, w2});
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor frames = saved[0], first = saved[1], second = saved[2], out = saved[3];
    const torch::Tensor gradient = gradients[0].contiguous();
    const std::array<ConvWeights, 3> weights = PackEach([&](size_t layer) {
      return layer == 0 ? ConvWeights{}  // frames need no gradient
                        : ConvWeights::Backward(kShapes[layer], saved[3 + layer].data_ptr<float>());
    });
    const int64_t images = frames.size(0), chunks = (images + kImagesOfChunk - 1) / kImagesOfChunk;
    // Of each chunk, so that sums do not depend on the threads.
    struct Sums {
      torch::Tensor weight, bias;
    };
    std::vector<Sums> sums;
    for (const ConvShape& shape : kShapes) {
      sums.push_back({.weight = torch::zeros({chunks, shape.out_channels, shape.inner()}),
                      .bias = torch::zeros({chunks, shape.out_channels})});
    }
    nn::ShareOut(chunks, [&](const auto& next) {
      // Of two images each: a layer's input, the gradient of its output, both in pairs of numbers.
      std::vector<Bf16> scaled(static_cast<size_t>(2 * kFirst.in_size()));
      std::array<std::vector<Bf16>, 3> upstream, padded;
      for (size_t layer = 0; layer < 3; ++layer) {
        upstream[layer].resize(static_cast<size_t>(2 * kShapes[layer].out_size()));
      }
      std::vector<Bf16> in_pairs(static_cast<size_t>(2 * kFirst.in_size()));
      std::vector<Bf16> upstream_pairs(static_cast<size_t>(2 * kFirst.out_size()));
      while (const std::optional<int64_t> chunk = next()) {
        const int64_t end = std::min(images, (*chunk + 1) * kImagesOfChunk);
        for (int64_t image = *chunk * kImagesOfChunk; image < end; image += 2) {
          const bool both = image + 1 < end;
          const std::array<const Bf16*, 3> ins = {
              scaled.data(), nn::Bf16Data(first) + image * kFirst.out_size(),
              nn::Bf16Data(second) + image * kSecond.out_size()};
          for (int64_t i = 0; i <= int64_t{both}; ++i) {
            const auto to = [&](size_t layer) {
              return upstream[layer].data() + i * kShapes[layer].out_size();
            };
            ScaleFrame(Frame(frames, image + i), kFirst.in_side * kFirst.in_side,
                       scaled.data() + i * kFirst.in_size());
            const int64_t at = (image + i) * kThird.out_size();
            TransposeNumbers(nn::Bf16Data(gradient) + at, kThird.out_channels, kThird.pixels(),
                             to(2), nn::Bf16Data(out) + at);
            for (const size_t layer : {2, 1}) {
              ConvInputGradient(weights[layer], to(layer),
                                ins[layer] + i * kShapes[layer].in_size(), to(layer - 1),
                                padded[layer]);
            }
          }
          nn::ReadAhead ahead;
          const auto add = [&](const auto* of, int64_t size) {  // of the pair after this one
            const int64_t to = image + 2,
                          left = std::max<int64_t>(0, std::min<int64_t>(2, end - to));
            ahead.Add(of + to * size, left * size * static_cast<int64_t>(sizeof(*of)));
          };
          add(frames.data_ptr<uint8_t>(), kFirst.in_size());
          add(nn::Bf16Data(first), kFirst.out_size());
          add(nn::Bf16Data(second), kSecond.out_size());
          add(nn::Bf16Data(out), kThird.out_size());
          add(nn::Bf16Data(gradient), kThird.out_size());
          for (size_t layer = 0; layer < 3; ++layer) {
            const ConvShape& shape = kShapes[layer];
            const auto pair = [both](const Bf16* of, int64_t size, std::vector<Bf16>& pairs) {
              PairImages(of, both ? of + size : nullptr, size, pairs.data());
            };
            pair(ins[layer], shape.in_size(), in_pairs);
            pair(upstream[layer].data(), shape.out_size(), upstream_pairs);
            AddConvWeightGradient(
                shape, in_pairs.data(), upstream_pairs.data(),
                sums[layer].weight.data_ptr<float>() + *chunk * shape.out_channels * shape.inner(),
                sums[layer].bias.data_ptr<float>() + *chunk * shape.out_channels, ahead);
          }
        }
      }
    });
    CountConvolutions(images, /*backward=*/true);
    variable_list results = {{}};
    for (size_t i = 0; i < kShapes.size(); ++i) {
      const ConvShape& shape = kShapes[i];
      results.push_back(
          sums[i]
              .weight.sum(0)
              .view({shape.out_channels, shape.kernel, shape.kernel, shape.in_channels})
              .permute({0, 3, 1, 2})
              .contiguous());
      results.push_back(sums[i].bias.sum(0));
    }
    return results;
  }
};

}  // namespace

bool HasConvStack(const torch::Tensor& frames, const ConvStackParameters& parameters) {
  return frames.is_cpu() && frames.size(1) == kFirst.in_channels &&
         parameters.weights[0].scalar_type() == torch::kFloat32 && nn::HasBf16Kernels() &&
         !nn::HasMatrixUnits() && nn::IsBf16Autocast(torch::kCPU);
}

torch::Tensor ConvStack(const torch::Tensor& frames, const ConvStackParameters& parameters) {
  return ConvStackFunction::apply(frames.contiguous(), parameters.weights[0], parameters.biases[0],
                                  parameters.weights[1], parameters.biases[1],
                                  parameters.weights[2], parameters.biases[2]);
}

}  // namespace hidreamer::encoder
