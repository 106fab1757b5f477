#include "hidreamer/policy/two_hot.h"

#include "hidreamer/base/error.h"

namespace hidreamer::policy {

torch::Tensor Symlog(const torch::Tensor& x) { return torch::sign(x) * torch::log1p(x.abs()); }

torch::Tensor Symexp(const torch::Tensor& x) { return torch::sign(x) * torch::expm1(x.abs()); }

ScalarCoding ScalarCoding::FromName(const std::string& name) {
  if (name == "two_hot") {
    return ScalarCoding(Kind::kTwoHot);
  }
  HID_CHECK(name == "symlog_mse", "no scalar coding {}", name);
  return ScalarCoding(Kind::kSymlogMse);
}

torch::Tensor ScalarCoding::Value(const torch::Tensor& output) const {
  if (kind_ == Kind::kSymlogMse) {
    return Symexp(output.squeeze(-1));
  }
  return TwoHotMean(torch::softmax(output, -1));
}

torch::Tensor ScalarCoding::Loss(const torch::Tensor& output, const torch::Tensor& target) const {
  if (kind_ == Kind::kSymlogMse) {
    return 0.5 * torch::square(output.squeeze(-1) - Symlog(target));
  }
  return -(TwoHotEncode(target) * torch::log_softmax(output, -1)).sum(-1);
}

torch::Tensor TwoHotBins(const torch::TensorOptions& options) {
  const int64_t half = ScalarCoding::kBins / 2;
  const auto positive = Symexp(torch::arange(1, half + 1, options) *
                               (ScalarCoding::kLimit / static_cast<double>(half)));
  return torch::cat({-positive.flip(0), torch::zeros({1}, options), positive});  // (bins)
}

torch::Tensor TwoHotEncode(const torch::Tensor& x) {
  const auto bins = TwoHotBins(x.options());
  const auto clamped = x.clamp(bins[0], bins[-1]);
  // The bin at or below x, at most the last but one.
  const auto below = (torch::searchsorted(bins, clamped.contiguous(), false, true) - 1)
                         .clamp(0, ScalarCoding::kBins - 2);  // (...)
  const auto low = bins.index({below});
  const auto high = bins.index({below + 1});
  const auto share = ((clamped - low) / (high - low)).unsqueeze(-1);  // (..., 1) on the upper bin
  auto shape = x.sizes().vec();
  shape.push_back(ScalarCoding::kBins);
  auto encoded = torch::zeros(shape, x.options());
  encoded.scatter_(-1, below.unsqueeze(-1), 1 - share);
  encoded.scatter_(-1, below.unsqueeze(-1) + 1, share);
  return encoded;
}

torch::Tensor TwoHotMean(const torch::Tensor& probabilities) {
  const int64_t half = ScalarCoding::kBins / 2;
  const auto positive = TwoHotBins(probabilities.options()).narrow(0, half + 1, half);
  const auto upper = probabilities.narrow(-1, half + 1, half);
  const auto lower = probabilities.narrow(-1, 0, half).flip(-1);
  return ((upper - lower) * positive).sum(-1);
}

}  // namespace hidreamer::policy
