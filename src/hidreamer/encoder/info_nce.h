#pragma once

#include <torch/torch.h>

namespace hidreamer::encoder {

// InfoNCE (van den Oord et al., 2018). All vectors have length 1; similarities are dot products
// divided by the temperature, in f32 or better.
struct InfoNceOutput {
  torch::Tensor loss;      // () mean over rows
  torch::Tensor accuracy;  // () share of anchors that are nearest to their own positive
};

// Negatives of anchor i are the positives of the other rows. anchor, positive (B, D);
// excluded (B, B) bool, true: row j is no negative of anchor i; may be undefined; its diagonal is
// not looked at.
InfoNceOutput InBatchInfoNce(const torch::Tensor& anchor, const torch::Tensor& positive,
                             const torch::Tensor& excluded, double temperature);

// One negative per anchor, the reference's form: mean of -log(e^p / (e^p + e^n)) = softplus(n - p).
// anchor, positive, negative (B, D).
InfoNceOutput OneNegativeInfoNce(const torch::Tensor& anchor, const torch::Tensor& positive,
                                 const torch::Tensor& negative, double temperature);

}  // namespace hidreamer::encoder
