#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace hidreamer::tokenizer {

// Codes (V, D) laid out for many searches of the nearest one: f32, contiguous, on the CPU. Holds a
// copy of them.
class CodeSearch {
 public:
  static constexpr int64_t kGrainRows = 48;  // worth a thread

  static bool Fits(
      const torch::Tensor& codes);  // whether it can take these codes, or search these rows

  explicit CodeSearch(const torch::Tensor& codes);

  // The nearest code of each of the rows (count, D) to nearest[i * stride], on the calling thread.
  void Nearest(const float* rows, int64_t count, int64_t* nearest, int64_t stride) const;

 private:
  int64_t codes_, dim_;
  torch::Tensor panels_, half_norms_;
};

}  // namespace hidreamer::tokenizer
