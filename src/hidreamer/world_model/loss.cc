#include "hidreamer/world_model/loss.h"

#include "hidreamer/base/error.h"

namespace hidreamer::world_model {

HierarchicalLoss ComputeLoss(const std::vector<torch::Tensor>& logits, const torch::Tensor& tokens,
                             const std::vector<double>& weights, const torch::Tensor& valid) {
  const auto levels = static_cast<size_t>(tokens.size(2));
  HID_CHECK(logits.size() == levels && weights.size() == levels,
            "{} levels, {} logits, {} loss weights", levels, logits.size(), weights.size());
  const int64_t steps = tokens.size(1);
  HierarchicalLoss loss;
  for (size_t level = 0; level < levels; ++level) {
    const int64_t first = level == 0 ? 1 : 0;  // step of the first target
    torch::Tensor target =
        tokens.select(2, static_cast<int64_t>(level)).narrow(1, first, steps - first).reshape({-1});
    torch::Tensor predicted = logits[level]
                                  .narrow(1, 0, steps - first)
                                  .reshape({-1, logits[level].size(-1)})
                                  .to(torch::kFloat32);  // (B*T', V)
    if (valid.defined()) {
      torch::Tensor keep = valid.narrow(1, first, steps - first);
      if (first == 1) {
        keep = keep.logical_and(valid.narrow(1, 0, steps - 1));
      }
      const torch::Tensor rows = keep.reshape({-1}).nonzero().squeeze(1);
      target = target.index_select(0, rows);
      predicted = predicted.index_select(0, rows);
    }
    loss.levels.push_back(torch::cross_entropy_loss(predicted, target));
    loss.correct.push_back(predicted.detach().argmax(-1).eq(target).sum());
    loss.targets.push_back(torch::full({}, target.size(0), target.options()));
    const torch::Tensor weighted = weights[level] * loss.levels.back();
    loss.total = loss.total.defined() ? loss.total + weighted : weighted;
  }
  return loss;
}

}  // namespace hidreamer::world_model
