#pragma once

#include <torch/torch.h>

namespace hidreamer::evaluation {

// Linear maps from features to several targets, each with a ridge penalty of its own.
struct RidgeModel {
  torch::Tensor weights;         // (D, M) f64
  torch::Tensor feature_mean;    // (D)
  torch::Tensor feature_scale;   // (D), standard deviations
  torch::Tensor target_mean;     // (M)
  torch::Tensor regularization;  // (M) chosen penalties, per training row

  torch::Tensor Predict(const torch::Tensor& features) const;  // (N, D) -> (N, M) f64
};

// Minimises |y - x w|^2 / N + lambda |w|^2 over standardised features, in closed form, in f64.
// lambda is the one of 1e-6 … 1e2 (steps of 10) with the smallest error on the last fifth of the
// rows when fitted on the others; then all rows are used. Rows in time order keep neighbours
// together, so the last fifth is a fair judge. features (N, D), targets (N, M), N >= 10.
RidgeModel FitRidge(const torch::Tensor& features, const torch::Tensor& targets);

struct FitQuality {
  torch::Tensor r2;                   // (M) 1 - squared error / squared deviation from the mean
  torch::Tensor mean_absolute_error;  // (M), in the targets' unit
};
// prediction, truth (N, M). R2 is 0 where the truth does not vary.
FitQuality MeasureFit(const torch::Tensor& prediction, const torch::Tensor& truth);

// Principal components of rows (N, P), the `count` largest: through the smaller Gram matrix.
struct PrincipalComponents {
  torch::Tensor mean;                                      // (P)
  torch::Tensor vectors;                                   // (P, count)
  torch::Tensor Project(const torch::Tensor& rows) const;  // (N, P) -> (N, count) f32
};
PrincipalComponents FitPrincipalComponents(const torch::Tensor& rows, int64_t count);

// Largest absolute correlation of any feature with each target, (M): the text's "game-state
// correlation" before it is averaged over targets. A maximum over D features is well above 0 for
// noise.
torch::Tensor MaxAbsoluteCorrelation(const torch::Tensor& features, const torch::Tensor& targets);

}  // namespace hidreamer::evaluation
