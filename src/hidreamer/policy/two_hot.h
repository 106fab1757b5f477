#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>

namespace hidreamer::policy {

torch::Tensor Symlog(const torch::Tensor& x);  // sign(x) ln(1 + |x|)
torch::Tensor Symexp(const torch::Tensor& x);  // sign(x) (exp(|x|) - 1)

// How a network's output stands for a real number in plain units (a reward, a value).
//   kTwoHot     logits over bins at symexp(-limit) … symexp(limit), spaced evenly in symlog; the
//               target's mass lies on the two bins beside it so that its mean is exact, the loss is
//               the cross-entropy, the value the mean over bins (DreamerV3, section "Robust
//               predictions")
//   kSymlogMse  one output in symlog space, loss 0.5 (output - symlog target)^2 (the reference)
class ScalarCoding {
 public:
  enum class Kind { kTwoHot, kSymlogMse };

  static constexpr int64_t kBins = 255;   // odd: one bin at 0
  static constexpr double kLimit = 12.0;  // symexp(12) = 162,754

  explicit ScalarCoding(Kind kind) : kind_(kind) {}
  // "two_hot" | "symlog_mse"
  static ScalarCoding FromName(const std::string& name);

  int64_t outputs() const { return kind_ == Kind::kTwoHot ? kBins : 1; }
  torch::Tensor Value(const torch::Tensor& output) const;  // (..., outputs()) -> (...) plain units
  // output (..., outputs()), target (...) plain units -> (...), each with its own loss.
  torch::Tensor Loss(const torch::Tensor& output, const torch::Tensor& target) const;

 private:
  Kind kind_;
};

// Bin positions in plain units, (ScalarCoding::kBins) ascending, symmetric about 0.
torch::Tensor TwoHotBins(const torch::TensorOptions& options);
// x (...) plain units -> (..., kBins): at most two entries above 0, sum 1, mean x. Clamped to the
// outer bins.
torch::Tensor TwoHotEncode(const torch::Tensor& x);
// Mean of the bins, (..., kBins) -> (...). Summed in pairs of opposite bins, so that equal mass on
// both sides gives exactly 0.
torch::Tensor TwoHotMean(const torch::Tensor& probabilities);

}  // namespace hidreamer::policy
