#include "hidreamer/evaluation/ridge.h"

#include <algorithm>
#include <cmath>

#include "hidreamer/base/error.h"

namespace hidreamer::evaluation {
namespace {

constexpr int kLowestExponent = -6;
constexpr int kHighestExponent = 2;

torch::Tensor Lambdas() {
  return torch::pow(10.0, torch::arange(kLowestExponent, kHighestExponent + 1, torch::kFloat64));
}

// Eigenvectors of the standardised features' covariance: every lambda is solved from them.
struct Decomposition {
  torch::Tensor mean, scale, target_mean;  // (D), (D), (M)
  torch::Tensor values, vectors;           // (D), (D, D)
  torch::Tensor projected;                 // (D, M) V^T X^T y / N

  Decomposition(const torch::Tensor& x, const torch::Tensor& y)
      : mean(x.mean(0)), scale(x.std(0, /*unbiased=*/false)), target_mean(y.mean(0)) {
    scale = torch::where(scale > 1e-9, scale, torch::ones_like(scale));
    const torch::Tensor z = (x - mean) / scale;  // (N, D)
    const double rows = static_cast<double>(x.size(0));
    std::tie(values, vectors) = torch::linalg_eigh(z.t().mm(z) / rows, "L");
    projected = vectors.t().mm(z.t().mm(y - target_mean)) / rows;
  }

  // lambda () or (M) -> (D, M)
  torch::Tensor Weights(const torch::Tensor& lambda) const {
    return vectors.mm(projected / (values.clamp_min(0).unsqueeze(1) + lambda));
  }
};

}  // namespace

torch::Tensor RidgeModel::Predict(const torch::Tensor& features) const {
  return ((features.to(torch::kFloat64) - feature_mean) / feature_scale).mm(weights) + target_mean;
}

RidgeModel FitRidge(const torch::Tensor& features, const torch::Tensor& targets) {
  const torch::NoGradGuard no_grad;
  const int64_t rows = features.size(0);
  HID_CHECK(rows >= 10 && targets.size(0) == rows, "{} rows of features, {} of targets", rows,
            targets.size(0));
  const torch::Tensor x = features.to(torch::kFloat64);  // (N, D)
  const torch::Tensor y = targets.to(torch::kFloat64);   // (N, M)
  const int64_t fitted = rows - rows / 5;
  const Decomposition inner(x.slice(0, 0, fitted), y.slice(0, 0, fitted));
  const torch::Tensor judged = (x.slice(0, fitted) - inner.mean) / inner.scale;
  const torch::Tensor truth = y.slice(0, fitted) - inner.target_mean;
  const torch::Tensor lambdas = Lambdas();
  std::vector<torch::Tensor> errors;  // of (M)
  for (int64_t i = 0; i < lambdas.size(0); ++i) {
    errors.push_back((judged.mm(inner.Weights(lambdas[i])) - truth).square().mean(0));
  }
  const torch::Tensor best = lambdas.index_select(0, torch::stack(errors).argmin(0));  // (M)
  const Decomposition whole(x, y);
  return {whole.Weights(best), whole.mean, whole.scale, whole.target_mean, best};
}

FitQuality MeasureFit(const torch::Tensor& prediction, const torch::Tensor& truth) {
  const torch::Tensor y = truth.to(torch::kFloat64);
  const torch::Tensor error = prediction.to(torch::kFloat64) - y;
  const torch::Tensor spread = (y - y.mean(0)).square().sum(0);
  const torch::Tensor r2 = torch::where(
      spread > 0, 1 - error.square().sum(0) / spread.clamp_min(1e-12), torch::zeros_like(spread));
  return {r2, error.abs().mean(0)};
}

torch::Tensor PrincipalComponents::Project(const torch::Tensor& rows) const {
  return (rows.to(torch::kFloat32) - mean).mm(vectors);
}

PrincipalComponents FitPrincipalComponents(const torch::Tensor& rows, int64_t count) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = rows.to(torch::kFloat32);  // (N, P)
  const torch::Tensor mean = x.mean(0);
  const torch::Tensor centred = x - mean;
  const int64_t kept = std::min({count, x.size(0), x.size(1)});
  if (x.size(0) >= x.size(1)) {
    const auto vectors = std::get<1>(torch::linalg_eigh(centred.t().mm(centred), "L"));
    return {mean, vectors.slice(1, x.size(1) - kept).flip({1}).contiguous()};
  }
  const auto [values, left] = torch::linalg_eigh(centred.mm(centred.t()), "L");
  const torch::Tensor largest = left.slice(1, x.size(0) - kept).flip({1});  // (N, count)
  const torch::Tensor scale = values.slice(0, x.size(0) - kept).flip({0}).clamp_min(1e-6).sqrt();
  return {mean, centred.t().mm(largest) / scale};
}

torch::Tensor MaxAbsoluteCorrelation(const torch::Tensor& features, const torch::Tensor& targets) {
  const torch::NoGradGuard no_grad;
  const auto standardize = [](const torch::Tensor& t) {
    const torch::Tensor d = t.to(torch::kFloat64);
    const torch::Tensor centred = d - d.mean(0);
    return centred / centred.norm(2, 0, /*keepdim=*/true).clamp_min(1e-9);
  };
  return std::get<0>(standardize(features).t().mm(standardize(targets)).abs().max(0));
}

}  // namespace hidreamer::evaluation
