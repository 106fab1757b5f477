#pragma once

#include <torch/torch.h>

#include "hidreamer/kernels/dropout.h"

namespace hidreamer::layers {

// A plan for one use, its key drawn from torch's default generator (torch::manual_seed fixes it).
kernels::DropoutPlan PlanDropout(double probability);

// For autograd's context.
c10::IValue ToIValue(const kernels::DropoutPlan& plan);
kernels::DropoutPlan DropoutPlanFromIValue(const c10::IValue& value);

// x with elements set to 0 with the given probability and the others divided by 1 - probability;
// x itself where `training` is false or the probability 0. On the CPU in f32 the result does not
// depend on the number of threads; elsewhere it is torch's dropout.
torch::Tensor Dropout(const torch::Tensor& x, double probability, bool training);

}  // namespace hidreamer::layers
