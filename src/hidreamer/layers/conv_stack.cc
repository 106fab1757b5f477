#include "hidreamer/layers/conv_stack.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "hidreamer/kernels/conv.h"
#include "hidreamer/layers/norm_activation.h"
#include "hidreamer/layers/parallel_for_dynamic.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::layers {
namespace {

using kernels::Bf16;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr kernels::ConvShape kFirst{
    .in_side = 84, .in_channels = 4, .kernel = 8, .stride = 4, .out_channels = 32};
constexpr kernels::ConvShape kSecond{
    .in_side = 20, .in_channels = 32, .kernel = 4, .stride = 2, .out_channels = 64};
constexpr kernels::ConvShape kThird{
    .in_side = 9, .in_channels = 64, .kernel = 3, .stride = 1, .out_channels = 64};
constexpr std::array kShapes = {kFirst, kSecond, kThird};

constexpr int64_t kImagesOfChunk = 32;  // whose weight gradients are added up apart; even

// What the output of a layer is folded by.
int64_t OutFold(size_t layer) { return layer + 1 < kShapes.size() ? kShapes[layer + 1].stride : 1; }

// One of kShapes each, packed by several threads.
template <class Weights, class Pack>
std::array<Weights, 3> PackEach(const Pack& pack) {
  std::array<Weights, 3> packed;
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
    return training::CountedOperator::Operand{
        .sizes = {a, b, c, d}, .strides = {b * c * d, c * d, d, 1}, .type = torch::kBFloat16};
  };
  for (size_t i = 0; i < kShapes.size(); ++i) {
    const kernels::ConvShape& shape = kShapes[i];
    training::CountedOperator conv;
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
    training::CountOperator(std::move(conv));
  }
}

// What the gradients are made of, image after image.
struct StackImages {
  const uint8_t* frames;
  const Bf16 *first, *second, *out;  // each layer's output
  const Bf16* gradient;              // of the last
};

// The gradients that two images give; scratch of one thread.
class PairGradients {
 public:
  PairGradients(const StackImages& stack,
                const std::array<kernels::ConvGradientWeights, 3>& weights)
      : stack_(stack), weights_(weights), scaled_(2 * kFirst.in_size()), third_(kThird.out_size()) {
    // What lies around gradients and behind images stays 0.
    const auto zeros = [](int64_t count, kernels::AlignedBuffer<Bf16>& room) {
      std::fill_n(room.Room(count), count, Bf16{0});
    };
    int64_t in_pairs = 0, upstream_pairs = 0;
    for (size_t layer = 0; layer < 3; ++layer) {
      const kernels::ConvShape& shape = kShapes[layer];
      zeros(2 * (shape.gradient_begin() + shape.gradient_size()), upstream_[layer]);
      const int64_t summed = kernels::SummedCells(shape);
      in_pairs =
          std::max({in_pairs, 2 * shape.in_size(), 2 * (summed + shape.reach()) * shape.depth()});
      upstream_pairs = std::max(upstream_pairs, 2 * summed * shape.out_channels);
    }
    zeros(in_pairs, in_pairs_);
    upstream_pairs_.Room(upstream_pairs);
  }

  // Of `image` and the next, if it is before `end`.
  void AddTo(const std::array<float*, 3>& weight_sums, const std::array<float*, 3>& bias_sums,
             int64_t image, int64_t end) {
    const bool both = image + 1 < end;
    const std::array<const Bf16*, 3> ins = {scaled_.data(),
                                            stack_.first + image * kFirst.out_size(),
                                            stack_.second + image * kSecond.out_size()};
    for (int64_t i = 0; i <= int64_t{both}; ++i) {
      PassBack(image + i, i, ins);
    }
    kernels::ReadAhead ahead = FollowingPair(image + 2, end);
    for (size_t layer = 0; layer < 3; ++layer) {
      const kernels::ConvShape& shape = kShapes[layer];
      // The images' numbers side by side, beside zeros if there is one image.
      const int64_t images = both ? 2 : 1;
      kernels::PackAsInner(ins[layer], images, shape.in_size(), shape.in_size(), in_pairs_.data());
      kernels::PackAsInner(Upstream(layer, 0), images,
                           kernels::SummedCells(shape) * shape.out_channels,
                           Upstream(layer, 1) - Upstream(layer, 0), upstream_pairs_.data());
      kernels::AddConvWeightGradient(shape, in_pairs_.data(), upstream_pairs_.data(),
                                     weight_sums[layer], bias_sums[layer], ahead);
    }
  }

 private:
  // The gradients of the pair's i-th image of a layer's outputs, along its grid.
  Bf16* Upstream(size_t layer, int64_t i) {
    const kernels::ConvShape& shape = kShapes[layer];
    return upstream_[layer].data() + shape.gradient_begin() +
           i * (shape.gradient_size() + shape.gradient_begin());
  }

  // The gradients of all outputs, and the frame as numbers again, of the pair's i-th image.
  void PassBack(int64_t image, int64_t i, const std::array<const Bf16*, 3>& ins) {
    kernels::ScaleFrame(stack_.frames + image * kFirst.in_size(), kFirst.in_side,
                        scaled_.data() + i * kFirst.in_size());
    const int64_t at = image * kThird.out_size();
    kernels::TransposeNumbers(stack_.gradient + at, kThird.out_channels, kThird.pixels(),
                              third_.data(), stack_.out + at);
    const int64_t row = kThird.out_side() * kThird.out_channels;
    for (int64_t y = 0; y < kThird.out_side(); ++y) {
      std::copy_n(third_.data() + y * row, row,
                  Upstream(2, i) + y * kThird.grid() * kThird.out_channels);
    }
    for (const size_t layer : {2, 1}) {
      kernels::ConvInputGradient(weights_[layer], Upstream(layer, i),
                                 ins[layer] + i * kShapes[layer].in_size(), Upstream(layer - 1, i));
    }
  }

  kernels::ReadAhead FollowingPair(int64_t image, int64_t end) const {
    kernels::ReadAhead ahead;
    const auto add = [&](const auto* of, int64_t size) {
      ahead.Add(of + image * size, size * static_cast<int64_t>(sizeof(*of)),
                std::min<int64_t>(2, end - image), size * static_cast<int64_t>(sizeof(*of)));
    };
    add(stack_.frames, kFirst.in_size());
    add(stack_.first, kFirst.out_size());
    add(stack_.second, kSecond.out_size());
    add(stack_.out, kThird.out_size());
    add(stack_.gradient, kThird.out_size());
    return ahead;
  }

  const StackImages& stack_;
  const std::array<kernels::ConvGradientWeights, 3>& weights_;
  kernels::AlignedBuffer<Bf16> scaled_, in_pairs_, upstream_pairs_;  // of two images each
  kernels::AlignedBuffer<Bf16> third_;                               // one image's last gradient
  std::array<kernels::AlignedBuffer<Bf16>, 3> upstream_;  // of two images, each behind zeros
};

struct ConvStackFunction : torch::autograd::Function<ConvStackFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& frames,
                               const torch::Tensor& w0, const torch::Tensor& b0,
                               const torch::Tensor& w1, const torch::Tensor& b1,
                               const torch::Tensor& w2, const torch::Tensor& b2) {
    const int64_t images = frames.size(0);
    const std::array parameters = {w0, b0, w1, b1, w2, b2};
    const auto weights = PackEach<kernels::ConvWeights>([&](size_t layer) {
      return kernels::ConvWeights(kShapes[layer], OutFold(layer),
                                  parameters[2 * layer].data_ptr<float>(),
                                  parameters[2 * layer + 1].data_ptr<float>());
    });
    const auto narrow = torch::TensorOptions(torch::kBFloat16);
    const torch::Tensor first = torch::empty({images, kFirst.out_size()}, narrow);
    const torch::Tensor second = torch::empty({images, kSecond.out_size()}, narrow);
    const torch::Tensor out = torch::empty({images, kThird.out_size()}, narrow);
    ParallelForDynamic(images, [&](const auto& next) {
      kernels::AlignedBuffer<Bf16> scaled(kFirst.in_size()), third(kThird.out_size());
      std::optional<int64_t> image = next();
      while (image) {
        const std::optional<int64_t> following = next();
        kernels::ReadAhead ahead;
        if (following) {
          ahead.Add(Frame(frames, *following), kFirst.in_size());
        }
        Bf16* const act1 = Bf16Data(first) + *image * kFirst.out_size();
        Bf16* const act2 = Bf16Data(second) + *image * kSecond.out_size();
        kernels::ScaleFrame(Frame(frames, *image), kFirst.in_side, scaled.data());
        kernels::ConvRelu(weights[0], scaled.data(), act1, ahead);
        kernels::ConvRelu(weights[1], act1, act2, ahead);
        kernels::ConvRelu(weights[2], act2, third.data(), ahead);
        kernels::TransposeNumbers(third.data(), kThird.pixels(), kThird.out_channels,
                                  Bf16Data(out) + *image * kThird.out_size());
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
    const auto weights = PackEach<kernels::ConvGradientWeights>([&](size_t layer) {
      return layer == 0 ? kernels::ConvGradientWeights()  // frames need no gradient
                        : kernels::ConvGradientWeights(kShapes[layer], kShapes[layer - 1],
                                                       saved[3 + layer].data_ptr<float>());
    });
    const int64_t images = frames.size(0), chunks = (images + kImagesOfChunk - 1) / kImagesOfChunk;
    // Of each chunk, so that sums do not depend on the threads.
    struct Sums {
      torch::Tensor weight, bias;
    };
    std::vector<Sums> sums;
    for (const kernels::ConvShape& shape : kShapes) {
      sums.push_back({.weight = torch::zeros({chunks, shape.inner() / kernels::kPanelOutputs,
                                              shape.out_channels, kernels::kPanelOutputs}),
                      .bias = torch::zeros({chunks, shape.out_channels})});
    }
    const StackImages stack{.frames = frames.data_ptr<uint8_t>(),
                            .first = Bf16Data(first),
                            .second = Bf16Data(second),
                            .out = Bf16Data(out),
                            .gradient = Bf16Data(gradient)};
    ParallelForDynamic(chunks, [&](const auto& next) {
      PairGradients gradients_of_pair(stack, weights);
      while (const std::optional<int64_t> chunk = next()) {
        std::array<float*, 3> weight_sums, bias_sums;
        for (size_t layer = 0; layer < 3; ++layer) {
          const int64_t outputs = kShapes[layer].out_channels, inner = kShapes[layer].inner();
          weight_sums[layer] = sums[layer].weight.data_ptr<float>() + *chunk * outputs * inner;
          bias_sums[layer] = sums[layer].bias.data_ptr<float>() + *chunk * outputs;
        }
        const int64_t end = std::min(images, (*chunk + 1) * kImagesOfChunk);
        for (int64_t image = *chunk * kImagesOfChunk; image < end; image += 2) {
          gradients_of_pair.AddTo(weight_sums, bias_sums, image, end);
        }
      }
    });
    CountConvolutions(images, /*backward=*/true);
    variable_list results = {{}};
    for (size_t i = 0; i < kShapes.size(); ++i) {
      const kernels::ConvShape& shape = kShapes[i];
      // From (k k C / 32, O, 32), in the order of folded patches.
      const torch::Tensor folded = sums[i].weight.sum(0).transpose(0, 1).reshape(
          {shape.out_channels, shape.steps(), shape.steps(), shape.stride, shape.stride,
           shape.in_channels});
      results.push_back(
          folded.permute({0, 5, 1, 3, 2, 4})
              .reshape({shape.out_channels, shape.in_channels, shape.kernel, shape.kernel}));
      results.push_back(sums[i].bias.sum(0));
    }
    return results;
  }
};

}  // namespace

bool HasConvStack(const torch::Tensor& frames, const ConvStackParameters& parameters) {
  return frames.is_cpu() && frames.size(1) == kFirst.in_channels &&
         parameters.weights[0].scalar_type() == torch::kFloat32 && kernels::HasBf16Kernels() &&
         IsBf16Autocast(torch::kCPU);
}

torch::Tensor ConvStack(const torch::Tensor& frames, const ConvStackParameters& parameters) {
  return ConvStackFunction::apply(frames.contiguous(), parameters.weights[0], parameters.biases[0],
                                  parameters.weights[1], parameters.biases[1],
                                  parameters.weights[2], parameters.biases[2]);
}

}  // namespace hidreamer::layers
