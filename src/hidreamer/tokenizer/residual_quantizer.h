#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/formats/tensor_map.h"
#include "hidreamer/layers/codebook.h"
#include "hidreamer/layers/nearest_search.h"

namespace hidreamer::tokenizer {

struct ResidualQuantizerOptions {
  int64_t dim = 384;                                       // D
  int64_t levels = 3;                                      // L; 1 is a plain vector quantizer
  int64_t codes = 256;                                     // V, codes of each level
  std::vector<double> commitment_costs = {.05, .25, .60};  // of each level; longer lists are cut
  double decay = 0.99;                                     // of the moving averages, per update
  double epsilon = 1e-5;                                   // Laplace smoothing of the sizes
};

struct ResidualQuantizerOutput {
  torch::Tensor quantized;               // (N, D); gradient passes straight through to z
  torch::Tensor codes;                   // (N, L) int64 in [0, V)
  torch::Tensor commitment_loss;         // () sum over levels of cost * level error
  torch::Tensor level_errors;            // (L) mean squared (input of the level - chosen code)
  std::vector<torch::Tensor> residuals;  // L of (N, D), detached: what is left after each level
};

// One codebook and the moving averages it is made of.
class CodebookLevelImpl : public torch::nn::Module {
 public:
  CodebookLevelImpl(int64_t codes, int64_t dim);

  // Nearest code by squared Euclidean distance, always in f32 or better: rows (N, D) -> (N) int64.
  // Works through blocks of rows, so that no N x V matrix is held.
  torch::Tensor Nearest(const torch::Tensor& rows) const;
  // codes (N) int64 -> (N, D)
  torch::Tensor Lookup(const torch::Tensor& codes) const;
  // rows (N, D) minus their codewords.
  torch::Tensor Subtract(const torch::Tensor& rows, const torch::Tensor& codes) const;
  // Moves sizes, sums and codes towards a batch: rows (N, D), codes (N) int64.
  //   size <- d size + (1-d) count;  sum <- d sum + (1-d) sum of its rows;
  //   code <- sum / ((size + eps) / (S + V eps) * S), S the total of sizes
  void Update(const torch::Tensor& rows, const torch::Tensor& codes, double decay, double epsilon);
  // The same in pieces, for several threads; f32 on the CPU.
  layers::AveragesMove BeginUpdate(const torch::Tensor& rows, const int64_t* codes, double decay,
                                   double epsilon);
  // Sets all codes to `values` (V, D), sums to the same and sizes to 1: what an average over one
  // row each would be.
  void Start(const torch::Tensor& values);
  // Replaces every code whose average count per update is below `below` * N / V by one of the rows
  // (N, D), drawn without replacement; it starts with the uniform size N / V. Returns how many.
  int64_t Revive(const torch::Tensor& rows, double below, Rng& rng);
  // The same without a number that the host waits for: the rows are taken in the order (N) int64 of
  // all of them. Returns how many, () int64.
  torch::Tensor Revive(const torch::Tensor& rows, double below, const torch::Tensor& order);

  const torch::Tensor& weight() const { return codebook_->weight; }    // (V, D)
  const torch::Tensor& ema_weight() const { return ema_weight_; }      // (V, D)
  const torch::Tensor& cluster_size() const { return cluster_size_; }  // (V)

 private:
  torch::nn::Embedding codebook_{nullptr};
  torch::Tensor ema_weight_, cluster_size_;
};
TORCH_MODULE(CodebookLevel);

// Quantizes a vector as a sum of codewords, one from each of L codebooks, coarse to fine
// (SoundStream, Zeghidour et al. 2021; moving averages: van den Oord et al. 2017, appendix A.1).
//   z (N, D) --> [level 0] --> residual --> [level 1] --> ... --> codes (N, L), sum of codewords
//   (N, D)
// State names: vq_layers.K.{codebook.weight, ema_weight, ema_cluster_size}. Codebooks are not
// trained by gradients. A fresh quantizer is all zeros: Seed() it or load its state.
class ResidualQuantizerImpl : public torch::nn::Module {
 public:
  explicit ResidualQuantizerImpl(ResidualQuantizerOptions options = {});

  // z (N, D). In train mode the moving averages are updated; codes, losses and residuals are those
  // of the codebooks before the update.
  ResidualQuantizerOutput forward(const torch::Tensor& z);
  // z (N, D) -> codes (N, L) int64. Changes nothing, builds no graph.
  torch::Tensor Encode(const torch::Tensor& z) const;
  // codes (N, L) int64 -> (N, D), the sum of the codewords.
  torch::Tensor Decode(const torch::Tensor& codes) const;
  // Starts every level by k-means (k-means++ seeds) on what the levels above leave of rows (N, D).
  void Seed(const torch::Tensor& rows, Rng& rng);

  const ResidualQuantizerOptions& options() const { return options_; }
  const CodebookLevel& level(int64_t index) const { return levels_.at(static_cast<size_t>(index)); }

 private:
  // The codebooks of all levels, ready to be searched, f32 on the CPU.
  std::vector<layers::NearestSearch> Searches() const;
  // Without a gradient, f32 on the CPU: all levels of some rows at a time.
  ResidualQuantizerOutput ForwardInKernels(const torch::Tensor& z);

  ResidualQuantizerOptions options_;
  std::vector<CodebookLevel> levels_;
};
TORCH_MODULE(ResidualQuantizer);

// The options as safetensors metadata.
std::map<std::string, std::string> Metadata(const ResidualQuantizerOptions& options);

void SaveResidualQuantizer(ResidualQuantizer quantizer, const std::filesystem::path& path);
// Reads the options from the metadata or, where there is none, from the shapes (costs, decay and
// epsilon then are the defaults). The result is in eval mode, on the CPU.
ResidualQuantizer LoadResidualQuantizer(const std::filesystem::path& path);

}  // namespace hidreamer::tokenizer
