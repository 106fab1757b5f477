#include "hidreamer/encoder/info_nce.h"

#include <limits>

#include "hidreamer/base/error.h"

namespace hidreamer::encoder {
namespace {

// Losses never run in bf16, whatever autocast says.
torch::Tensor AtLeastFloat(const torch::Tensor& x) {
  return x.scalar_type() == torch::kDouble ? x : x.to(torch::kFloat);
}

torch::Tensor RowDots(const torch::Tensor& a, const torch::Tensor& b) { return (a * b).sum(1); }

}  // namespace

InfoNceOutput InBatchInfoNce(const torch::Tensor& anchor, const torch::Tensor& positive,
                             const torch::Tensor& excluded, double temperature) {
  const int64_t batch = anchor.size(0);
  HID_CHECK(batch >= 2 && positive.sizes() == anchor.sizes(), "{} rows", batch);
  torch::Tensor logits =
      torch::mm(AtLeastFloat(anchor), AtLeastFloat(positive).t()) / temperature;  // (B, B)
  if (excluded.defined()) {
    const torch::Tensor diagonal =
        torch::eye(batch, torch::dtype(torch::kBool).device(logits.device()));
    logits = logits.masked_fill(excluded.logical_and(diagonal.logical_not()),
                                -std::numeric_limits<double>::infinity());
  }
  const torch::Tensor own =
      torch::arange(batch, torch::dtype(torch::kLong).device(logits.device()));
  return {.loss = torch::nn::functional::cross_entropy(logits, own),
          .accuracy = logits.detach().argmax(1).eq(own).to(torch::kFloat).mean()};
}

InfoNceOutput OneNegativeInfoNce(const torch::Tensor& anchor, const torch::Tensor& positive,
                                 const torch::Tensor& negative, double temperature) {
  const torch::Tensor a = AtLeastFloat(anchor);
  const torch::Tensor p = RowDots(a, AtLeastFloat(positive)) / temperature;  // (B)
  const torch::Tensor n = RowDots(a, AtLeastFloat(negative)) / temperature;  // (B)
  return {.loss = torch::softplus(n - p).mean(),
          .accuracy = p.detach().gt(n.detach()).to(torch::kFloat).mean()};
}

}  // namespace hidreamer::encoder
