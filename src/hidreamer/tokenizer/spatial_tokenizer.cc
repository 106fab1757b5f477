#include "hidreamer/tokenizer/spatial_tokenizer.h"

#include <cmath>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/precision.h"

namespace hidreamer::tokenizer {
namespace {

namespace F = torch::nn::functional;

constexpr int64_t kPatch = 4;              // pixels folded into channels at the picture's edge
constexpr double kReviveBelow = 0.05;      // of the uniform count
constexpr double kVisibleContrast = 0.05;  // of the gray range
constexpr double kRateShare = 0.02;        // of a batch, in the moving rate of differences
constexpr double kRvqCommitment = 0.25;
constexpr double kLoudestFrame = 10;  // a frame's loss counts for at most so many medians

torch::nn::Conv2d Conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding((kernel - 1) / 2));
}

// torch's pixel_unshuffle with the channels last, in one copy instead of two.
torch::nn::Functional Fold(int64_t f) {
  return torch::nn::Functional([f](const torch::Tensor& x) {
    const int64_t n = x.size(0), c = x.size(1), h = x.size(2) / f, w = x.size(3) / f;
    return x.reshape({n, c, h, f, w, f})
        .permute({0, 2, 4, 1, 3, 5})
        .reshape({n, h, w, c * f * f})
        .permute({0, 3, 1, 2});
  });
}

torch::nn::Functional Unfold(int64_t factor) {
  return torch::nn::Functional([factor](const torch::Tensor& x) {
    return torch::pixel_shuffle(x, factor).contiguous(torch::MemoryFormat::ChannelsLast);
  });
}

torch::Tensor Differs(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().gt(kVisibleContrast);
}

torch::nn::Functional Relu() { return torch::nn::Functional(torch::relu); }

}  // namespace

int64_t SpatialTokenizerOptions::levels() const {
  return quantizer == "fsq" ? static_cast<int64_t>(fsq_levels.size()) : rvq_levels;
}

std::vector<int64_t> SpatialTokenizerOptions::level_codes() const {
  return quantizer == "fsq" ? fsq_levels
                            : std::vector<int64_t>(static_cast<size_t>(rvq_levels), rvq_codes);
}

int64_t SpatialTokenizerOptions::value_channels() const {
  return quantizer == "fsq" ? levels() : rvq_dim;
}

SpatialTokenizerImpl::SpatialTokenizerImpl(const SpatialTokenizerOptions& options)
    : options_(options) {
  HID_CHECK(options.quantizer == "fsq" || options.quantizer == "rvq", "quantizer '{}'",
            options.quantizer);
  const int64_t ratio = options.frame_size / options.grid;
  HID_CHECK(
      options.grid * ratio == options.frame_size && ratio >= kPatch && (ratio & (ratio - 1)) == 0,
      "frame size {} over grid {} must be a power of two of at least {}", options.frame_size,
      options.grid, kPatch);
  background_ =
      register_buffer("background", torch::zeros({1, 1, options.frame_size, options.frame_size}));
  difference_rate_ = register_buffer("difference_rate",
                                     torch::zeros({1, 1, options.frame_size, options.frame_size}));
  HID_CHECK(options.body == "places" || options.body == "near", "body '{}'", options.body);
  BuildEncoder();
  BuildDecoder();
  if (options.quantizer == "rvq") {
    quantizer_ = register_module(
        "quantizer", ResidualQuantizer(ResidualQuantizerOptions{
                         .dim = options.rvq_dim,
                         .levels = options.rvq_levels,
                         .codes = options.rvq_codes,
                         .commitment_costs = std::vector<double>(
                             static_cast<size_t>(options.rvq_levels), kRvqCommitment)}));
  } else {
    std::vector<float> half;
    for (const int64_t codes : options.fsq_levels) {
      half.push_back(static_cast<float>(codes / 2));
    }
    fsq_half_ = register_buffer("fsq_half", torch::tensor(half).view({1, -1, 1, 1}));
    const auto codes = torch::tensor(options.fsq_levels, torch::kFloat32).view({1, -1, 1, 1});
    fsq_span_ = (codes - 1) * (0.5 * 1.001);
    fsq_offset_ = codes.remainder(2).eq(0).to(torch::kFloat32) * 0.5;
  }
  to(torch::kFloat32);
}

// A layer that adds the embedding of each place, zero at first.
torch::nn::Functional SpatialTokenizerImpl::AddPlaces(const std::string& name, int64_t width) {
  const auto embedding =
      register_parameter(name, torch::zeros({1, width, options_.grid, options_.grid}));
  return torch::nn::Functional(
      [embedding](const torch::Tensor& x) { return x + embedding.to(x.scalar_type()); });
}

void SpatialTokenizerImpl::BuildEncoder() {
  const int64_t c = options_.channels, ratio = options_.frame_size / options_.grid;
  torch::nn::Sequential encoder(Fold(kPatch), Conv(kPatch * kPatch, c, 3));
  int64_t width = c;
  for (int64_t r = ratio; r > kPatch; r /= 2) {
    encoder->push_back(Relu());
    encoder->push_back(Conv(width, 2 * c, 2, 2));
    width = 2 * c;
  }
  if (options_.body == "places") {
    encoder->push_back(AddPlaces("encoder_places", width));
  }
  encoder->push_back(Relu());
  encoder->push_back(Conv(width, c, 1));
  encoder->push_back(Relu());
  encoder->push_back(Conv(c, options_.value_channels(), 1));
  encoder_ = register_module("encoder", encoder);
}

void SpatialTokenizerImpl::BuildDecoder() {
  const int64_t c = options_.channels, ratio = options_.frame_size / options_.grid;
  const int64_t latent = options_.value_channels();
  torch::nn::Sequential decoder;
  if (options_.body == "places") {
    const int64_t width = 4 * c;
    decoder = torch::nn::Sequential(Conv(latent, width, 3), AddPlaces("decoder_places", width),
                                    Relu(), Conv(width, width, 1), Relu(),
                                    Conv(width, ratio * ratio, 1), Unfold(ratio));
  } else {
    decoder = torch::nn::Sequential(Conv(latent, 2 * c, 3), Relu());
    int64_t width = 2 * c;
    for (int64_t r = ratio; r > kPatch; r /= 2) {
      decoder->push_back(Conv(width, 4 * c, 1));
      decoder->push_back(Unfold(2));
      decoder->push_back(Relu());
      width = c;
    }
    decoder->push_back(Conv(width, c, 3));
    decoder->push_back(Relu());
    decoder->push_back(Conv(c, kPatch * kPatch, 1));
    decoder->push_back(Unfold(kPatch));
  }
  decoder_ = register_module("decoder", decoder);
}

void SpatialTokenizerImpl::Start(const torch::Tensor& frames, Rng& rng) {
  torch::NoGradGuard no_grad;
  background_.copy_(std::get<0>(frames.median(0, /*keepdim=*/true)));
  difference_rate_.copy_(Differs(frames, background_).to(torch::kFloat32).mean(0, true));
  if (quantizer_) {
    quantizer_->Seed(Rows(Latents(frames)), rng);
  }
}

void SpatialTokenizerImpl::CountDifferences(const torch::Tensor& frames) {
  torch::NoGradGuard no_grad;
  const auto rate = Differs(frames, background_).to(torch::kFloat32).mean(0, true);
  difference_rate_.lerp_(rate, kRateShare);
}

torch::Tensor SpatialTokenizerImpl::Rarity() const {
  // The usual rate is the mean over differing pixels, not over all.
  const auto usual = difference_rate_.square().sum() / difference_rate_.sum().clamp_min(1e-6);
  return (usual / difference_rate_.clamp_min(1e-6)).sqrt().clamp(0.5, 8);
}

torch::Tensor SpatialTokenizerImpl::Latents(const torch::Tensor& frames) {
  return encoder_->forward(frames - background_).to(torch::kFloat32);
}

torch::Tensor SpatialTokenizerImpl::Rows(const torch::Tensor& latents) const {
  return F::normalize(latents.permute({0, 2, 3, 1}).reshape({-1, latents.size(1)}),
                      F::NormalizeFuncOptions().p(2).dim(-1));
}

SpatialCodes SpatialTokenizerImpl::Encode(const torch::Tensor& frames) {
  const torch::Tensor latents = Latents(frames);
  return quantizer_ ? QuantizeRvq(latents) : QuantizeFsq(latents);
}

SpatialCodes SpatialTokenizerImpl::QuantizeFsq(const torch::Tensor& latents) {
  // Bounds each dimension to its number of codes; an even number is shifted by half a step
  // (Mentzer et al., 2023, appendix A).
  if (fsq_span_.device() != latents.device()) {
    fsq_span_ = fsq_span_.to(latents.device());
    fsq_offset_ = fsq_offset_.to(latents.device());
  }
  const auto shift = torch::atanh(fsq_offset_ / fsq_span_);
  const auto bounded = torch::tanh(latents + shift) * fsq_span_ - fsq_offset_;
  const auto rounded = bounded + (bounded.round() - bounded).detach();
  // A NaN, which the loss shows, must be a code, too: below, it would be looked up.
  const auto codes = (rounded.detach() + fsq_half_).to(torch::kLong).clamp_min(0);  // (N, L, G, G)
  return {.values = rounded / fsq_half_,
          .codes = codes.flatten(2).transpose(1, 2).contiguous(),
          .latents = bounded,
          .commitment = torch::zeros({}, latents.options())};
}

SpatialCodes SpatialTokenizerImpl::QuantizeRvq(const torch::Tensor& latents) {
  const int64_t n = latents.size(0), g = options_.grid;
  const torch::Tensor rows = Rows(latents);
  const auto output = quantizer_->forward(rows);
  torch::Tensor quantized = output.quantized;
  if (is_training() && options_.quantizer_dropout > 0) {
    // Every k-th frame keeps its first levels only, so that they alone already draw the picture.
    const int64_t every = static_cast<int64_t>(std::llround(1 / options_.quantizer_dropout));
    std::vector<torch::Tensor> parts = quantized.view({n, -1, options_.rvq_dim}).unbind(0);
    for (int64_t i = 0; i < n; i += every) {
      const int64_t kept = 1 + (i / every) % options_.rvq_levels;
      const auto left = output.residuals[static_cast<size_t>(kept - 1)]
                            .view({n, -1, options_.rvq_dim})
                            .select(0, i);
      const auto own = rows.view({n, -1, options_.rvq_dim}).select(0, i);
      parts[static_cast<size_t>(i)] = own - left;
    }
    quantized = torch::stack(parts).view({-1, options_.rvq_dim});
  }
  return {.values = quantized.view({n, g, g, options_.rvq_dim})
                        .permute({0, 3, 1, 2})
                        .contiguous(torch::MemoryFormat::ChannelsLast),
          .codes = output.codes.view({n, options_.places(), options_.rvq_levels}),
          .latents = rows.view({n, g, g, options_.rvq_dim}).permute({0, 3, 1, 2}),
          .commitment = output.commitment_loss};
}

int64_t SpatialTokenizerImpl::Revive(const torch::Tensor& frames, Rng& rng) {
  if (!quantizer_) {
    return 0;
  }
  torch::NoGradGuard no_grad;
  torch::Tensor rows = Rows(Latents(frames));
  int64_t revived = 0;
  for (int64_t l = 0; l < options_.rvq_levels; ++l) {
    CodebookLevel level = quantizer_->level(l);
    revived += level->Revive(rows, kReviveBelow, rng);
    rows = rows - level->Lookup(level->Nearest(rows));
  }
  return revived;
}

torch::Tensor SpatialTokenizerImpl::Values(const torch::Tensor& codes) const {
  const int64_t n = codes.size(0), g = options_.grid;
  if (quantizer_) {
    return quantizer_->Decode(codes.reshape({-1, options_.rvq_levels}))
        .view({n, g, g, options_.rvq_dim})
        .permute({0, 3, 1, 2})
        .contiguous(torch::MemoryFormat::ChannelsLast);
  }
  const auto grid = codes.transpose(1, 2).reshape({n, -1, g, g}).to(torch::kFloat32);
  return ((grid - fsq_half_) / fsq_half_).contiguous(torch::MemoryFormat::ChannelsLast);
}

torch::Tensor SpatialTokenizerImpl::Codes(const torch::Tensor& values) {
  torch::NoGradGuard no_grad;
  if (quantizer_) {
    const torch::Tensor rows = values.permute({0, 2, 3, 1}).reshape({-1, options_.rvq_dim});
    return quantizer_->Encode(rows).view({values.size(0), options_.places(), options_.rvq_levels});
  }
  const auto codes = (values * fsq_half_ + fsq_half_).round().to(torch::kLong);  // (N, L, G, G)
  return codes.flatten(2).transpose(1, 2).contiguous();
}

torch::Tensor SpatialTokenizerImpl::Decode(const torch::Tensor& values) {
  return background_ + decoder_->forward(values).to(torch::kFloat32);
}

torch::Tensor ChangeWeightedLoss(const torch::Tensor& reconstruction, const torch::Tensor& frames,
                                 const torch::Tensor& previous, const torch::Tensor& background,
                                 const torch::Tensor& extra) {
  const auto counts = Differs(frames, previous).logical_or(Differs(frames, background));
  const auto weights = 1 + extra * counts.to(torch::kFloat32);
  const auto losses = (weights * (reconstruction - frames).square()).mean({1, 2, 3});  // (N)
  const auto most = kLoudestFrame * losses.detach().median();
  return (losses * (most / losses.detach().clamp_min(1e-12)).clamp_max(1)).mean();
}

}  // namespace hidreamer::tokenizer
