#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <string>

#include "hidreamer/formats/tensor_map.h"

namespace hidreamer::encoder {

struct EncoderOptions {
  int64_t stack = 4;    // frames in an observation
  int64_t width = 384;  // D, size of an embedding
};

// Turns a stack of gray frames into a unit vector (1,881,888 parameters).
//   u8 (B,4,84,84) / 255 -> conv 8x8/4 (32,20,20) -> conv 4x4/2 (64,9,9) -> conv 3x3/1 (64,7,7),
//   ReLU each -> linear 3136->512, ReLU -> linear 512->D -> LayerNorm -> divided by its L2 norm
// State names: encoder.0/2/4 (convolutions), projection.0/2 (linear maps), projection.3
// (LayerNorm).
class EncoderImpl : public torch::nn::Module {
 public:
  // Weights by He et al. (2015), biases 0, drawn from torch's global generator: seed it before.
  explicit EncoderImpl(EncoderOptions options = {});

  // frames (B, 4, 84, 84) u8 -> (B, D) of length 1, float (double where the parameters are).
  torch::Tensor forward(const torch::Tensor& frames);

  const EncoderOptions& options() const { return options_; }

 private:
  EncoderOptions options_;
  torch::nn::Sequential encoder_{nullptr}, projection_{nullptr};
};
TORCH_MODULE(Encoder);

// The options as safetensors metadata.
std::map<std::string, std::string> Metadata(const EncoderOptions& options);

void SaveEncoder(Encoder encoder, const std::filesystem::path& path);
// The options follow from the shapes, so files without metadata (imported ones) load too. The
// result is in eval mode, on the CPU. Throws a user Error for a file that is no encoder.
Encoder LoadEncoder(const std::filesystem::path& path);
Encoder EncoderFromState(const formats::TensorMap& state);

}  // namespace hidreamer::encoder
