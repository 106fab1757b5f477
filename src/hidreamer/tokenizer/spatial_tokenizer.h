#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/tokenizer/residual_quantizer.h"

namespace hidreamer::tokenizer {

struct SpatialTokenizerOptions {
  int64_t frame_size = 64;                      // S; frames are S x S gray
  int64_t grid = 8;                             // G, the code grid is G x G; S / G a power of two
  int64_t channels = 32;                        // of the convolutions
  std::string body = "places";                  // "places" | "near"
  std::string quantizer = "fsq";                // "fsq" | "rvq"
  std::vector<int64_t> fsq_levels = {8, 5, 5};  // codes of each level
  int64_t rvq_levels = 3;                       // L
  int64_t rvq_codes = 128;                      // V
  int64_t rvq_dim = 16;                         // of a code
  double quantizer_dropout = 0.25;              // rvq: share of frames cut to their first levels

  int64_t levels() const;                         // L
  std::vector<int64_t> level_codes() const;       // codes of each level
  int64_t value_channels() const;                 // C, of the quantised grid
  int64_t places() const { return grid * grid; }  // P

  NLOHMANN_DEFINE_TYPE_INTRUSIVE(SpatialTokenizerOptions, frame_size, grid, channels, body,
                                 quantizer, fsq_levels, rvq_levels, rvq_codes, rvq_dim,
                                 quantizer_dropout)
};

struct SpatialCodes {
  torch::Tensor values;      // (N, C, G, G) quantised; gradient passes straight through
  torch::Tensor codes;       // (N, P, L) int64
  torch::Tensor latents;     // (N, C, G, G) before rounding; with FSQ one code apart is 1
  torch::Tensor commitment;  // () commitment loss; 0 with FSQ
};

// A convolutional autoencoder with a grid of discrete codes, coarse to fine at each place.
//   frames (N, 1, S, S) - background --> encoder --> quantizer --> codes (N, P, L) --> values
//   (N, C, G, G) --> decoder --> frames (N, 1, S, S)
// Bodies: "places", whose encoder and decoder add a learned embedding of each place to what
// convolutions see, so that a code need not say what is always there; the decoder draws each
// place's own S/G x S/G pixels from the codes around it. "near" is the convolutions alone,
// upsampled to pixels, as models were trained before. Quantizers: finite scalar quantization
// (Mentzer et al., 2023), each dimension a level; or the residual vector quantizer of the text on
// l2-normalised vectors. The background is the median of the first frames, so that the codes carry
// what moves.
class SpatialTokenizerImpl : public torch::nn::Module {
 public:
  explicit SpatialTokenizerImpl(const SpatialTokenizerOptions& options);

  const SpatialTokenizerOptions& options() const { return options_; }
  // Sets the background to the pixelwise median of frames (N, 1, S, S), counts how often each pixel
  // differs from it and, with rvq, seeds the codebooks from them.
  void Start(const torch::Tensor& frames, Rng& rng);

  // frames (N, 1, S, S) f32 in [0, 1]. In train mode an rvq moves its codebooks.
  SpatialCodes Encode(const torch::Tensor& frames);
  // Replaces rvq codes that fell out of use by vectors of these frames; returns how many.
  int64_t Revive(const torch::Tensor& frames, Rng& rng);
  // codes (N, P, L) int64 -> values (N, C, G, G)
  torch::Tensor Values(const torch::Tensor& codes) const;
  // And back; with rvq those found level by level, which may be others of about the same values.
  torch::Tensor Codes(const torch::Tensor& values);
  torch::Tensor Decode(const torch::Tensor& values);               // (N, C, G, G) -> (N, 1, S, S)
  const torch::Tensor& background() const { return background_; }  // (1, 1, S, S)

  // Moving average of how often each pixel differs from the background.
  void CountDifferences(const torch::Tensor& frames);
  // sqrt(usual rate / the pixel's rate) of differing from the background, in [1/2, 8]: a ball in
  // the open field weighs more than a paddle that is always somewhere on its column. (1, 1, S, S)
  torch::Tensor Rarity() const;

 private:
  torch::nn::Functional AddPlaces(const std::string& name, int64_t width);
  void BuildEncoder();
  void BuildDecoder();

  SpatialTokenizerOptions options_;
  torch::Tensor background_;
  torch::Tensor difference_rate_;                      // (1, 1, S, S) in [0, 1]
  torch::Tensor Latents(const torch::Tensor& frames);  // (N, C, G, G) before the quantizer
  SpatialCodes QuantizeFsq(const torch::Tensor& latents);
  SpatialCodes QuantizeRvq(const torch::Tensor& latents);
  torch::Tensor Rows(const torch::Tensor& latents) const;  // -> (N P, C), l2-normalised

  torch::Tensor fsq_half_;  // (1, L, 1, 1) half the number of codes, rounded down
  // (1, L, 1, 1) where the latents are: bound of a level, and half a step where its number is even.
  torch::Tensor fsq_span_, fsq_offset_;
  torch::nn::Sequential encoder_{nullptr}, decoder_{nullptr};
  ResidualQuantizer quantizer_{nullptr};
};
TORCH_MODULE(SpatialTokenizer);

// Reconstruction loss in which a two-pixel ball counts: squared error with weight 1 + extra on
// pixels that changed since the frame before or differ from the background by more than 0.05. A
// frame's loss is scaled down to ten times the batch's median: one odd frame, such as the flash at
// a game's start, else moves all codes.
//   reconstruction, frames, previous (N, 1, S, S), background (1, 1, S, S), extra (1, 1, S, S) or
//   ()
//   -> ()
torch::Tensor ChangeWeightedLoss(const torch::Tensor& reconstruction, const torch::Tensor& frames,
                                 const torch::Tensor& previous, const torch::Tensor& background,
                                 const torch::Tensor& extra);

}  // namespace hidreamer::tokenizer
